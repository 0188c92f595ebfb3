#include "balancing/load_balancer/choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tepal::lb {
namespace {

// Chooses `count` times; nothing is ever finished when `keep` is set.
std::vector<int> Spread(ChoicePolicy policy, std::vector<Candidate> pool, int count, bool keep) {
  env::SeededRandom random(7);
  std::vector<int> chosen(pool.size());
  for (int i = 0; i < count; ++i) {
    const size_t index = Choose(policy, pool, random);
    ++chosen[index];
    pool[index].turns += 1.0 / pool[index].weight;
    if (keep) ++pool[index].in_flight;
  }
  return chosen;
}

TEST(ChoiceTest, IdleEndpointsTakeTurns) {
  const auto chosen =
      Spread(ChoicePolicy::kLeastOutstanding, std::vector<Candidate>(7), 700, false);
  for (int count : chosen) EXPECT_EQ(count, 100);
}

TEST(ChoiceTest, FewestInFlightWins) {
  env::SeededRandom random(1);
  const std::vector<Candidate> pool = {{1, 3, 0}, {1, 1, 9}, {1, 2, 0}};
  EXPECT_EQ(Choose(ChoicePolicy::kLeastOutstanding, pool, random), 1u);
}

TEST(ChoiceTest, OutstandingFollowsWeight) {
  const auto chosen =
      Spread(ChoicePolicy::kLeastOutstanding, {{3, 0, 0}, {2, 0, 0}, {1, 0, 0}}, 600, true);
  EXPECT_EQ(chosen, (std::vector<int>{300, 200, 100}));
}

TEST(ChoiceTest, RoundRobinFollowsWeightWhateverIsInFlight) {
  const auto chosen = Spread(ChoicePolicy::kRoundRobin, {{3, 50, 0}, {1, 0, 0}}, 400, false);
  EXPECT_EQ(chosen, (std::vector<int>{300, 100}));
}

TEST(ChoiceTest, LargePoolsStayEven) {
  const auto chosen =
      Spread(ChoicePolicy::kLeastOutstanding, std::vector<Candidate>(100), 10000, true);
  const auto [least, most] = std::minmax_element(chosen.begin(), chosen.end());
  EXPECT_LE(*most, *least * 1.10);
}

TEST(ChoiceTest, NewcomerIsNotFloodedAndNotStarved) {
  std::vector<Candidate> pool = {{1, 0, 1000}, {1, 0, 1001}};
  EXPECT_EQ(TurnsOfNewcomer(0, pool), 1000);
  EXPECT_EQ(TurnsOfNewcomer(2000, pool), 2000);
  EXPECT_EQ(TurnsOfNewcomer(5, {}), 5);
  pool.push_back({1, 0, TurnsOfNewcomer(0, pool)});
  const auto chosen = Spread(ChoicePolicy::kLeastOutstanding, pool, 300, false);
  for (int count : chosen) EXPECT_NEAR(count, 100, 1);
}

TEST(ChoiceTest, PolicyNames) {
  EXPECT_EQ(ParseChoicePolicy("round_robin").value(), ChoicePolicy::kRoundRobin);
  EXPECT_EQ(
      ParseChoicePolicy("random").status().message(),
      "policy is 'random', expected least_outstanding, round_robin, power_of_two, least_time, "
      "least_wait or hash");
}

}  // namespace
}  // namespace tepal::lb
