// Batcher, balancer, autoscaler and replica set together, from a seed; and whether the simulation
// would notice if one of them were broken.
//
// Every seed is a load that steps from 1 client up to more than the platform can serve and back to
// none, half of them with replicas that die, freeze and do not start. A failure prints the seed.
// More seeds: TEPAL_SIM_SEEDS=100000.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "apps/supervisor/testing/simulated_platform.h"

namespace tepal::supervisor {
namespace {

constexpr int kTarget = 4;
constexpr int kReplicasMax = 7;
constexpr uint64_t kSeeds = 40;

UpConfig Config() {
  UpConfig config;
  config.slots.count = config.replicas.slots = kReplicasMax;
  config.replicas.start_time_max = 10s;
  config.balancer.in_flight_max = 8;
  config.autoscaler.options.replicas_max = kReplicasMax;
  config.autoscaler.options.scale_down.stabilization_window = 10s;
  config.autoscaler.in_flight = MetricConfig{.target = kTarget, .window = 3s};
  return config;
}

int Turns(const std::vector<int>& counts) {
  int turns = 0;
  int last = 0;
  for (size_t i = 1; i < counts.size(); ++i) {
    const int direction = (counts[i] > counts[i - 1]) - (counts[i] < counts[i - 1]);
    turns += direction != 0 && last != 0 && direction != last;
    if (direction != 0) last = direction;
  }
  return turns;
}

// What is wrong with this seed; empty when nothing is.
struct Totals {
  int64_t requests = 0, deaths = 0, unlucky = 0;
};
std::string Play(uint64_t seed, Bug bug, Totals* totals = nullptr) {
  env::SeededRandom random(seed);
  SimulatedPlatform platform(seed, Config(), bug);
  const bool faults = seed % 2 == 0;
  const int steady = 2 + static_cast<int>(random.Below(5));
  std::string problem;
  const auto expect = [&](bool holds, std::string_view what) {
    if (!platform.problem().empty()) problem = platform.problem();
    if (problem.empty() && !holds) problem = what;
    return problem.empty();
  };
  const auto stays_at = [&](int replicas, size_t seconds) {
    const std::vector<int>& desired = platform.desired();
    return desired.size() >= seconds &&
           std::all_of(desired.end() - static_cast<std::ptrdiff_t>(seconds), desired.end(),
                       [replicas](int count) { return count == replicas; });
  };

  platform.SetClients(1);
  platform.RunFor(15s);
  if (!expect(stays_at(1, 5), "one client needs more than one replica")) return problem;

  if (faults) platform.SetFaults(12s);
  platform.ForgetDesired();
  platform.SetClients(steady * kTarget);
  platform.RunFor(50s);
  if (!expect(stays_at(steady, 20), "a steady load does not settle at the right number") ||
      !expect(Turns(platform.desired()) <= 2, "a steady load makes it go up and down")) {
    return problem;
  }

  platform.SetClients((kReplicasMax + 2) * kTarget);
  platform.RunFor(40s);
  if (!expect(stays_at(kReplicasMax, 10), "overload does not reach the most replicas")) {
    return problem;
  }

  platform.SetFaults(0s);
  platform.RunFor(35s);
  if (!expect(platform.ready() == kReplicasMax, "not every replica came back")) return problem;

  // A dip that is shorter than the window, then down with requests in flight all the time.
  platform.SetClients(1);
  platform.RunFor(5s);
  platform.SetClients(kReplicasMax * kTarget);
  platform.RunFor(15s);
  if (!expect(stays_at(kReplicasMax, 20), "a short dip makes it go down")) return problem;
  platform.ForgetDesired();
  platform.SetClients(2 * kTarget);
  platform.RunFor(9s);
  if (!expect(stays_at(kReplicasMax, 9), "it goes down before the window is over")) return problem;
  platform.RunFor(31s);
  if (!expect(stays_at(2, 10), "it does not follow the load down")) return problem;
  platform.SetClients(0);
  platform.RunFor(40s);
  if (!expect(stays_at(1, 20), "it does not go back to the fewest replicas") ||
      !expect(platform.ready() == 1, "replicas are left over") ||
      !expect(Turns(platform.desired()) == 0, "it goes up without load")) {
    return problem;
  }
  // And once more, in slots that have been used before.
  platform.SetClients(steady * kTarget);
  platform.RunFor(30s);
  if (!expect(platform.ready() == steady, "it does not go up a second time")) return problem;
  platform.SetClients(0);
  platform.RunFor(20s);
  platform.Finish();
  if (totals != nullptr) {
    totals->requests += platform.asked();
    totals->deaths += platform.deaths();
    totals->unlucky += platform.unlucky();
  }
  expect(true, "");
  return problem;
}

uint64_t Seeds() {
  const char* const given = std::getenv("TEPAL_SIM_SEEDS");
  return given == nullptr ? kSeeds : std::strtoull(given, nullptr, 10);
}

TEST(PlatformSim, ServesEveryRequestAndSettles) {
  const uint64_t seeds = Seeds();
  Totals totals;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string problem = Play(seed, Bug::kNone, &totals);
    ASSERT_EQ(problem, "") << "seed " << seed;
  }
  // It was a real test: there was load, replicas did die, and next to nothing was lost by that.
  EXPECT_GT(totals.requests, static_cast<int64_t>(seeds) * 500);
  EXPECT_GT(totals.deaths, static_cast<int64_t>(seeds));
  EXPECT_LT(totals.unlucky, totals.requests / 100'000 + 2);
  std::printf(
      "%lld seeds, %lld requests, %lld replicas killed, %lld requests lost to three deaths\n",
      static_cast<long long>(seeds), static_cast<long long>(totals.requests),
      static_cast<long long>(totals.deaths), static_cast<long long>(totals.unlucky));
}

class PlatformSimBugs : public ::testing::TestWithParam<Bug> {};

TEST_P(PlatformSimBugs, AreFound) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    if (!Play(seed, GetParam()).empty()) return;
  }
  FAIL() << "20 seeds did not find it";
}

INSTANTIATE_TEST_SUITE_P(Batcher, PlatformSimBugs,
                         ::testing::Values(Bug::kBatcherLosesARequest, Bug::kBatcherAnswersTwice,
                                           Bug::kBatcherForgetsItsDelay));
INSTANTIATE_TEST_SUITE_P(Balancer, PlatformSimBugs,
                         ::testing::Values(Bug::kBalancerKeepsPermits, Bug::kBalancerDrainsAtOnce,
                                           Bug::kBalancerGivesUp));
INSTANTIATE_TEST_SUITE_P(Autoscaler, PlatformSimBugs,
                         ::testing::Values(Bug::kScalerSeesHalf, Bug::kScalerSeesNoise,
                                           Bug::kScalerIsStuck));

}  // namespace
}  // namespace tepal::supervisor
