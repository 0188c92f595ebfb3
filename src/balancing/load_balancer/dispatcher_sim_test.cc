// The dispatcher while endpoints die, freeze, refuse, come and go (testing/dispatcher_world.h).
// Each seed is a different world; a failure prints it. Run more seeds with --gtest_shuffle
// --gtest_repeat=N: every round has its own.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "balancing/load_balancer/testing/dispatcher_world.h"

namespace tepal::lb {
namespace {

// The same worlds every time, unless more are asked for.
uint64_t BaseSeed() {
  if (!GTEST_FLAG_GET(shuffle)) return 0;
  return static_cast<uint64_t>(testing::UnitTest::GetInstance()->random_seed()) * 1'000'000;
}

TEST(DispatcherSimTest, WildWorlds) {
  int failed = 0, retries = 0;
  for (uint64_t seed = BaseSeed() + 1; seed <= BaseSeed() + 100; ++seed) {
    env::SeededRandom random(seed);
    WorldOptions options;
    options.requests = 300;
    options.endpoints = 1 + static_cast<int>(random.Below(7));
    options.arrival_mean = Duration(200us) * (1 + random.Below(20));
    options.fault_mean = Duration(20ms) * (1 + random.Below(50));
    options.dispatcher.queue_size_max = 1 + static_cast<uint32_t>(random.Below(200));
    options.dispatcher.queue_time_max = Duration(100ms) * (1 + random.Below(50));
    options.dispatcher.retry_budget.tokens_start = static_cast<double>(random.Below(20));
    options.dispatcher.retry_budget.tokens_max = 20;
    if (random.Below(2) == 0) options.dispatcher.policy = ChoicePolicy::kRoundRobin;
    DispatcherWorld world(seed, options);
    world.Run();
    ASSERT_EQ(world.problem(), "") << "seed " << seed;
    failed += world.failed();
    retries += world.retries();
  }
  EXPECT_GT(failed, 0);  // Or the worlds are not wild enough to test anything.
  EXPECT_GT(retries, 0);
}

// One endpoint of several is killed, frozen, refuses or is replaced, the next when the pool has
// recovered: no client notices.
TEST(DispatcherSimTest, OneFaultAtATimeFailsNoRequest) {
  int retries = 0;
  for (uint64_t seed = BaseSeed() + 1; seed <= BaseSeed() + 100; ++seed) {
    env::SeededRandom random(seed);
    WorldOptions options;
    options.requests = 500;
    options.endpoints = 2 + static_cast<int>(random.Below(6));
    options.arrival_mean = 4ms;
    options.fault_mean = 300ms;
    options.one_fault_at_a_time = true;
    options.others = false;
    DispatcherWorld world(seed, options);
    world.Run();
    ASSERT_EQ(world.problem(), "") << "seed " << seed;
    ASSERT_EQ(world.failed(), 0) << "seed " << seed;
    retries += world.retries();
  }
  EXPECT_GT(retries, 0);
}

TEST(DispatcherSimTest, EqualEndpointsGetEqualShares) {
  for (uint64_t seed = BaseSeed() + 1; seed <= BaseSeed() + 10; ++seed) {
    WorldOptions options;
    options.requests = 3000;
    options.endpoints = 7;
    options.arrival_mean = Duration(600us) * (1 + seed % 4);
    DispatcherWorld world(seed, options);
    world.Run();
    ASSERT_EQ(world.problem(), "") << "seed " << seed;
    int least = options.requests, most = 0;
    for (const auto& [id, share] : world.shares()) {
      least = std::min(least, share);
      most = std::max(most, share);
    }
    ASSERT_EQ(world.shares().size(), 7u);
    EXPECT_LE(most, least * 1.10) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::lb
