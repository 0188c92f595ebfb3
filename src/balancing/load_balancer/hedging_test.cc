#include "balancing/load_balancer/hedging.h"

#include <gtest/gtest.h>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {
namespace {

constexpr Instant kStart{100s};

TEST(HedgingTest, OnlyWhatDoesNoHarmIsSentTwice) {
  const auto may = [](RouteKind route, bool sequence, bool whole, uint32_t tries) {
    return MayHedge({route, sequence, whole, tries}, 3);
  };
  EXPECT_TRUE(may(RouteKind::kInfer, false, true, 1));
  EXPECT_TRUE(may(RouteKind::kInfer, false, true, 2));
  EXPECT_FALSE(may(RouteKind::kInfer, false, true, 3));   // As many tries as there may be.
  EXPECT_FALSE(may(RouteKind::kInfer, true, true, 1));    // The state would change twice.
  EXPECT_FALSE(may(RouteKind::kInfer, false, false, 1));  // Its body is not kept whole.
  for (const RouteKind route :
       {RouteKind::kStream, RouteKind::kRead, RouteKind::kHealth, RouteKind::kChangesOneReplica,
        RouteKind::kOther, RouteKind::kCall}) {
    EXPECT_FALSE(may(route, false, true, 1)) << static_cast<int>(route);
  }
}

TEST(HedgingTest, IsOffUntilItIsSwitchedOn) {
  Hedging hedging({});
  for (int i = 0; i < 1000; ++i) hedging.OnRequest();
  EXPECT_EQ(hedging.After(10ms), 0ns);
  EXPECT_FALSE(hedging.TryBegin({}));
  EXPECT_EQ(hedging.refused(), 0u);
  hedging.Reconfigure({.after = 50ms});
  EXPECT_EQ(hedging.After(10ms), 50ms);
  EXPECT_FALSE(hedging.TryBegin({}));  // What came before has saved nothing.
  EXPECT_EQ(hedging.refused(), 1u);
}

TEST(HedgingTest, AfterWhatIsUsualOrAFixedTime) {
  const Hedging usual({.quantile = 0.95});
  EXPECT_EQ(usual.After(30ms), 30ms);
  EXPECT_EQ(usual.After(std::nullopt), 0ns);  // Nothing is known yet.
  const Hedging fixed({.after = 50ms});
  EXPECT_EQ(fixed.After(30ms), 50ms);
  EXPECT_EQ(fixed.After(std::nullopt), 50ms);
}

TEST(HedgingTest, TheBudgetIsKeptExactly) {
  constexpr double kShare = 1.0 / 16;
  Hedging hedging({.after = 50ms, .share = kShare, .tokens_max = 5});
  for (int i = 1; i <= 1000; ++i) {
    hedging.OnRequest();
    if (hedging.TryBegin({})) hedging.OnEnd();
    EXPECT_EQ(hedging.begun(), static_cast<uint64_t>(i / 16));
  }
  EXPECT_EQ(hedging.refused(), 1000 - 1000u / 16);
  // What is saved up is at most tokens_max.
  for (int i = 0; i < 1000; ++i) hedging.OnRequest();
  int saved = 0;
  while (hedging.TryBegin({})) ++saved;
  EXPECT_EQ(saved, 5);
  EXPECT_EQ(hedging.active(), 5u);
}

TEST(HedgingTest, OnlyWhereThereIsRoomForIt) {
  Hedging hedging({.after = 50ms, .share = 1, .tokens_max = 1});
  hedging.OnRequest();
  EXPECT_FALSE(hedging.TryBegin({.panic = true}));
  EXPECT_FALSE(hedging.TryBegin({.others_wait = true}));
  EXPECT_FALSE(hedging.TryBegin({.expected = 0.1, .usual = 50ms}));
  EXPECT_EQ(hedging.refused(), 0u);  // The budget is asked last.
  EXPECT_TRUE(hedging.TryBegin({.expected = 0.051, .usual = 50ms}));
}

TEST(HedgingTest, OptionsThatMakeNoSenseAreNamed) {
  EXPECT_TRUE(Hedging::Validate({}).ok());
  EXPECT_NE(Hedging::Validate({.quantile = 1}).message().find("quantile is 1"), std::string::npos);
  EXPECT_NE(Hedging::Validate({.after = -1ns}).message().find("after"), std::string::npos);
  EXPECT_NE(Hedging::Validate({.share = 2}).message().find("share is 2"), std::string::npos);
  EXPECT_NE(Hedging::Validate({.tokens_max = 0}).message().find("tokens_max is 0"),
            std::string::npos);
}

// A pool that has learned how long its model takes: 10 ms.
struct Scene {
  explicit Scene(int endpoints, uint32_t in_flight_max = 0) : dispatcher(Options(), random) {
    for (int i = 0; i < endpoints; ++i) {
      EndpointSpec spec;
      spec.address = {env::Address::Family::kIp4, "127.0.0.1", static_cast<uint16_t>(1 + i)};
      spec.in_flight_max = in_flight_max;
      ids.push_back(dispatcher.Add(spec, now));
    }
    for (int i = 0; i < 400; ++i) Answer(Ask(), 10ms);
  }
  static Dispatcher::Options Options() {
    Dispatcher::Options options;
    options.health.enabled = false;
    options.hedging.quantile = 0.95;
    return options;
  }
  Dispatcher::Grant Ask() {
    return dispatcher.Admit({.ticket = ++tickets, .model = "flower"}, now).grant;
  }
  void Answer(const Dispatcher::Grant& grant, Duration after) {
    now += after;
    dispatcher.Finish(grant, TryEnd::kAnswered, 200, now, {.model = "flower"});
  }
  uint32_t InFlight(EndpointId id) {
    return dispatcher.Endpoints()[static_cast<size_t>(id - 1)].in_flight;
  }

  env::SeededRandom random{1};
  Instant now = kStart;
  Dispatcher dispatcher;
  std::vector<EndpointId> ids;
  Ticket tickets = 0;
};

TEST(HedgingTest, ASecondTryGoesElsewhereAndIsCountedThere) {
  Scene scene(2);
  const auto first = scene.Ask();
  EXPECT_NEAR(ToMilliseconds(first.hedge_after), 10, 0.5);
  EXPECT_FALSE(first.hedge);
  const auto second = scene.dispatcher.Hedge(first, {first.endpoint}, scene.now + 10ms);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(second->endpoint, first.endpoint);
  EXPECT_TRUE(second->hedge);
  EXPECT_EQ(scene.InFlight(first.endpoint), 1u);
  EXPECT_EQ(scene.InFlight(second->endpoint), 1u);
  EXPECT_EQ(scene.dispatcher.hedging().active(), 1u);
  scene.Answer(*second, 20ms);
  scene.dispatcher.Finish(first, TryEnd::kOutrun, 0, scene.now);
  EXPECT_EQ(scene.InFlight(first.endpoint), 0u);
  EXPECT_EQ(scene.InFlight(second->endpoint), 0u);
  EXPECT_EQ(scene.dispatcher.hedging().active(), 0u);
}

TEST(HedgingTest, ThereIsNoneWithoutAnEndpointThatIsFree) {
  Scene scene(2, 1);
  const auto first = scene.Ask();
  const auto second = scene.Ask();
  const auto later = scene.now + 10ms;
  EXPECT_FALSE(scene.dispatcher.Hedge(first, {first.endpoint}, later).has_value());
  EXPECT_EQ(scene.dispatcher.hedging().refused(), 0u);
  scene.Answer(second, 10ms);
  EXPECT_TRUE(scene.dispatcher.Hedge(first, {first.endpoint}, later).has_value());
}

TEST(HedgingTest, ThereIsNoneWhereItWouldTakeLonger) {
  Scene scene(2);
  std::vector<Dispatcher::Grant> grants;
  for (int i = 0; i < 8; ++i) grants.push_back(scene.Ask());  // Four each.
  EXPECT_FALSE(
      scene.dispatcher.Hedge(grants[0], {grants[0].endpoint}, scene.now + 10ms).has_value());
}

TEST(HedgingTest, ThereIsNoneWhileOthersWait) {
  Scene scene(3, 1);
  const auto first = scene.Ask();
  (void)scene.Ask();
  const auto third = scene.Ask();
  ASSERT_EQ(scene.dispatcher.Admit({.ticket = 1000}, scene.now).admission,
            Dispatcher::Admission::kWaiting);
  // Before the line is looked at.
  scene.dispatcher.Finish(third, TryEnd::kAnswered, 200, scene.now);
  EXPECT_FALSE(scene.dispatcher.Hedge(first, {first.endpoint}, scene.now + 10ms).has_value());
}

TEST(HedgingTest, ThereIsNoneInPanic) {
  Scene scene(4);
  const auto first = scene.Ask();
  const auto hedge = [&] {
    return scene.dispatcher.Hedge(first, {first.endpoint}, scene.now).has_value();
  };
  EXPECT_TRUE(hedge());
  // Three of four fail until they are ejected; that many may not be, unless they may.
  Dispatcher::Options options = Scene::Options();
  options.ejection.share_max = 1;
  scene.dispatcher.Reconfigure(options, scene.now);
  for (int i = 0; i < 40; ++i) {
    const auto grant = scene.Ask();
    scene.now += 1ms;
    const bool good = grant.endpoint == first.endpoint;
    scene.dispatcher.Finish(grant, good ? TryEnd::kAnswered : TryEnd::kConnectionLost, 200,
                            scene.now);
  }
  int ejected = 0;
  for (const auto& endpoint : scene.dispatcher.Endpoints()) {
    ejected += endpoint.state == EndpointState::kEjected;
  }
  ASSERT_EQ(ejected, 3);
  EXPECT_FALSE(hedge());
}

// An endpoint whose tries are outrun is no failing one, but it is known to be slow.
TEST(HedgingTest, WhatIsOutrunCountsAsTimeAndNotAsAFailure) {
  Dispatcher::Options options = Scene::Options();
  options.policy = ChoicePolicy::kLeastWait;
  Scene scene(2);
  scene.dispatcher.Reconfigure(options, scene.now);
  const EndpointId stalls = scene.ids[0];
  int chosen = 0;
  for (int i = 0; i < 200; ++i) {
    const auto grant = scene.Ask();
    if (grant.endpoint != stalls) {
      scene.Answer(grant, 10ms);
      continue;
    }
    ++chosen;
    scene.now += 50ms;
    scene.dispatcher.Finish(grant, TryEnd::kOutrun, 0, scene.now);
  }
  EXPECT_LT(chosen, 20);
  for (const auto& endpoint : scene.dispatcher.Endpoints()) {
    EXPECT_EQ(endpoint.state, EndpointState::kUp);
    EXPECT_EQ(endpoint.ejections, 0u);
  }
}

}  // namespace
}  // namespace tepal::lb
