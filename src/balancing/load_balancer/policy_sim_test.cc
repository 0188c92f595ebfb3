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

// At most half of the best of nginx's least_conn and the two choices of HAProxy's random(2) and
// Envoy's least_request, or within 15 % of an oracle that knows every queue.
void ExpectAhead(const PolicyRun& common, bool reports) {
  const auto p99 = [&](std::optional<ChoicePolicy> policy, bool says) {
    PolicyRun run = common;
    run.policy = policy;
    run.oracle = run.exponential ? Oracle::kQueues : Oracle::kWork;
    run.reports = says;
    return PolicySim(run).Run().p99_ms;
  };
  const double best =
      std::min(p99(ChoicePolicy::kLeastOutstanding, false), p99(ChoicePolicy::kPowerOfTwo, false));
  const double bound = std::max(0.5 * best, 1.15 * p99(std::nullopt, false));
  EXPECT_LE(p99(ChoicePolicy::kLeastWait, reports), bound)
      << "load " << common.load << ", balancers " << common.balancers << ", the best of the others "
      << best;
}

TEST(PolicySimTest, UnequalSlotsNeedNoWeights) {
  for (const double load : {0.5, 0.7, 0.85}) {
    for (const bool exponential : {false, true}) {
      for (const bool reports : {false, true}) {
        ExpectAhead({.policy = {}, .load = load, .exponential = exponential}, reports);
      }
    }
  }
}

// Each knows what it has sent itself, and sees the others' load in the reports.
TEST(PolicySimTest, SeveralBalancersSeeEachOthersLoad) {
  const auto p99 = [](ChoicePolicy policy, double load, bool reports) {
    return PolicySim({.policy = policy, .balancers = 3, .reports = reports, .load = load})
        .Run()
        .p99_ms;
  };
  for (const double load : {0.5, 0.7, 0.85}) {
    SCOPED_TRACE(Concat("load ", load));
    const double seeing = p99(ChoicePolicy::kLeastWait, load, true);
    EXPECT_LT(seeing, 0.65 * p99(ChoicePolicy::kLeastOutstanding, load, false));
    EXPECT_LT(seeing, p99(ChoicePolicy::kLeastWait, load, false));
  }
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
