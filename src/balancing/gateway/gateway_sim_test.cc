// A configured balancer in the simulated world, reloaded while clients send requests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "balancing/gateway/testing/gateway_scene.h"

namespace tepal::gateway {
namespace {

using testing::HasSubstr;

TEST(GatewaySimTest, AReloadUnderLoadLosesNothing) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene(seed, kOne);
    scene.Send(80, 2000);
    scene.world_.RunFor(300ms);
    EXPECT_THAT(scene.Reload(kTwo), HasSubstr("pools: 1 added, 0 removed; listeners: 1 added; "
                                              "endpoints: 5 added, 1 removed, 0 changed"));
    scene.Send(81, 100);
    scene.world_.RunFor(300ms);
    EXPECT_THAT(scene.Reload(kOne), HasSubstr("pools: 0 added, 1 removed"));
    scene.Finish();
    EXPECT_EQ(scene.failed_, 0) << "seed " << seed << ": " << scene.failure_;
    EXPECT_GT(scene.answers_["3"], 0) << "seed " << seed;
    EXPECT_GT(scene.answers_["4"], 0) << "seed " << seed;
  }
}

TEST(GatewaySimTest, ARemovedPoolsAddressIsFreeAgain) {
  Scene scene(1, kTwo);
  scene.Reload(kOne);
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 1u);
  EXPECT_THAT(scene.Reload(kTwo), HasSubstr("pools: 1 added"));
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 2u);
  scene.Send(81, 10);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
}

TEST(GatewaySimTest, WhatNeedsARestartChangesNothing) {
  Scene scene(1, kOne);
  const std::string next = Concat(kTwo, "threads: 3\n");
  EXPECT_THAT(scene.Reload(next),
              HasSubstr("nothing was applied; a restart is needed for threads"));
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 1u);
  EXPECT_EQ(scene.gateway_->admin().generation, 1u);
  scene.Reload(kTwo);
  EXPECT_EQ(scene.gateway_->admin().generation, 2u);
}

TEST(GatewaySimTest, RetriesAreOthersForRequestsFromNowOn) {
  Scene scene(1, kOne);
  scene.Send(80, 1);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  const auto with = [](const std::string& retries) {
    return Concat(R"(
listeners: [{address: "127.0.0.1:80", pool: a}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}, {address: "10.0.0.1:2"}], retries: {)",
                  retries, R"(}}}
admin: {enabled: false}
)");
  };
  EXPECT_THAT(scene.Reload(with("try_time_max: 2ms, tries_max: 1")), HasSubstr("0 added"));
  scene.Send(80, 1);  // Over the connection of before.
  scene.Finish();
  EXPECT_EQ(scene.failed_, 1);
  EXPECT_EQ(scene.failure_, "504");
  EXPECT_THAT(scene.Reload(kOne), HasSubstr("0 added"));
  scene.Send(80, 1);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 1) << scene.failure_;
}

TEST(GatewaySimTest, LimitsAreOthersForConnectionsFromNowOn) {
  Scene scene(1, kOne);
  const auto post = [&](net::HttpClient& client) {
    http::RequestHead head;
    head.method = "POST";
    head.target = "/v2/models/m/infer";
    head.scheme = "http";
    BufferList body;
    body.push_back(Buffer::Copy(std::string(100, 'x')));
    std::string answer;
    scene.client_loop_->Post([&, head, body = std::move(body)]() mutable {
      client.Fetch({env::Address::Family::kIp4, "127.0.0.1", 80}, std::move(head), std::move(body),
                   60s, [&](Result<net::HttpClient::Response> response) {
                     answer = response.ok() ? Concat(response->head.status) : "refused";
                   });
    });
    EXPECT_TRUE(scene.world_.RunUntil([&] { return !answer.empty(); }, 60s));
    return answer;
  };
  EXPECT_EQ(post(*scene.client_), "200");
  scene.Reload(Concat(kOne, "limits: {body_bytes_max: 10}\n"));
  net::HttpClient second(*scene.client_loop_, {});
  EXPECT_EQ(post(*scene.client_), "200");
  EXPECT_EQ(post(second), "413");
  scene.Reload(Concat(kOne, "limits: {connections_max: 1}\n"));
  net::HttpClient third(*scene.client_loop_, {});
  EXPECT_EQ(post(*scene.client_), "200");
  EXPECT_EQ(post(third), "refused");
  scene.Reload(kOne);
  EXPECT_EQ(post(third), "200");
}

std::string WithAuth(const std::string& auth) {
  return Concat(R"(
listeners: [{address: "127.0.0.1:80", pool: a}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}, {address: "10.0.0.1:2"}])",
                auth, R"(}}
admin: {enabled: false}
)");
}

// The status of a GET, and what else the answer says.
std::string StatusOf(Scene& scene, const std::string& token, const std::string& target = "/v2") {
  http::RequestHead head;
  head.method = "GET";
  head.target = target;
  head.scheme = "http";
  if (!token.empty()) head.headers.Add("authorization", "Bearer " + token);
  std::string answer;
  scene.client_loop_->Post([&, head]() mutable {
    scene.client_->Fetch({env::Address::Family::kIp4, "127.0.0.1", 80}, std::move(head), {}, 60s,
                         [&](Result<net::HttpClient::Response> response) {
                           ASSERT_TRUE(response.ok()) << response.status().message();
                           answer = Concat(response->head.status);
                           const http::Headers& headers = response->head.headers;
                           if (headers.Has("www-authenticate")) answer += " Bearer";
                           if (!headers.Has("x-request-id")) answer += " without an id";
                         });
  });
  EXPECT_TRUE(scene.world_.RunUntil([&] { return !answer.empty(); }, 60s));
  return answer;
}

TEST(GatewaySimTest, ATokenIsWantedWhereItIsSwitchedOn) {
  Scene scene(1, kOne);
  scene.files_.Write("users", "ann 0123456789abcdef");
  scene.Restart(WithAuth(", auth: {tokens_file: users}"));
  const auto status = [&](const std::string& token, const std::string& target) {
    return StatusOf(scene, token, target);
  };
  EXPECT_EQ(status("", "/v2"), "401 Bearer");
  EXPECT_EQ(status("fedcba9876543210", "/v2"), "401 Bearer");
  EXPECT_EQ(status("0123456789abcdef", "/v2"), "200");
  EXPECT_EQ(status("", "/v2/models/stats"), "401 Bearer");  // Of all replicas.
  EXPECT_EQ(status("", "/v2/health/ready"), "200");         // Probes have no tokens.
  scene.files_.Write("users", "bob fedcba9876543210");
  scene.world_.RunFor(3s);
  EXPECT_EQ(status("0123456789abcdef", "/v2"), "401 Bearer");
  EXPECT_EQ(status("fedcba9876543210", "/v2"), "200");
  scene.files_.Write("users", "nobody short");  // It stays as it was.
  scene.world_.RunFor(3s);
  EXPECT_EQ(status("fedcba9876543210", "/v2"), "200");
}

TEST(GatewaySimTest, WhoMayIsAnotherFromNowOn) {
  Scene scene(1, kOne);
  const std::string ann = "0123456789abcdef", bob = "fedcba9876543210";
  scene.files_.Write("users", Concat("ann ", ann));
  scene.files_.Write("others", Concat("bob ", bob));
  scene.files_.Write("bad", "nobody short");
  EXPECT_EQ(StatusOf(scene, ""), "200");
  scene.Send(80, 1);  // On its way when tokens begin to be wanted.
  scene.world_.RunFor(2ms);
  EXPECT_THAT(scene.Reload(WithAuth(", auth: {tokens_file: users}")), HasSubstr("0 added"));
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(StatusOf(scene, ""), "401 Bearer");
  EXPECT_EQ(StatusOf(scene, ann), "200");
  scene.Reload(WithAuth(", auth: {tokens_file: others}"));
  EXPECT_EQ(StatusOf(scene, ann), "401 Bearer");
  EXPECT_EQ(StatusOf(scene, bob), "200");
  // The other file is watched, the one before is not any more.
  scene.files_.Write("others", Concat("ann ", ann));
  scene.files_.Write("users", Concat("bob ", bob));
  scene.world_.RunFor(3s);
  EXPECT_EQ(StatusOf(scene, ann), "200");
  EXPECT_EQ(StatusOf(scene, bob), "401 Bearer");
  // One that is wrong changes nothing, also where it is a new pool's.
  EXPECT_THAT(scene.Reload(WithAuth(", auth: {tokens_file: bad}")),
              HasSubstr("auth of pool 'a': bad:1: "));
  EXPECT_THAT(scene.Reload(WithAuth("}, b: {endpoints: [], auth: {tokens_file: nowhere}")),
              HasSubstr("auth of pool 'b': "));
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 1u);
  EXPECT_EQ(StatusOf(scene, bob), "401 Bearer");
  scene.Reload(kOne);
  EXPECT_EQ(StatusOf(scene, ""), "200");
}

TEST(GatewaySimTest, TheReplayBudgetIsAnotherFromNowOn) {
  const auto with = [](int total) {
    return Concat(R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}],
            retries: {replay_bytes_max: 100, replay_total_bytes_max: )",
                  total, "}}}\nadmin: {enabled: false}\n");
  };
  Scene scene(1, with(1000));
  const auto kept = [&] { return scene.gateway_->admin().Find("a")->control->Read().replay_bytes; };
  // The most that eight requests at once hold.
  const auto most = [&] {
    scene.Send(80, 8, std::string(100, 'x'));
    uint64_t held = 0;
    for (int i = 0; i < 30; ++i) {
      scene.world_.RunFor(500us);
      held = std::max(held, kept());
    }
    return held;
  };
  EXPECT_GT(most(), 200u);
  scene.Send(80, 8, std::string(100, 'x'));
  scene.world_.RunFor(2ms);  // On their way when the budget shrinks.
  EXPECT_THAT(scene.Reload(with(200)), HasSubstr("0 added"));
  scene.Finish();
  EXPECT_EQ(kept(), 0u);
  EXPECT_EQ(most(), 200u);
  scene.Reload(with(1000));
  EXPECT_GT(most(), 200u);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(kept(), 0u);
}

TEST(GatewaySimTest, AnAddressInUseFailsTheStartByName) {
  Scene scene(1, kOne);
  Gateway second(Gateway::World{scene.loops_, scene.names_, scene.executor_, scene.files_, 2},
                 Scene::Config(kOne));
  const Status status =
      second.Start([&](const net::HostPort& name) { return scene.names_.LookUp(name); });
  EXPECT_THAT(status.message(), HasSubstr("listening at 127.0.0.1:80"));
}

}  // namespace
}  // namespace tepal::gateway
