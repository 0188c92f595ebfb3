// What Prometheus' HTTP API answers, read: /api/v1/series and /api/v1/query.
//
// Whatever bytes come are read or refused with a message; nothing is guessed. Values may be NaN or
// infinite here, as they were sent: whoever uses them decides what that means. Pure.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::custom_metrics {

struct Series {
  std::string name;                           // __name__; may be empty.
  std::map<std::string, std::string> labels;  // The others.
};

struct QuerySample {
  std::map<std::string, std::string> labels;  // With __name__, where the query keeps it.
  double value = 0;
  WallTime time;
};

struct QueryAnswer {
  bool scalar = false;  // One sample without labels.
  std::vector<QuerySample> samples;
};

// kUnavailable for a body that is no answer of Prometheus, kInvalidArgument for one in which it
// refuses what was asked, in its words.
Result<std::vector<Series>> ReadSeriesAnswer(std::string_view body);
Result<QueryAnswer> ReadQueryAnswer(std::string_view body);

// The longest time over which a PromQL query looks back, as 30s of "rate(x[30s])"; nothing when it
// is of an instant. Of a subquery [5m:1m], its five minutes.
std::optional<Duration> WindowOfQuery(std::string_view query);

}  // namespace tepal::custom_metrics
