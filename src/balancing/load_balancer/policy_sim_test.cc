// The policies beside each other and beside an oracle, on simulated arrivals (policy_bench prints
// the whole table).

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/policy_sim.h"
#include "core/base/text.h"

namespace tepal::lb {
namespace {

double P99(std::optional<ChoicePolicy> policy, double load, int instances = 1) {
  return PolicySim({.policy = policy, .instances = instances, .load = load}).Run().p99_ms;
}

TEST(PolicySimTest, LeastWaitIsCloseToTheOracleWithoutWeights) {
  for (const double load : {0.5, 0.7, 0.85}) {
    SCOPED_TRACE(Concat("load ", load));
    const double wait = P99(ChoicePolicy::kLeastWait, load);
    EXPECT_LE(wait, 1.15 * P99(std::nullopt, load));
    EXPECT_LT(wait, 0.8 * P99(ChoicePolicy::kLeastOutstanding, load));
    EXPECT_LT(wait, 0.5 * P99(ChoicePolicy::kPowerOfTwo, load));
  }
}

TEST(PolicySimTest, EqualSlotsAreSharedEvenly) {
  for (const ChoicePolicy policy : {ChoicePolicy::kLeastOutstanding, ChoicePolicy::kLeastWait}) {
    const PolicyResult result =
        PolicySim({.policy = policy, .speeds = std::vector<double>(7, 1.0), .load = 0.6}).Run();
    for (const int chosen : result.chosen) EXPECT_NEAR(chosen, 100'000 / 7, 100'000 / 7 * 0.05);
  }
}

// A slot that becomes slow is found out, and found again when it is well.
TEST(PolicySimTest, AnEstimateFollowsItsSlot) {
  ServiceEstimate estimate;
  Instant now(1s);
  const auto serve = [&](Duration time, int count) {
    for (int i = 0; i < count; ++i) {
      const bool alone = estimate.OnBegin(now);
      now += time;
      estimate.OnEnd(alone, time, true, now);
    }
  };
  EXPECT_EQ(estimate.Expect(0, 0.5, now), 0.5);
  serve(10ms, 200);
  EXPECT_NEAR(estimate.Expect(0, 0.5, now), 0.010, 0.001);
  EXPECT_NEAR(estimate.Expect(3, 0.5, now), 0.040, 0.002);
  serve(50ms, 200);
  EXPECT_NEAR(estimate.Expect(0, 0.5, now), 0.050, 0.005);
  EXPECT_NEAR(estimate.Expect(0, 0.01, now + 300s), 0.010, 0.001);
  // Refusals say nothing.
  const bool alone = estimate.OnBegin(now);
  estimate.OnEnd(alone, 1us, false, now + 1us);
  EXPECT_NEAR(estimate.Expect(0, 0.5, now), 0.050, 0.005);
}

}  // namespace
}  // namespace tepal::lb
