// From metric readings to a number of replicas, steadily: what the HorizontalPodAutoscaler's
// `behavior` does on top of the arithmetic of recommendation.h.
//
// A plain state machine: no clock, no thread, no replica. Its owner says what time it is, what was
// measured and how many replicas there are, and carries the decision out; the Autoscaler takes it
// that a decision is carried out, and remembers it for the policies. Owned by one thread.
// Source: autoscaling/v2 HorizontalPodAutoscalerBehavior and its defaults.

#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "scaling/autoscaling/recommendation.h"

namespace tepal::autoscaling {

// At most `value` replicas, or per cent of them, in any `period`.
struct ScalingPolicy {
  enum class Type { kPods, kPercent };
  Type type = Type::kPercent;
  int value = 100;
  Duration period = 15s;
};

// Which policy counts when there are several: that which allows the largest change, the smallest,
// or no change at all in this direction.
enum class SelectPolicy { kMax, kMin, kDisabled };

struct ScalingRules {
  // Scaling up goes by the lowest recommendation of this window, scaling down by the highest.
  Duration stabilization_window{};
  SelectPolicy select = SelectPolicy::kMax;
  std::vector<ScalingPolicy> policies;
};

// The HPA's defaults: up at once, by 4 pods or 100 % in 15 s; down after 300 s, by 100 % in 15 s.
ScalingRules DefaultScaleUp();
ScalingRules DefaultScaleDown();

// What autoscaling/v2 allows.
inline constexpr Duration kPolicyPeriodMax = 1800s;
inline constexpr Duration kStabilizationWindowMax = 3600s;

struct AutoscalerOptions {
  int replicas_min = 1;
  int replicas_max = 1;
  Tolerance tolerance;
  ScalingRules scale_up = DefaultScaleUp();
  ScalingRules scale_down = DefaultScaleDown();
};

// kInvalidArgument naming the option, its value and what was expected.
Status Validate(const AutoscalerOptions& options);

struct ScalingDecision {
  int current = 0;
  int desired = 0;      // What to have from now on; within min and max.
  int recommended = 0;  // What the metrics alone ask for; `current` when they say nothing.
  // One line for people: "3→4: queue 61 ms > 50 ms", and what held a step back if something did:
  // "stays 7: in flight 0 < 4 per replica; scale-down waits for 300 s of lower demand".
  std::string reason;

  bool changes() const { return desired != current; }
};

class Autoscaler {
 public:
  // `options` are valid.
  explicit Autoscaler(AutoscalerOptions options);

  // Several metrics: the one that asks for most decides. While one is unknown the rest may scale up
  // but not down; when all are unknown nothing changes. `current` is the number asked for at
  // present, replicas that are still starting included and draining ones not.
  ScalingDecision Decide(int current, std::span<const MetricReading> metrics, Instant now);

  // The room for replicas has changed; at least replicas_min.
  void SetReplicasMax(int replicas) { options_.replicas_max = replicas; }

  const AutoscalerOptions& options() const { return options_; }

 private:
  struct Recommendation {
    int replicas;
    Instant when;
  };
  struct Change {
    int replicas;  // How many were added or removed; positive.
    Instant when;
  };
  struct Wish;

  Wish Strongest(int current, std::span<const MetricReading> metrics) const;
  int Stabilise(int current, int recommended, Instant now);
  int LimitUp(int current, Instant now) const;
  int LimitDown(int current, Instant now) const;
  int ReplicasAtStartOf(Duration period, int current, Instant now) const;
  void Remember(int current, int desired, Instant now);

  AutoscalerOptions options_;
  std::deque<Recommendation> recommendations_;
  std::deque<Change> added_;
  std::deque<Change> removed_;
};

}  // namespace tepal::autoscaling
