#include "scaling/autoscaling/recommendation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tepal::autoscaling {
namespace {

using ::testing::Optional;

MetricReading Pods(std::vector<double> values, double target, int missing = 0) {
  return {.name = "in flight",
          .unit = "",
          .target = target,
          .total = std::nullopt,
          .replica_values = std::move(values),
          .missing_replicas = missing};
}

MetricReading Total(double total, double target) {
  return {.name = "in flight",
          .unit = "",
          .target = target,
          .total = total,
          .replica_values = {},
          .missing_replicas = 0};
}

int Recommend(const MetricReading& reading, int replicas, Tolerance tolerance = {}) {
  return RecommendReplicas(reading, replicas, tolerance).value_or(-1);
}

// "if the current metric value is 200m, and the desired value is 100m, the number of replicas will
// be doubled … if the current value is instead 50m, you'll halve the number of replicas."
TEST(Recommendation, DoublesAndHalvesAsTheKubernetesPageSays) {
  EXPECT_EQ(Recommend(Pods({0.2, 0.2, 0.2, 0.2}, 0.1), 4), 8);
  EXPECT_EQ(Recommend(Pods({0.05, 0.05, 0.05, 0.05}, 0.1), 4), 2);
}

TEST(Recommendation, RoundsUp) {
  EXPECT_EQ(Recommend(Pods({61, 61, 61}, 50), 3), 4);
  EXPECT_EQ(Recommend(Pods({8, 8, 8}, 4), 3), 6);
  EXPECT_EQ(Recommend(Total(9, 4), 7), 3);
}

TEST(Recommendation, WithinToleranceNothingChanges) {
  EXPECT_EQ(Recommend(Pods({1.1, 1.1}, 1), 2), 2);
  EXPECT_EQ(Recommend(Pods({0.9, 0.9}, 1), 2), 2);
  EXPECT_EQ(Recommend(Pods({1.11, 1.11}, 1), 2), 3);
  EXPECT_EQ(Recommend(Total(44, 4), 10), 10);  // kubernetes#116984: one more is wanted.
  EXPECT_EQ(Recommend(Total(44, 4), 10, {.scale_up = 0, .scale_down = 0.1}), 11);
}

TEST(Recommendation, EachDirectionHasItsTolerance) {
  const Tolerance lazy_down{.scale_up = 0, .scale_down = 0.5};
  EXPECT_EQ(Recommend(Pods({6, 6, 6, 6}, 10), 4, lazy_down), 4);
  EXPECT_EQ(Recommend(Pods({4, 4, 4, 4}, 10), 4, lazy_down), 2);
  EXPECT_EQ(Recommend(Pods({10.1, 10.1}, 10), 2, lazy_down), 3);
}

TEST(Recommendation, ATotalDoesNotDependOnTheReplicasThereAre) {
  for (int replicas = 1; replicas <= 20; ++replicas) {
    EXPECT_EQ(Recommend(Total(28, 4), replicas), 7) << replicas;
  }
  EXPECT_EQ(Recommend(Total(0, 4), 7), 0);
}

TEST(Recommendation, MissingReplicasAreAtZeroWhenTheRestAsksForMore) {
  // 2 measured at 20, 1 missing at 0: a mean of 13.3 over 3, not 20.
  EXPECT_EQ(Recommend(Pods({20, 20}, 10, 1), 3), 4);
  // 1 measured at 12, 3 missing: the direction would turn, so nothing changes.
  EXPECT_EQ(Recommend(Pods({12}, 10, 3), 4), 4);
}

TEST(Recommendation, MissingReplicasAreAtTheTargetWhenTheRestAsksForFewer) {
  // 3 measured at 2, 1 missing at 10: a mean of 4 over 4.
  EXPECT_EQ(Recommend(Pods({2, 2, 2}, 10, 1), 4), 2);
  // 1 measured at 8, 3 missing: 0.95, within the tolerance.
  EXPECT_EQ(Recommend(Pods({8}, 10, 3), 4), 4);
}

TEST(Recommendation, UnknownIsNotIdle) {
  EXPECT_EQ(RecommendReplicas(Pods({}, 10, 4), 4, {}), std::nullopt);
  EXPECT_EQ(RecommendReplicas(Pods({1, NAN}, 10), 2, {}), std::nullopt);
  EXPECT_EQ(RecommendReplicas(Total(INFINITY, 10), 2, {}), std::nullopt);
}

TEST(Recommendation, SurvivesAbsurdNumbers) {
  EXPECT_THAT(RecommendReplicas(Total(1e300, 1e-9), 2, {}), Optional(2147483647));
}

TEST(Recommendation, ExplainsInOneLine) {
  MetricReading queue = Pods({60, 62}, 50);
  queue.name = "queue";
  queue.unit = "ms";
  EXPECT_EQ(Explain(queue, 2, {}), "queue 61 ms > 50 ms");
  EXPECT_EQ(Explain(Total(12, 4), 3, {}), "in flight 4 ~ 4 per replica");
  EXPECT_EQ(Explain(Total(3, 4), 2, {}), "in flight 1.5 < 4 per replica");
  EXPECT_EQ(Explain(Pods({}, 4, 2), 2, {}), "in flight unknown");
}

}  // namespace
}  // namespace tepal::autoscaling
