// The autoscaler under seeded loads: whatever the numbers, its promises hold.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/env/random.h"
#include "scaling/autoscaling/autoscaler.h"
#include "scaling/autoscaling/metric_window.h"

namespace tepal::autoscaling {
namespace {

constexpr int kSeeds = 400;
constexpr Instant kStart{std::chrono::hours(1)};

int Between(env::Random& random, int low, int high) {
  return low + static_cast<int>(random.Below(static_cast<uint64_t>(high - low + 1)));
}

ScalingRules RandomRules(env::Random& random) {
  ScalingRules rules;
  rules.stabilization_window = std::chrono::seconds(random.Below(60));
  rules.select = static_cast<SelectPolicy>(random.Below(3));
  for (int i = Between(random, 1, 3); i > 0; --i) {
    rules.policies.push_back(
        {random.Below(2) == 0 ? ScalingPolicy::Type::kPods : ScalingPolicy::Type::kPercent,
         Between(random, 1, 150), std::chrono::seconds(random.Below(60) + 1)});
  }
  return rules;
}

AutoscalerOptions RandomOptions(env::Random& random) {
  AutoscalerOptions options;
  options.replicas_min = Between(random, 1, 5);
  options.replicas_max = options.replicas_min + Between(random, 0, 20);
  options.tolerance = {random.Unit() * 0.5, random.Unit() * 0.5};
  options.scale_up = RandomRules(random);
  options.scale_down = RandomRules(random);
  return options;
}

std::vector<MetricReading> RandomMetrics(env::Random& random, int replicas) {
  std::vector<MetricReading> metrics(static_cast<size_t>(Between(random, 1, 3)));
  for (MetricReading& metric : metrics) {
    metric.target = 0.5 + random.Unit() * 10;
    if (random.Below(2) == 0) {
      metric.total = random.Unit() * 300;
      continue;
    }
    for (int i = 0; i < replicas; ++i) {
      if (random.Below(5) == 0) {
        ++metric.missing_replicas;
      } else {
        metric.replica_values.push_back(random.Unit() * 30);
      }
    }
  }
  return metrics;
}

TEST(AutoscalerSim, StaysInBoundsAndNeverAgainstEveryMetric) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    env::SeededRandom random(seed);
    const AutoscalerOptions options = RandomOptions(random);
    Autoscaler scaler(options);
    int replicas = Between(random, options.replicas_min, options.replicas_max);
    Instant now = kStart;
    for (int step = 0; step < 300; ++step) {
      now += std::chrono::milliseconds(random.Below(15000));
      const std::vector<MetricReading> metrics = RandomMetrics(random, replicas);
      bool unknown = false;
      int highest = 0;
      for (const MetricReading& metric : metrics) {
        const std::optional<int> alone = RecommendReplicas(metric, replicas, options.tolerance);
        unknown |= !alone.has_value();
        highest = std::max(highest, alone.value_or(0));
      }
      const ScalingDecision decision = scaler.Decide(replicas, metrics, now);
      ASSERT_EQ(decision.current, replicas);
      ASSERT_GE(decision.desired, options.replicas_min);
      ASSERT_LE(decision.desired, options.replicas_max);
      ASSERT_FALSE(decision.reason.empty());
      if (decision.desired > replicas) {
        ASSERT_LE(decision.desired, highest) << decision.reason;
        ASSERT_NE(options.scale_up.select, SelectPolicy::kDisabled);
      }
      if (decision.desired < replicas) {
        ASSERT_GE(decision.desired, highest) << decision.reason;
        ASSERT_FALSE(unknown) << decision.reason;
        ASSERT_NE(options.scale_down.select, SelectPolicy::kDisabled);
      }
      replicas = decision.desired;
    }
  }
}

// A closed loop of `users` requests at once, read by a gauge a second: the count must go straight
// to the right one and stay there, whatever the phase of the readings.
TEST(AutoscalerSim, AConstantLoadSettlesWithoutTurning) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    env::SeededRandom random(seed);
    AutoscalerOptions options;
    options.replicas_max = 7;
    options.scale_down.stabilization_window = 5s;
    Autoscaler scaler(options);
    GaugeWindow in_flight(3s);
    const int wanted = Between(random, 1, 7);
    const int users = wanted * 4;
    int replicas = Between(random, 1, 7);
    int turns = 0;
    int last_direction = 0;
    Instant now = kStart;
    for (int step = 0; step < 200; ++step) {
      now += 200ms;
      // A moment between answer and next request: up to two users are not in flight.
      in_flight.Add(now, std::max(0.0, users - static_cast<double>(random.Below(3)) * 0.5));
      if (step % 5 != 4) continue;
      const MetricReading reading{.name = "in flight",
                                  .unit = "",
                                  .target = 4,
                                  .total = in_flight.Mean(now),
                                  .replica_values = {},
                                  .missing_replicas = 0};
      const int desired = scaler.Decide(replicas, {&reading, 1}, now).desired;
      const int direction = (desired > replicas) - (desired < replicas);
      turns += direction != 0 && last_direction != 0 && direction != last_direction;
      if (direction != 0) last_direction = direction;
      replicas = desired;
    }
    EXPECT_EQ(replicas, wanted);
    EXPECT_EQ(turns, 0);
  }
}

}  // namespace
}  // namespace tepal::autoscaling
