// One metric of an autoscaler as the controller reads it: which values and pods count.
// Pure. Source: the controller's replica_calculator.go (kubernetes 1.34) and the documented
// algorithm.

#pragma once

#include "apps/diagnosis/hpa_explanation.h"
#include "scaling/autoscaling/recommendation.h"

namespace tepal::diagnosis {

// What the controller makes of the pods behind the scale target.
struct PodCount {
  int ready = 0;      // Running and ready.
  int not_ready = 0;  // Running, not ready: they count for Pods metrics all the same.
  int pending = 0;
  int ignored = 0;  // Being deleted, or failed.
};
PodCount CountPods(const std::vector<json::Value>& pods);

struct MetricResult {
  MetricExplanation explanation;
  // What to hand to the autoscaler; nothing when the metric is unknown.
  std::optional<autoscaling::MetricReading> reading;
};

// `spec`: an element of spec.metrics; `replicas`: of the scale's spec, `status_replicas` of its
// status; `fallback`: the same metric in status.currentMetrics, or null.
MetricResult ReadMetric(const json::Value& spec, const MetricAnswer& answer,
                        const json::Value* fallback, const std::vector<json::Value>& pods,
                        int replicas, int status_replicas, const autoscaling::Tolerance& tolerance);

}  // namespace tepal::diagnosis
