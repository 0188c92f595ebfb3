// What a HorizontalPodAutoscaler of a cluster sees, would do now, and why.
//
// The arithmetic is that of scaling/autoscaling; here is which pods and values the controller takes
// into it (its replica calculator): for a Pods metric a pod that is Running counts although it is
// not ready, one that is Pending counts as 0 when the rest ask for more and not at all otherwise,
// one that is being deleted or has failed never, and one without a value is missing.
//
// What the controller remembers cannot be read: earlier recommendations (for stabilisation) are
// taken from its conditions and from what the caller has seen, earlier changes from its events.
//
// Pure: objects come in as the API server sent them. hpa_reader.h fetches them.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/json/value.h"

namespace tepal::diagnosis {

// The answer to one metric of spec.metrics.
struct MetricAnswer {
  bool asked = false;   // Of the metrics APIs; Resource metrics are read from the HPA's status.
  int http_status = 0;  // 200: `body` is the list. 0: nobody answered.
  std::string message;  // What was said instead.
  std::string path;     // What was asked.
  json::Value body;     // MetricValueList, ExternalMetricValueList
  std::string similar;  // A metric that there is, with nearly the same name.
};

struct HpaInputs {
  json::Value hpa;                    // autoscaling/v2
  std::optional<json::Value> scale;   // autoscaling/v1 Scale of its target.
  std::string scale_problem;          // Why there is none.
  std::vector<json::Value> pods;      // That the scale's selector matches.
  std::string pods_problem;           // Why they could not be listed.
  std::vector<MetricAnswer> answers;  // In the order of spec.metrics.
  std::vector<json::Value> events;    // Of this HPA.
  WallTime now;
  // Recommendations that were seen earlier, by --watch.
  std::vector<std::pair<WallTime, int>> seen;
};

struct MetricExplanation {
  std::string name;  // "Pods metric avg_time_queue_us"
  std::optional<double> current, target, ratio;
  std::optional<int> replicas;     // That it asks for.
  std::vector<std::string> notes;  // One sentence each: pods without a value, why it is unknown.
};

struct HpaExplanation {
  std::string name;    // "default/flower"
  std::string target;  // "Deployment flower"
  int min = 1, max = 1;
  std::optional<int> current, recommended, desired;
  std::vector<MetricExplanation> metrics;
  std::vector<std::string> reasons;     // From the recommendation to what is desired.
  std::vector<std::string> conditions;  // "ScalingActive False FailedGetPodsMetric: …"
  std::vector<std::string> events;      // Newest last: "40 s ago SuccessfulRescale: …"
  bool able = true;                     // False: it cannot scale as it is.
};

HpaExplanation ExplainHpa(const HpaInputs& inputs);

std::string ExplanationText(const HpaExplanation& explanation);
std::string ExplanationJson(const HpaExplanation& explanation);

}  // namespace tepal::diagnosis
