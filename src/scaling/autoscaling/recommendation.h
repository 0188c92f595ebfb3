// How many replicas one metric asks for: the arithmetic of the HorizontalPodAutoscaler.
//
// desired = ceil(replicas * value / target), unless the ratio is within the tolerance of 1. Pure:
// no clock, no memory of earlier answers; limits, policies and stabilisation are autoscaler.h.
// Source: the algorithm details of the Kubernetes HorizontalPodAutoscaler page (autoscaling/v2) and
// the controller's replica calculator.

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tepal::autoscaling {

// What was measured, beside what it should be. Of the two kinds of the HPA's AverageValue:
//  - `total`: a sum over all replicas, known without asking each (External, Object): the answer
//    does not depend on how many replicas there are now;
//  - otherwise `replica_values`, one for each replica that has a value (Pods); the others are
//    `missing_replicas` and are assumed to be at the target when the rest ask for fewer, and at
//    zero when the rest ask for more.
struct MetricReading {
  std::string name;   // For people: "queue", "in flight".
  std::string unit;   // For people: "ms"; empty for a count.
  double target = 1;  // Per replica; above 0.
  std::optional<double> total;
  std::vector<double> replica_values;
  int missing_replicas = 0;

  // The mean for one of `replicas`; nothing when nothing was measured.
  std::optional<double> ValuePerReplica(int replicas) const;
};

// How far from 1 the ratio value / target may be before it counts; each direction has its own.
struct Tolerance {
  double scale_up = 0.1;
  double scale_down = 0.1;
};

// Nothing when the metric could not be measured at all. `replicas` is the present number.
std::optional<int> RecommendReplicas(const MetricReading& reading, int replicas,
                                     const Tolerance& tolerance);

// "queue 61 ms > 50 ms", "in flight 3.9 ~ 4 per replica": the value, and where it is to the target
// once the tolerance is allowed for. "queue unknown" when nothing was measured.
std::string Explain(const MetricReading& reading, int replicas, const Tolerance& tolerance);

}  // namespace tepal::autoscaling
