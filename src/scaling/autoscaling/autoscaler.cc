#include "scaling/autoscaling/autoscaler.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::autoscaling {

// What the metrics ask for together.
struct Autoscaler::Wish {
  bool known = false;
  bool any_unknown = false;
  int replicas = 0;
  std::string why;
};

namespace {

std::string Seconds(Duration duration) { return Concat(ToSeconds(duration), " s"); }

Status ValidateRules(const ScalingRules& rules, std::string_view direction) {
  const auto bad = [&](std::string_view what) {
    return InvalidArgument(Concat("behavior.", direction, ".", what));
  };
  if (rules.stabilization_window < Duration::zero() ||
      rules.stabilization_window > kStabilizationWindowMax) {
    return bad(Concat("stabilizationWindowSeconds is ", Seconds(rules.stabilization_window),
                      "; expected 0 s to ", Seconds(kStabilizationWindowMax)));
  }
  if (rules.policies.empty() && rules.select != SelectPolicy::kDisabled) {
    return bad("policies is empty; expected at least one, or selectPolicy: Disabled");
  }
  for (const ScalingPolicy& policy : rules.policies) {
    if (policy.value <= 0) {
      return bad(Concat("policies has value ", policy.value, "; expected more than 0"));
    }
    if (policy.period <= Duration::zero() || policy.period > kPolicyPeriodMax) {
      return bad(Concat("policies has periodSeconds ", Seconds(policy.period),
                        "; expected more than 0 s and at most ", Seconds(kPolicyPeriodMax)));
    }
  }
  return Status();
}

Duration LongestPeriod(const ScalingRules& rules) {
  Duration longest{};
  for (const ScalingPolicy& policy : rules.policies) longest = std::max(longest, policy.period);
  return longest;
}

int Saturate(int64_t replicas) {
  return static_cast<int>(std::clamp<int64_t>(replicas, 0, std::numeric_limits<int>::max()));
}

}  // namespace

ScalingRules DefaultScaleUp() {
  return {.stabilization_window = 0s,
          .select = SelectPolicy::kMax,
          .policies = {{ScalingPolicy::Type::kPods, 4, 15s},
                       {ScalingPolicy::Type::kPercent, 100, 15s}}};
}

ScalingRules DefaultScaleDown() {
  return {.stabilization_window = 300s,
          .select = SelectPolicy::kMax,
          .policies = {{ScalingPolicy::Type::kPercent, 100, 15s}}};
}

Status Validate(const AutoscalerOptions& options) {
  if (options.replicas_min < 1) {
    return InvalidArgument(Concat("min is ", options.replicas_min, "; expected at least 1"));
  }
  if (options.replicas_max < options.replicas_min) {
    return InvalidArgument(
        Concat("max is ", options.replicas_max, "; expected at least min, ", options.replicas_min));
  }
  for (const double tolerance : {options.tolerance.scale_up, options.tolerance.scale_down}) {
    if (!(tolerance >= 0 && tolerance < 1)) {
      return InvalidArgument(Concat("tolerance is ", tolerance, "; expected 0 up to, not with, 1"));
    }
  }
  RETURN_IF_ERROR(ValidateRules(options.scale_up, "scaleUp"));
  return ValidateRules(options.scale_down, "scaleDown");
}

Autoscaler::Autoscaler(AutoscalerOptions options) : options_(std::move(options)) {
  TEPAL_CHECK(Validate(options_).ok());
}

ScalingDecision Autoscaler::Decide(int current, std::span<const MetricReading> metrics,
                                   Instant now) {
  // What is running when the first question is asked was somebody's recommendation.
  if (recommendations_.empty()) recommendations_.push_back({current, now});

  ScalingDecision decision{
      .current = current, .desired = current, .recommended = current, .reason = ""};
  const auto conclude = [&](int desired, std::string_view why) {
    decision.desired = desired;
    decision.reason = desired == current ? Concat("stays ", current, ": ", why)
                                         : Concat(current, "→", desired, ": ", why);
    Remember(current, desired, now);
    return decision;
  };
  if (current > options_.replicas_max) {
    return conclude(options_.replicas_max, Concat("max is ", options_.replicas_max));
  }
  if (current < options_.replicas_min) {
    return conclude(options_.replicas_min, Concat("min is ", options_.replicas_min));
  }

  const Wish wish = Strongest(current, metrics);
  if (!wish.known) return conclude(current, wish.why);
  decision.recommended = wish.replicas;
  if (wish.any_unknown && wish.replicas < current) {
    return conclude(current, Concat(wish.why, "; no scale-down while a metric is unknown"));
  }

  const int stable = Stabilise(current, wish.replicas, now);
  int desired = stable;
  std::string why = wish.why;
  const auto within = [this](int replicas) {
    return std::clamp(replicas, options_.replicas_min, options_.replicas_max);
  };
  if (within(stable) != within(wish.replicas)) {
    const bool up = wish.replicas > current;
    const ScalingRules& rules = up ? options_.scale_up : options_.scale_down;
    const std::string window = Seconds(rules.stabilization_window);
    why += stable == current ? Concat("; scale-", up ? "up" : "down", " waits for ", window, " of ",
                                      up ? "higher" : "lower", " demand")
                             : Concat("; the last ", window, " asked for ", stable);
  }
  if (stable > current) {
    desired = std::min(stable, std::max(current, LimitUp(current, now)));
    if (desired < stable) why += Concat("; the scale-up policy allows ", desired, " of ", stable);
  } else if (stable < current) {
    desired = std::max(stable, std::min(current, LimitDown(current, now)));
    if (desired > stable) why += Concat("; the scale-down policy allows ", desired);
  }
  if (desired > options_.replicas_max) why += Concat("; max is ", options_.replicas_max);
  return conclude(within(desired), why);
}

Autoscaler::Wish Autoscaler::Strongest(int current, std::span<const MetricReading> metrics) const {
  Wish wish;
  for (const MetricReading& metric : metrics) {
    const std::optional<int> replicas = RecommendReplicas(metric, current, options_.tolerance);
    if (!replicas.has_value()) {
      wish.any_unknown = true;
      if (!wish.known) wish.why = Explain(metric, current, options_.tolerance);
    } else if (!wish.known || *replicas > wish.replicas) {
      wish.known = true;
      wish.replicas = *replicas;
      wish.why = Explain(metric, current, options_.tolerance);
    }
  }
  if (metrics.empty()) wish.why = "no metric is measured";
  return wish;
}

// Goes only as far as every recommendation of the direction's window agrees to.
int Autoscaler::Stabilise(int current, int recommended, Instant now) {
  int up = recommended;
  int down = recommended;
  for (const Recommendation& earlier : recommendations_) {
    const Duration age = now - earlier.when;
    if (age < options_.scale_up.stabilization_window) up = std::min(up, earlier.replicas);
    if (age < options_.scale_down.stabilization_window) down = std::max(down, earlier.replicas);
  }
  recommendations_.push_back({recommended, now});
  return std::min(std::max(current, up), down);
}

int Autoscaler::ReplicasAtStartOf(Duration period, int current, Instant now) const {
  int replicas = current;
  for (const Change& change : added_) {
    if (now - change.when < period) replicas -= change.replicas;
  }
  for (const Change& change : removed_) {
    if (now - change.when < period) replicas += change.replicas;
  }
  return replicas;
}

int Autoscaler::LimitUp(int current, Instant now) const {
  const ScalingRules& rules = options_.scale_up;
  if (rules.select == SelectPolicy::kDisabled) return current;
  const bool largest = rules.select == SelectPolicy::kMax;
  int limit = largest ? 0 : std::numeric_limits<int>::max();
  for (const ScalingPolicy& policy : rules.policies) {
    const int64_t start = ReplicasAtStartOf(policy.period, current, now);
    const int allowed = policy.type == ScalingPolicy::Type::kPods
                            ? Saturate(start + policy.value)
                            : Saturate((start * (100 + policy.value) + 99) / 100);
    limit = largest ? std::max(limit, allowed) : std::min(limit, allowed);
  }
  return limit;
}

int Autoscaler::LimitDown(int current, Instant now) const {
  const ScalingRules& rules = options_.scale_down;
  if (rules.select == SelectPolicy::kDisabled) return current;
  const bool largest = rules.select == SelectPolicy::kMax;
  int limit = largest ? std::numeric_limits<int>::max() : 0;
  for (const ScalingPolicy& policy : rules.policies) {
    const int64_t start = ReplicasAtStartOf(policy.period, current, now);
    const int allowed = policy.type == ScalingPolicy::Type::kPods
                            ? Saturate(start - policy.value)
                            : Saturate(start * (100 - policy.value) / 100);
    limit = largest ? std::min(limit, allowed) : std::max(limit, allowed);
  }
  return limit;
}

void Autoscaler::Remember(int current, int desired, Instant now) {
  if (desired > current) added_.push_back({desired - current, now});
  if (desired < current) removed_.push_back({current - desired, now});

  const auto forget = [now](auto& history, Duration age_max) {
    while (history.size() > 1 && now - history.front().when >= age_max) history.pop_front();
  };
  const Duration period =
      std::max(LongestPeriod(options_.scale_up), LongestPeriod(options_.scale_down));
  forget(added_, period);
  forget(removed_, period);
  forget(recommendations_, std::max(options_.scale_up.stabilization_window,
                                    options_.scale_down.stabilization_window));
}

}  // namespace tepal::autoscaling
