// What a dispatcher says of its models.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {
namespace {

constexpr Instant kNow{100s};

struct Scene {
  Scene() : dispatcher(WithoutChecks(), random) {
    for (uint16_t port = 1; port <= 3; ++port) {
      EndpointSpec spec;
      spec.address = {env::Address::Family::kIp4, "127.0.0.1", port};
      spec.in_flight_max = 1;
      endpoints.push_back(dispatcher.Add(std::move(spec), kNow));
    }
  }
  static Dispatcher::Options WithoutChecks() {
    Dispatcher::Options options;
    options.health.enabled = false;
    options.queue_time_max = 1s;
    return options;
  }
  void List(size_t endpoint, const std::vector<std::string>& ready) {
    ServerLoad load;
    for (const std::string& name : ready) load.models.push_back({name, {}});
    dispatcher.OnListing(endpoints[endpoint], &load, kNow);
  }
  Dispatcher::Admitted Ask(std::string_view model) {
    return dispatcher.Admit({.ticket = ++tickets, .model = model}, kNow);
  }
  std::map<std::string, ModelStatus> Models() const {
    std::map<std::string, ModelStatus> models;
    for (ModelStatus& model : dispatcher.Models(1, 100, kNow)) {
      models[model.name] = std::move(model);
    }
    return models;
  }
  env::SeededRandom random{1};
  Dispatcher dispatcher;
  std::vector<EndpointId> endpoints;
  Ticket tickets = 0;
};

TEST(DispatcherModelsTest, WhereTheyAreReady) {
  Scene scene;
  scene.List(0, {"rose", "tulip"});
  scene.List(1, {"rose"});
  EXPECT_EQ(scene.dispatcher.models(), 2u);
  auto models = scene.Models();
  EXPECT_EQ(models["rose"].ready, 2u);
  EXPECT_EQ(models["tulip"].ready, 1u);
  EXPECT_EQ(models["tulip"].silent, 1u);
  ASSERT_TRUE(scene.dispatcher.SetDown(scene.endpoints[0], true, kNow).ok());
  models = scene.Models();
  EXPECT_EQ(models["rose"].ready, 1u);
  EXPECT_EQ(models["tulip"].ready, 0u);

  const auto places = scene.dispatcher.ModelEndpoints(models["tulip"].number, kNow);
  ASSERT_EQ(places.size(), 3u);
  EXPECT_EQ(places[0].endpoint, scene.endpoints[0]);
  EXPECT_EQ(places[0].ready, true);
  EXPECT_EQ(places[1].ready, false);
  EXPECT_EQ(places[2].ready, std::nullopt);
  EXPECT_TRUE(scene.dispatcher.ModelEndpoints(0, kNow).empty());
  EXPECT_TRUE(scene.dispatcher.ModelEndpoints(3, kNow).empty());
}

TEST(DispatcherModelsTest, WhatBecameOfTheirRequests) {
  Scene scene;
  scene.List(0, {"rose"});
  scene.List(1, {});
  scene.List(2, {});
  for (const int status : {200, 200, 404, 500}) {
    const auto admitted = scene.Ask("rose");
    ASSERT_EQ(admitted.admission, Dispatcher::Admission::kGranted);
    scene.dispatcher.Finish(admitted.grant, TryEnd::kAnswered, status, kNow + 10ms);
  }
  scene.dispatcher.Finish(scene.Ask("rose").grant, TryEnd::kConnectionLost, 0, kNow);
  scene.dispatcher.Finish(scene.Ask("rose").grant, TryEnd::kCancelled, 0, kNow);
  const auto working = scene.Ask("rose");
  ASSERT_EQ(working.admission, Dispatcher::Admission::kGranted);
  EXPECT_EQ(scene.Ask("rose").admission, Dispatcher::Admission::kWaiting);
  ModelStatus rose = scene.Models()["rose"];
  EXPECT_EQ(rose.counts.requests, 7u);
  EXPECT_EQ(rose.counts.in_flight, 1u);
  EXPECT_EQ(rose.counts.responses, (std::array<uint64_t, 5>{0, 2, 0, 1, 1}));
  EXPECT_EQ(rose.counts.failures, 1u);
  EXPECT_EQ(rose.waiting, 1u);
  EXPECT_EQ(rose.refused, 0u);
  EXPECT_NEAR(ToMilliseconds(rose.latency_p50.value()), 10, 1);
  EXPECT_EQ(scene.dispatcher.ModelRequests(), (std::vector<uint64_t>{7}));
  const auto places = scene.dispatcher.ModelEndpoints(rose.number, kNow);
  EXPECT_EQ(places[0].counts.responses, rose.counts.responses);
  EXPECT_EQ(places[0].counts.in_flight, 1u);
  EXPECT_EQ(places[1].counts.requests, 0u);

  // One waits too long, one finds its model nowhere.
  Dispatcher::Due due;
  scene.dispatcher.Poll(kNow + 2s, due);
  EXPECT_EQ(due.expired.size(), 1u);
  ASSERT_TRUE(scene.dispatcher.SetDown(scene.endpoints[0], true, kNow).ok());
  EXPECT_EQ(scene.Ask("rose").admission, Dispatcher::Admission::kModelNowhere);
  rose = scene.Models()["rose"];
  EXPECT_EQ(rose.waiting, 0u);
  EXPECT_EQ(rose.refused, 2u);
}

TEST(DispatcherModelsTest, TheyAreReadAFewAtATime) {
  Scene scene;
  scene.List(0, {"a", "b", "c"});
  EXPECT_EQ(scene.dispatcher.Models(1, 2, kNow).size(), 2u);
  const auto rest = scene.dispatcher.Models(3, 2, kNow);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].number, 3u);
  EXPECT_EQ(rest[0].name, "c");
  EXPECT_TRUE(scene.dispatcher.Models(4, 2, kNow).empty());
}

}  // namespace
}  // namespace tepal::lb
