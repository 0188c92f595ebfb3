#include "scaling/autoscaling/autoscaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace tepal::autoscaling {
namespace {

using ::testing::HasSubstr;

constexpr Instant kStart{std::chrono::hours(1)};

MetricReading InFlight(std::optional<double> total, double target = 4) {
  return {.name = "in flight",
          .unit = "",
          .target = target,
          .total = total,
          .replica_values = {},
          .missing_replicas = 0};
}

// Asks `scaler` once, for a total in flight.
ScalingDecision Ask(Autoscaler& scaler, int current, double total, Duration at) {
  const MetricReading reading = InFlight(total);
  return scaler.Decide(current, {&reading, 1}, kStart + at);
}

AutoscalerOptions OneToSeven() {
  AutoscalerOptions options;
  options.replicas_min = 1;
  options.replicas_max = 7;
  return options;
}

TEST(Autoscaler, GoesUpAtOnceAndSaysWhy) {
  Autoscaler scaler(OneToSeven());
  const ScalingDecision decision = Ask(scaler, 1, 12, 0s);
  EXPECT_EQ(decision.desired, 3);
  EXPECT_EQ(decision.reason, "1→3: in flight 12 > 4 per replica");
}

TEST(Autoscaler, StaysWithinMinAndMax) {
  Autoscaler scaler(OneToSeven());
  const ScalingDecision over = Ask(scaler, 4, 400, 0s);
  EXPECT_EQ(over.desired, 7);
  EXPECT_THAT(over.reason, HasSubstr("max is 7"));
  EXPECT_EQ(Ask(scaler, 9, 0, 1s).reason, "9→7: max is 7");
  EXPECT_EQ(Ask(scaler, 0, 0, 2s).reason, "0→1: min is 1");
}

TEST(Autoscaler, GoesDownOnlyAfterTheWindow) {
  Autoscaler scaler(OneToSeven());
  EXPECT_EQ(Ask(scaler, 4, 28, 0s).desired, 7);
  for (Duration at = 1s; at < 300s; at += 1s) {
    const ScalingDecision decision = Ask(scaler, 7, 0, at);
    ASSERT_EQ(decision.desired, 7) << ToSeconds(at);
    ASSERT_EQ(decision.recommended, 0);
    ASSERT_THAT(decision.reason, HasSubstr("scale-down waits for 300 s of lower demand"));
  }
  EXPECT_EQ(Ask(scaler, 7, 0, 300s).desired, 1);
}

TEST(Autoscaler, TheFirstCountIsARecommendationToo) {
  Autoscaler scaler(OneToSeven());
  EXPECT_EQ(Ask(scaler, 5, 0, 0s).desired, 5);
  EXPECT_EQ(Ask(scaler, 5, 0, 299s).desired, 5);
  EXPECT_EQ(Ask(scaler, 5, 0, 300s).desired, 1);
}

TEST(Autoscaler, GoesDownToTheHighestOfTheWindow) {
  AutoscalerOptions options = OneToSeven();
  options.scale_down.stabilization_window = 10s;
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 7, 28, 0s).desired, 7);
  EXPECT_EQ(Ask(scaler, 7, 12, 5s).desired, 7);
  EXPECT_EQ(Ask(scaler, 7, 0, 11s).reason,
            "7→3: in flight 0 < 4 per replica; the last 10 s asked for 3");
  EXPECT_EQ(Ask(scaler, 3, 0, 16s).desired, 1);
}

TEST(Autoscaler, AScaleUpWindowFiltersPeaks) {
  AutoscalerOptions options = OneToSeven();
  options.scale_up.stabilization_window = 10s;
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 1, 4, 0s).desired, 1);
  EXPECT_EQ(Ask(scaler, 1, 28, 5s).desired, 1);
  EXPECT_EQ(Ask(scaler, 1, 20, 12s).desired, 5);
}

TEST(Autoscaler, DefaultPolicyAllowsTheLargerOfFourPodsAndDoubling) {
  AutoscalerOptions options = OneToSeven();
  options.replicas_max = 100;
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 1, 400, 0s).desired, 5);
  EXPECT_EQ(Ask(scaler, 5, 400, 14s).desired, 5);  // Four were added less than 15 s ago.
  EXPECT_EQ(Ask(scaler, 5, 400, 15s).desired, 10);
  const ScalingDecision last = Ask(scaler, 10, 400, 30s);
  EXPECT_EQ(last.desired, 20);
  EXPECT_THAT(last.reason, HasSubstr("the scale-up policy allows 20 of 100"));
}

// The page's example of two scale-down policies, 4 pods and 10 per cent a minute: from 80 replicas,
// 8 go in the first minute, 8 in the next (7.2, rounded up), and 4 a minute below 40.
TEST(Autoscaler, ScaleDownPoliciesOfTheKubernetesPage) {
  AutoscalerOptions options = OneToSeven();
  options.replicas_min = 10;
  options.replicas_max = 100;
  options.scale_down.stabilization_window = 0s;
  options.scale_down.policies = {{ScalingPolicy::Type::kPods, 4, 60s},
                                 {ScalingPolicy::Type::kPercent, 10, 60s}};
  Autoscaler scaler(options);
  Duration at{};
  const auto step = [&](int current) {
    const int desired = Ask(scaler, current, 0, at).desired;
    EXPECT_EQ(Ask(scaler, desired, 0, at + 59s).desired, desired) << "within the same minute";
    at += 60s;
    return desired;
  };
  EXPECT_EQ(step(80), 72);
  EXPECT_EQ(step(72), 64);
  EXPECT_EQ(step(39), 35);
  EXPECT_EQ(step(12), 10);
}

TEST(Autoscaler, SelectMinTakesTheSmallerChange) {
  AutoscalerOptions options = OneToSeven();
  options.replicas_max = 100;
  options.scale_down.stabilization_window = 0s;
  options.scale_down.select = SelectPolicy::kMin;
  options.scale_down.policies = {{ScalingPolicy::Type::kPods, 5, 60s},
                                 {ScalingPolicy::Type::kPercent, 10, 60s}};
  options.scale_up.select = SelectPolicy::kMin;
  Autoscaler down(options);
  EXPECT_EQ(Ask(down, 80, 0, 0s).desired, 75);
  Autoscaler up(options);
  EXPECT_EQ(Ask(up, 10, 400, 0s).desired, 14);
}

TEST(Autoscaler, PercentRoundsUpOnTheWayUp) {
  AutoscalerOptions options = OneToSeven();
  options.scale_up.policies = {{ScalingPolicy::Type::kPercent, 50, 60s}};
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 1, 28, 0s).desired, 2);
  Autoscaler other(options);
  EXPECT_EQ(Ask(other, 3, 28, 0s).desired, 5);
}

TEST(Autoscaler, DisabledStopsOneDirection) {
  AutoscalerOptions options = OneToSeven();
  options.scale_down.stabilization_window = 0s;
  options.scale_down.select = SelectPolicy::kDisabled;
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 5, 0, 0s).desired, 5);
  EXPECT_EQ(Ask(scaler, 5, 28, 1s).desired, 7);
}

TEST(Autoscaler, ReplicasRemovedRecentlyCountForTheScaleUpPolicy) {
  AutoscalerOptions options = OneToSeven();
  options.replicas_max = 100;
  options.scale_down.stabilization_window = 0s;
  options.scale_up.policies = {{ScalingPolicy::Type::kPods, 2, 60s}};
  Autoscaler scaler(options);
  EXPECT_EQ(Ask(scaler, 10, 16, 0s).desired, 4);
  EXPECT_EQ(Ask(scaler, 4, 400, 10s).desired, 12);  // 10 at the start of the minute, and 2.
}

TEST(Autoscaler, TheMetricThatAsksForMostDecides) {
  Autoscaler scaler(OneToSeven());
  const MetricReading metrics[] = {InFlight(8), InFlight(20)};
  const ScalingDecision decision = scaler.Decide(2, metrics, kStart);
  EXPECT_EQ(decision.desired, 5);
  EXPECT_EQ(decision.reason, "2→5: in flight 10 > 4 per replica");
}

TEST(Autoscaler, AnUnknownMetricForbidsGoingDownOnly) {
  AutoscalerOptions options = OneToSeven();
  options.scale_down.stabilization_window = 0s;
  Autoscaler scaler(options);
  const MetricReading low[] = {InFlight(std::nullopt), InFlight(4)};
  const ScalingDecision kept = scaler.Decide(3, low, kStart);
  EXPECT_EQ(kept.desired, 3);
  EXPECT_THAT(kept.reason, HasSubstr("no scale-down while a metric is unknown"));
  const MetricReading high[] = {InFlight(std::nullopt), InFlight(20)};
  EXPECT_EQ(scaler.Decide(3, high, kStart + 1s).desired, 5);
  const MetricReading none[] = {InFlight(std::nullopt)};
  EXPECT_EQ(scaler.Decide(3, none, kStart + 2s).reason, "stays 3: in flight unknown");
  EXPECT_EQ(scaler.Decide(3, {}, kStart + 3s).reason, "stays 3: no metric is measured");
}

TEST(Autoscaler, OptionsAreCheckedByName) {
  const auto message = [](auto change) {
    AutoscalerOptions options;
    change(options);
    return Validate(options).message();
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_THAT(message([](auto& o) { o.replicas_min = 0; }), HasSubstr("min is 0"));
  EXPECT_THAT(message([](auto& o) { o.replicas_min = 2; }), HasSubstr("max is 1"));
  EXPECT_THAT(message([](auto& o) { o.tolerance.scale_up = -1; }), HasSubstr("tolerance is -1"));
  EXPECT_THAT(message([](auto& o) { o.scale_down.stabilization_window = 3601s; }),
              HasSubstr("behavior.scaleDown.stabilizationWindowSeconds is 3601 s"));
  EXPECT_THAT(message([](auto& o) { o.scale_up.policies.clear(); }),
              HasSubstr("behavior.scaleUp.policies is empty"));
  EXPECT_THAT(message([](auto& o) { o.scale_up.policies[0].value = 0; }), HasSubstr("value 0"));
  EXPECT_THAT(message([](auto& o) { o.scale_up.policies[0].period = 1801s; }),
              HasSubstr("periodSeconds 1801 s"));
}

}  // namespace
}  // namespace tepal::autoscaling
