// The whole balancer before servers that say which models they have ready and how loaded they are,
// in the simulated world.

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/model_scene.h"

namespace tepal::lb {
namespace {

TEST(BalancerModelsSimTest, LoadReportsAreReadAndKeptFromClients) {
  ModelScene scene({{"rose"}});
  const Answer answer = scene.Ask("/v2/models/rose/infer");
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.headers.Has(kLoadField));
  EXPECT_EQ(scene.books[0].asked_for_load, 1);
  EXPECT_EQ(scene.balancer->Read().load_reports, 1u);
  scene.books[0].load = "in_flight=many";
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer").status, 200);
  EXPECT_EQ(scene.balancer->Read().load_malformed, 1u);
  // Of anything else nothing is asked.
  EXPECT_EQ(scene.Ask("/v2/health/ready", "", {}, "GET").status, 200);
  EXPECT_EQ(scene.books[0].asked_for_load, 2);
}

TEST(BalancerModelsSimTest, OverGrpcTheReportIsATrailer) {
  for (const char* path : {kUnary, kStreaming}) {
    ModelScene scene({{"rose"}});
    const auto [end, message] = scene.Call(path, std::string("\x0a\x04rose", 6));
    EXPECT_TRUE(end.status.ok()) << end.status.message();
    EXPECT_EQ(end.trailers.Get("own"), "kept");
    EXPECT_FALSE(end.trailers.Has(kLoadField));
    EXPECT_EQ(scene.books[0].asked_for_load, 1);
    EXPECT_EQ(scene.balancer->Read().load_reports, 1u);
  }
}

TEST(BalancerModelsSimTest, RequestsGoWhereTheirModelIs) {
  for (const auto lists : {ServerBook::Lists::kOwnPath, ServerBook::Lists::kIndex}) {
    ModelScene scene({{"rose", "tulip"}, {"rose"}, {"tulip", "lily"}}, {}, lists);
    scene.Infer("rose", 30);
    scene.Infer("tulip", 30);
    scene.Infer("lily", 30);
    const auto count = [&](size_t server, std::string_view model) {
      int found = 0;
      for (const std::string& path : scene.books[server].infers_of) {
        found += path == Concat("/v2/models/", model, "/infer");
      }
      return found;
    };
    EXPECT_EQ(count(2, "rose") + count(1, "tulip") + count(0, "lily") + count(1, "lily"), 0);
    EXPECT_GT(count(0, "rose"), 5);
    EXPECT_GT(count(1, "rose"), 5);
    EXPECT_EQ(count(2, "lily"), 30);
    // What nobody has is for a server to say.
    const Answer unknown = scene.Ask("/v2/models/nettle/infer");
    EXPECT_EQ(unknown.status, 404);
    EXPECT_NE(unknown.text.find("unknown model: 'nettle'"), std::string::npos) << unknown.text;
    // An operator has taken out the only one.
    EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[2], true).ok());
    const Answer nowhere = scene.Ask("/v2/models/lily/infer");
    EXPECT_EQ(nowhere.status, 503);
    EXPECT_NE(nowhere.text.find("model 'lily' is ready on no endpoint"), std::string::npos)
        << nowhere.text;
    EXPECT_LT(nowhere.took, 1s);
  }
}

TEST(BalancerModelsSimTest, ModelRoutingIsSwitchedOffAndOn) {
  ModelScene scene({{"rose"}, {"lily"}});
  EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[1], true).ok());
  EXPECT_EQ(scene.Ask("/v2/models/lily/infer").status, 503);  // Not asked of who has it not.
  Balancer::Options options;
  options.model_routing = false;
  scene.balancer->Reconfigure(options);
  scene.world.RunFor(2s);
  EXPECT_EQ(scene.Ask("/v2/models/lily/infer").status, 404);
  EXPECT_EQ(scene.books[0].infers, 1);
  EXPECT_TRUE(scene.balancer->SetDown(scene.endpoints[1], false).ok());
  scene.balancer->Reconfigure({});
  scene.world.RunFor(15s);  // The one that did not know it is left out for 10 s.
  scene.Infer("lily", 10);
  EXPECT_EQ(scene.books[0].infers, 1);
}

TEST(BalancerModelsSimTest, AModelThatWasUnloadedIsFoundElsewhere) {
  // Also where the servers say nothing beforehand.
  for (const auto lists : {ServerBook::Lists::kOwnPath, ServerBook::Lists::kNothing}) {
    ModelScene scene({{"rose"}, {"rose"}, {"rose"}}, {}, lists);
    scene.Infer("rose", 9);
    scene.books[0].ready.clear();
    scene.Infer("rose", 30);
    const int missed = scene.books[0].infers;
    EXPECT_LE(missed, 3 + 1 + 3);  // Before, and the one that has found out.
    if (lists == ServerBook::Lists::kNothing) continue;
    scene.world.RunFor(3s);
    scene.books[0].ready = {"rose"};
    scene.world.RunFor(3s);
    scene.Infer("rose", 30);
    EXPECT_GT(scene.books[0].infers, missed + 5);
  }
}

TEST(BalancerModelsSimTest, WhatCannotBeAnsweredInTimeIsRefusedAtOnce) {
  Balancer::Options options;
  options.pool.policy = ChoicePolicy::kLeastWait;
  ModelScene scene({{"rose"}}, std::move(options));
  scene.books[0].takes = 100ms;
  scene.books[0].load = "in_flight=0,each_us=100000,instances=1";
  http::Headers soon;
  soon.Add("tepal-timeout-ms", "20");
  // Nothing is refused before it is known how long answers take.
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", soon).status, 200);
  scene.Infer("rose", 40);
  const int before = scene.books[0].infers;
  const Answer refused = scene.Ask("/v2/models/rose/infer", "{}", soon);
  EXPECT_EQ(refused.status, 504);
  EXPECT_NE(refused.text.find("the earliest answer is expected in"), std::string::npos)
      << refused.text;
  EXPECT_LT(refused.took, 20ms);
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", R"({"parameters":{"timeout":20000}})").status, 504);
  EXPECT_EQ(scene.books[0].infers, before);
  EXPECT_EQ(scene.balancer->Read().counters.refused_late, 2u);
  http::Headers later;
  later.Add("tepal-timeout-ms", "150");
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", later).status, 200);
  // With three before it, it is too late.
  for (int i = 0; i < 3; ++i) scene.Send("/v2/models/rose/infer");
  scene.world.RunFor(5ms);
  EXPECT_EQ(scene.Ask("/v2/models/rose/infer", "{}", later).status, 504);
}

TEST(BalancerModelsSimTest, WhoWaitsIsDroppedWhenItCanNoLongerBeInTime) {
  ModelScene scene({{"rose"}}, {}, ServerBook::Lists::kOwnPath, 1);
  scene.books[0].takes = 100ms;
  scene.books[0].load = "";
  scene.Infer("rose", 8);  // The least it takes is known; the pace is not yet.
  const auto first = scene.Send("/v2/models/rose/infer");
  scene.world.RunFor(1ms);
  http::Headers soon;
  soon.Add("tepal-timeout-ms", "150");
  const Answer dropped = scene.Ask("/v2/models/rose/infer", "{}", soon);
  EXPECT_EQ(dropped.status, 504);
  EXPECT_NE(dropped.text.find("no endpoint was free early enough"), std::string::npos)
      << dropped.text;
  EXPECT_LT(dropped.took, 70ms);
  EXPECT_EQ(scene.balancer->Read().counters.dropped_late, 1u);
}

TEST(BalancerModelsSimTest, ANewcomerCarriesItsShareWithinTwoSeconds) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  scene.Infer("rose", 300);
  ASSERT_TRUE(scene.balancer->RemoveEndpoint(scene.endpoints[2]).ok());
  scene.world.RunFor(1s);
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "10.0.0.1", 3};
  (void)scene.balancer->AddEndpoint(spec);
  scene.world.RunFor(2s);
  const int before = scene.books[2].infers;
  scene.Infer("rose", 300);
  EXPECT_NEAR(scene.books[2].infers - before, 100, 5);
}

TEST(BalancerModelsSimTest, AFrozenEndpointIsLeftLongBeforeTheFixedLimit) {
  Balancer::Options options;
  options.pool.health.enabled = false;  // Nothing else tells.
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}}, std::move(options));
  scene.Infer("rose", 150);
  const uint64_t retries_before = scene.balancer->Read().retries;
  scene.books[1].frozen = true;
  Duration longest{};
  for (int i = 0; i < 30; ++i) {
    const Answer answer = scene.Ask("/v2/models/rose/infer");
    EXPECT_EQ(answer.status, 200) << answer.text;
    longest = std::max(longest, answer.took);
  }
  const BalancerState state = scene.balancer->Read();
  EXPECT_GE(longest, TryLimit::kTryTimeMin);
  EXPECT_LE(longest, Duration(TryLimit::kTryTimeMin) + 100ms);  // And not 30 s.
  EXPECT_GE(state.rescued, 1u);
  EXPECT_LE(state.retries - retries_before, 6u);  // Then it is ejected.
}

TEST(BalancerModelsSimTest, WhenEverythingIsSlowNothingIsRepeatedForEver) {
  Balancer::Options options;
  options.pool.health.enabled = false;
  options.pool.retry_budget = {.share = 0.2, .tokens_start = 5, .tokens_max = 5, .active_min = 1};
  ModelScene scene({{"rose"}, {"rose"}}, std::move(options));
  scene.Infer("rose", 150);
  for (ServerBook& book : scene.books) {
    book.takes = 3s;  // A thousand times as long as before.
    book.infers = 0;
  }
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(scene.Ask("/v2/models/rose/infer").status, 200);
  }
  const int tries = scene.books[0].infers + scene.books[1].infers;
  EXPECT_LE(tries, 40 + 5 + 40 / 5 + 2);
}

TEST(BalancerModelsSimTest, ModelsAreShownWhileTheyAreSomewhereOrInUse) {
  ModelScene scene({{"rose"}, {"rose"}});
  scene.Infer("rose", 40);
  scene.world.RunFor(1s);
  const std::vector<ModelReading> models = scene.balancer->ReadModels();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].status.ready, 2u);
  EXPECT_EQ(models[0].status.counts.responses[1], 40u);
  EXPECT_GT(models[0].rate_10s, 3);
  EXPECT_EQ(scene.balancer->ReadModelEndpoints(models[0].status.number).size(), 2u);
  for (const EndpointId id : scene.endpoints) EXPECT_TRUE(scene.balancer->SetDown(id, true).ok());
  EXPECT_EQ(scene.balancer->ReadModels().size(), 1u);
  scene.world.RunFor(70s);
  EXPECT_TRUE(scene.balancer->ReadModels().empty());
}

}  // namespace
}  // namespace tepal::lb
