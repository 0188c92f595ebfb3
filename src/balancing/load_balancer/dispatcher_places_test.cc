// Backups, slow start and large pools.

#include <gtest/gtest.h>

#include <map>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {
namespace {

constexpr Instant kStart{100s};

EndpointSpec Spec(int number) {
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "127.0.0.1", static_cast<uint16_t>(1 + number)};
  return spec;
}

struct Scene {
  explicit Scene(ChoicePolicy policy = ChoicePolicy::kLeastOutstanding)
      : dispatcher(With(policy), random) {}
  static Dispatcher::Options With(ChoicePolicy policy) {
    Dispatcher::Options options;
    options.policy = policy;
    options.health.enabled = false;
    return options;
  }
  // Who gets the next requests, each of which is answered at once, or not at all.
  std::map<EndpointId, int> Spread(int count, Instant now, bool keep = false) {
    std::map<EndpointId, int> chosen;
    for (int i = 0; i < count; ++i) {
      const auto admitted = dispatcher.Admit({.ticket = ++tickets}, now);
      if (admitted.admission != Dispatcher::Admission::kGranted) break;
      ++chosen[admitted.grant.endpoint];
      if (!keep) dispatcher.Finish(admitted.grant, TryEnd::kAnswered, 200, now);
    }
    return chosen;
  }
  env::SeededRandom random{1};
  Dispatcher dispatcher;
  Ticket tickets = 0;
};

TEST(DispatcherPlacesTest, BackupsWorkOnlyWhileNobodyElseDoes) {
  Scene scene;
  const EndpointId first = scene.dispatcher.Add(Spec(1), kStart);
  const EndpointId second = scene.dispatcher.Add(Spec(2), kStart);
  EndpointSpec spec = Spec(3);
  spec.backup = true;
  const EndpointId backup = scene.dispatcher.Add(spec, kStart);
  using Chosen = std::map<EndpointId, int>;
  EXPECT_EQ(scene.Spread(10, kStart), (Chosen{{first, 5}, {second, 5}}));
  ASSERT_TRUE(scene.dispatcher.SetDown(first, true, kStart).ok());
  EXPECT_EQ(scene.Spread(10, kStart), (Chosen{{second, 10}}));
  ASSERT_TRUE(scene.dispatcher.Drain(second, kStart).ok());
  EXPECT_EQ(scene.Spread(10, kStart), (Chosen{{backup, 10}}));
  ASSERT_TRUE(scene.dispatcher.SetDown(first, false, kStart).ok());
  EXPECT_EQ(scene.Spread(10, kStart), (Chosen{{first, 10}}));
  ASSERT_TRUE(scene.dispatcher.Remove(first, kStart).ok());
  ASSERT_TRUE(scene.dispatcher.Remove(second, kStart).ok());
  EXPECT_EQ(scene.Spread(10, kStart), (Chosen{{backup, 10}}));
}

TEST(DispatcherPlacesTest, SlowStartGrowsWithTime) {
  for (const ChoicePolicy policy : {ChoicePolicy::kLeastOutstanding, ChoicePolicy::kRoundRobin,
                                    ChoicePolicy::kLeastTime, ChoicePolicy::kLeastWait}) {
    Scene scene(policy);
    const EndpointId old = scene.dispatcher.Add(Spec(1), kStart);
    EndpointSpec spec = Spec(2);
    spec.slow_start = 10s;
    const EndpointId fresh = scene.dispatcher.Add(spec, kStart);
    EXPECT_NEAR(scene.Spread(300, kStart + 1s)[fresh], 300 / 11, 3);
    EXPECT_NEAR(scene.Spread(300, kStart + 5s)[fresh], 100, 3);
    EXPECT_NEAR(scene.Spread(300, kStart + 20s)[fresh], 150, 3);
    // The only one there is carries everything from the start.
    ASSERT_TRUE(scene.dispatcher.SetDown(fresh, true, kStart + 20s).ok());
    ASSERT_TRUE(scene.dispatcher.SetDown(old, true, kStart + 20s).ok());
    ASSERT_TRUE(scene.dispatcher.SetDown(fresh, false, kStart + 20s).ok());
    EXPECT_EQ(scene.Spread(10, kStart + 20s)[fresh], 10);
  }
}

TEST(DispatcherPlacesTest, EveryPermitOfALargePoolIsUsed) {
  for (const ChoicePolicy policy :
       {ChoicePolicy::kLeastOutstanding, ChoicePolicy::kPowerOfTwo, ChoicePolicy::kLeastWait}) {
    Scene scene(policy);
    for (int i = 0; i < 200; ++i) {
      EndpointSpec spec = Spec(i);
      spec.in_flight_max = 2;
      scene.dispatcher.Add(spec, kStart);
    }
    const auto chosen = scene.Spread(1000, kStart, true);
    EXPECT_EQ(chosen.size(), 200u);
    for (const auto& [id, count] : chosen) EXPECT_EQ(count, 2);
  }
}

TEST(DispatcherPlacesTest, ChecksOfALargePoolComeWhenEachIsDue) {
  Dispatcher::Options options;
  options.health.interval_starting = options.health.interval;
  env::SeededRandom random(1);
  Dispatcher dispatcher(options, random);
  for (int i = 0; i < 1000; ++i) dispatcher.Add(Spec(i), kStart + i * 1ms);
  std::map<EndpointId, int> checks;
  for (Instant now = kStart + 1s; now < kStart + 11s; now += 1ms) {
    Dispatcher::Due due;
    dispatcher.Poll(now, due);
    for (const Dispatcher::Check& check : due.checks) {
      ++checks[check.endpoint];
      dispatcher.OnCheck(check.endpoint, check.number, "", now);
    }
    ASSERT_GE(dispatcher.NextDeadline(now).value(), now);
  }
  EXPECT_EQ(checks.size(), 1000u);
  for (const auto& [id, count] : checks) EXPECT_NEAR(count, 10, 1);
}

TEST(DispatcherPlacesTest, ASequenceIsWhereItsFirstWasTakenAtLast) {
  Scene scene;
  for (int i = 1; i <= 3; ++i) scene.dispatcher.Add(Spec(i), kStart);
  auto first = scene.dispatcher.Admit({.ticket = 1, .sequence = 9, .sequence_start = true}, kStart);
  const EndpointId refused = first.grant.endpoint;
  scene.dispatcher.Finish(first.grant, TryEnd::kUnprocessed, 0, kStart);
  const std::vector<EndpointId> tried = {refused};
  const auto again = scene.dispatcher.Again(
      {.failed = first.grant, .tried = tried, .tries = 1, .unprocessed = true}, kStart);
  ASSERT_EQ(again.admission, Dispatcher::Admission::kGranted);
  ASSERT_NE(again.grant.endpoint, refused);
  scene.dispatcher.Finish(again.grant, TryEnd::kAnswered, 200, kStart);
  for (Ticket ticket = 2; ticket < 12; ++ticket) {
    const auto next = scene.dispatcher.Admit({.ticket = ticket, .sequence = 9}, kStart);
    EXPECT_EQ(next.grant.endpoint, again.grant.endpoint);
    scene.dispatcher.Finish(next.grant, TryEnd::kAnswered, 200, kStart);
  }
}

TEST(DispatcherPlacesTest, SequencesStayWhereTheyBegan) {
  Scene scene;
  for (int i = 0; i < 7; ++i) scene.dispatcher.Add(Spec(i), kStart);
  std::map<uint64_t, EndpointId> where;
  const auto send = [&](uint64_t sequence, bool start, bool end) {
    const auto admitted = scene.dispatcher.Admit({.ticket = ++scene.tickets,
                                                  .sequence = sequence,
                                                  .sequence_start = start,
                                                  .sequence_end = end},
                                                 kStart);
    EXPECT_EQ(admitted.admission, Dispatcher::Admission::kGranted);
    scene.dispatcher.Finish(admitted.grant, TryEnd::kAnswered, 200, kStart);
    return admitted.grant.endpoint;
  };
  for (uint64_t sequence = 1; sequence <= 70; ++sequence)
    where[sequence] = send(sequence, true, false);
  ASSERT_TRUE(scene.dispatcher.Drain(where[1], kStart).ok());
  for (int round = 0; round < 3; ++round) {
    for (const auto& [sequence, endpoint] : where)
      EXPECT_EQ(send(sequence, false, false), endpoint);
  }
  EXPECT_EQ(send(1, false, true), where[1]);
  EXPECT_NE(send(1, true, false), where[1]);  // A new one, and that endpoint drains.
  ASSERT_TRUE(scene.dispatcher.SetDown(where[2], true, kStart).ok());
  EXPECT_NE(send(2, false, false), where[2]);  // For the server to say that it does not know it.
}

}  // namespace
}  // namespace tepal::lb
