// Where the values come from that the metrics API answers with.
//
// The API server knows paths, identities and JSON; a source knows which metrics there are and what
// they are worth. Two sources are built: a Prometheus server with the rules file of
// prometheus-adapter, and pods scraped directly. Both may run at once (source_set.h).
//
// Everything happens on one loop. A value that is missing, NaN, infinite or too old is not in the
// answer: the HorizontalPodAutoscaler has rules for the missing, and none for an invented 0.

#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::custom_metrics {

// A kind by its plural REST name: {"", "pods"}, {"apps", "deployments"}.
struct GroupResource {
  std::string group;
  std::string resource;

  auto operator<=>(const GroupResource&) const = default;
};

// One line of the discovery document: `resource`/`metric`.
struct MetricInfo {
  GroupResource resource;
  bool namespaced = true;  // Whether objects of `resource` live in a namespace.
  std::string metric;

  auto operator<=>(const MetricInfo&) const = default;
};

// Which values are asked for. The names have been looked up: a request for "*" with a selector
// arrives as the names that matched it.
struct ObjectQuery {
  MetricInfo metric;
  std::string name_space;          // Empty for what has none.
  std::vector<std::string> names;  // Never empty; sorted, without repeats.
  std::string metric_selector;     // A label selector over the series; empty for all of them.
};

// The value of one metric for one object at one moment.
struct ObjectValue {
  std::string name;
  double value = 0;                // Finite.
  WallTime timestamp;              // Of the data, not of the answer.
  std::optional<Duration> window;  // Over which it was computed; none for an instant's.
};

struct ExternalQuery {
  std::string metric;
  std::string name_space;
  std::string selector;  // A label selector; empty for all.
};

struct ExternalValue {
  std::map<std::string, std::string> labels;
  double value = 0;
  WallTime timestamp;
  std::optional<Duration> window;
};

// A source. `done` runs exactly once, on the loop, perhaps inside the call; never after the source
// is destroyed. kNotFound: no such metric here. kUnavailable or kDeadlineExceeded: it cannot be
// said now, which the API answers with 503 and never with an empty list.
class MetricSource {
 public:
  virtual ~MetricSource() = default;

  // What can be asked for now; sorted. Kept in memory: it costs no request.
  virtual std::vector<MetricInfo> ObjectMetrics() const = 0;
  virtual std::vector<std::string> ExternalMetrics() const = 0;

  // Some names may have no value; an answer without any is OK and empty.
  virtual void GetValues(ObjectQuery query,
                         Function<void(Result<std::vector<ObjectValue>>)> done) = 0;
  virtual void GetExternalValues(ExternalQuery query,
                                 Function<void(Result<std::vector<ExternalValue>>)> done) = 0;

  // OK once the first look at the world has succeeded; afterwards the reason it went blind.
  virtual Status Health() const = 0;
};

}  // namespace tepal::custom_metrics
