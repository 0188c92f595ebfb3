// Policy "hash": keys stay where they are, within what endpoints can take.

#include <gtest/gtest.h>

#include <map>

#include "balancing/load_balancer/dispatcher.h"
#include "core/base/text.h"

namespace tepal::lb {
namespace {

constexpr Instant kNow{100s};
constexpr size_t kKeys = 2000;

EndpointSpec Spec(int number) {
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(8000 + number)};
  return spec;
}

struct Scene {
  explicit Scene(int endpoints, double bound = 0) : dispatcher(With(bound), random) {
    for (int i = 0; i < endpoints; ++i) ids.push_back(dispatcher.Add(Spec(i), kNow));
  }
  static Dispatcher::Options With(double bound) {
    Dispatcher::Options options;
    options.policy = ChoicePolicy::kHash;
    options.hash_bound = bound;
    options.health.enabled = false;
    return options;
  }
  Dispatcher::Grant Take(uint64_t key) {
    const auto admitted = dispatcher.Admit({.ticket = ++tickets, .key = key}, kNow);
    EXPECT_EQ(admitted.admission, Dispatcher::Admission::kGranted);
    return admitted.grant;
  }
  EndpointId Send(uint64_t key) {
    const Dispatcher::Grant grant = Take(key);
    dispatcher.Finish(grant, TryEnd::kAnswered, 200, kNow);
    return grant.endpoint;
  }
  std::vector<EndpointId> SendAll() {
    std::vector<EndpointId> where;
    for (size_t key = 0; key < kKeys; ++key) where.push_back(Send(HashOfText(Concat("k", key))));
    return where;
  }
  env::SeededRandom random{1};
  Dispatcher dispatcher;
  std::vector<EndpointId> ids;
  Ticket tickets = 0;
};

int Moved(const std::vector<EndpointId>& a, const std::vector<EndpointId>& b) {
  int moved = 0;
  for (size_t i = 0; i < a.size(); ++i) moved += a[i] != b[i] ? 1 : 0;
  return moved;
}

TEST(DispatcherHashTest, ComingAndGoingMovesAShareOfTheKeys) {
  Scene scene(9);
  const auto before = scene.SendAll();
  EXPECT_EQ(Moved(before, scene.SendAll()), 0);
  const EndpointId tenth = scene.dispatcher.Add(Spec(9), kNow);
  const auto with = scene.SendAll();
  EXPECT_NEAR(Moved(before, with), kKeys / 10.0, kKeys / 20.0);
  ASSERT_TRUE(scene.dispatcher.Remove(tenth, kNow).ok());
  EXPECT_EQ(scene.SendAll(), before);
  // One that is out for a while has its keys back when it returns.
  ASSERT_TRUE(scene.dispatcher.SetDown(scene.ids[0], true, kNow).ok());
  const auto without = scene.SendAll();
  for (size_t key = 0; key < kKeys; ++key) {
    if (before[key] == scene.ids[0]) {
      EXPECT_NE(without[key], scene.ids[0]);
    } else {
      EXPECT_EQ(without[key], before[key]);
    }
  }
  ASSERT_TRUE(scene.dispatcher.SetDown(scene.ids[0], false, kNow).ok());
  EXPECT_EQ(scene.SendAll(), before);
}

TEST(DispatcherHashTest, TwoBalancersAgree) {
  Scene one(8);
  Scene other(0);
  for (int i = 7; i >= 0; --i) other.dispatcher.Add(Spec(i), kNow);
  const auto here = one.SendAll();
  const auto there = other.SendAll();
  for (size_t key = 0; key < kKeys; ++key)
    EXPECT_EQ(here[key] + there[key], 9u);  // Ids are reversed.
}

TEST(DispatcherHashTest, ABoundSpreadsOneHotKey) {
  Scene scene(5, 1.25);
  std::map<EndpointId, int> chosen;
  for (int i = 0; i < 100; ++i) ++chosen[scene.Take(HashOfText("hot")).endpoint];
  EXPECT_GE(chosen.size(), 4u);  // 26 each are within the bound.
  for (const auto& [id, count] : chosen) EXPECT_LE(count, 26) << id;
  Scene unbounded(5);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(unbounded.Take(HashOfText("hot")).endpoint, unbounded.Send(HashOfText("hot")));
  }
}

TEST(DispatcherHashTest, WithoutAKeyTheLeastBusyGetsIt) {
  Scene scene(4);
  std::map<EndpointId, int> chosen;
  for (int i = 0; i < 40; ++i) ++chosen[scene.Take(0).endpoint];
  for (const auto& [id, count] : chosen) EXPECT_EQ(count, 10);
}

TEST(DispatcherHashTest, AnotherTryGoesToTheNextOnTheRing) {
  Scene scene(5);
  const uint64_t key = HashOfText("k");
  const Dispatcher::Grant failed = scene.Take(key);
  scene.dispatcher.Finish(failed, TryEnd::kConnectionLost, 0, kNow);
  const std::vector<EndpointId> tried = {failed.endpoint};
  const auto again = scene.dispatcher.Again({.failed = failed, .tried = tried, .tries = 1}, kNow);
  ASSERT_EQ(again.admission, Dispatcher::Admission::kGranted);
  ASSERT_TRUE(scene.dispatcher.SetDown(failed.endpoint, true, kNow).ok());
  EXPECT_EQ(scene.Send(key), again.grant.endpoint);
}

TEST(DispatcherHashTest, FullEndpointsPassTheirKeysOnAndNobodyWaitsInVain) {
  Scene scene(0);
  for (int i = 0; i < 3; ++i) {
    EndpointSpec spec = Spec(i);
    spec.in_flight_max = 2;
    scene.dispatcher.Add(spec, kNow);
  }
  std::map<EndpointId, int> chosen;
  for (int i = 0; i < 6; ++i) ++chosen[scene.Take(HashOfText("hot")).endpoint];
  EXPECT_EQ(chosen.size(), 3u);
  const auto waits = scene.dispatcher.Admit({.ticket = 99, .key = HashOfText("hot")}, kNow);
  EXPECT_EQ(waits.admission, Dispatcher::Admission::kWaiting);
}

TEST(DispatcherHashTest, ThePolicyAndWeightsMayChange) {
  Scene scene(6);
  const auto before = scene.SendAll();
  Dispatcher::Options options = Scene::With(0);
  options.policy = ChoicePolicy::kRoundRobin;
  scene.dispatcher.Reconfigure(options, kNow);
  EXPECT_NE(scene.SendAll(), before);
  scene.dispatcher.Reconfigure(Scene::With(0), kNow);
  EXPECT_EQ(scene.SendAll(), before);
  ASSERT_TRUE(scene.dispatcher.SetWeight(scene.ids[0], 3).ok());
  const auto heavier = scene.SendAll();
  for (size_t key = 0; key < kKeys; ++key) {
    if (heavier[key] != before[key]) {
      EXPECT_EQ(heavier[key], scene.ids[0]);
    }
  }
  EXPECT_GT(Moved(before, heavier), kKeys / 12);
  options = Scene::With(0.5);
  EXPECT_FALSE(Dispatcher::Validate(options).ok());
}

}  // namespace
}  // namespace tepal::lb
