// Hedging (docs/retries.md) by the whole balancer in the simulated world: an endpoint that stalls,
// two answers at the same moment, clients and endpoints that go while two tries are under way.

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/grpc_scene.h"

namespace tepal::lb {
namespace {

constexpr Duration kAfter = 20ms;

Balancer::Options Hedged(Hedging::Options hedging = {.after = kAfter, .share = 1}) {
  Balancer::Options options;
  options.pool.hedging = hedging;
  options.pool.health.enabled = false;  // So that the first endpoint is tried first.
  return options;
}

sim::NetworkOptions Steady() {
  sim::NetworkOptions network;
  network.latency_min = network.latency_max = 20us;
  network.short_read = 0;
  network.refuse_write = 0;
  return network;
}

struct HedgeScene : GrpcScene {
  explicit HedgeScene(std::vector<Duration> takes, Balancer::Options options = Hedged(),
                      uint64_t seed = 1)
      : GrpcScene(seed, takes.size(), std::move(options), Steady()) {
    AddEndpoints();
    for (size_t i = 0; i < takes.size(); ++i) servers[i].service->takes = takes[i];
  }
  // How long the answer takes; it must be the right one.
  Duration Ask(const std::string& path = kInferRoute, const std::string& message = "hello",
               const std::string& method = "POST") {
    const Instant begun = world.now();
    const auto book = Call(path, message, std::nullopt, method);
    EXPECT_TRUE(world.RunUntil([&] { return book->over; }, 60s));
    EXPECT_TRUE(book->status.ok()) << book->status.message();
    EXPECT_EQ(book->got, message);
    return world.now() - begun;
  }
  uint64_t Cancelled() {
    uint64_t cancelled = 0;
    for (const EndpointReading& endpoint : balancer->Read().endpoints) {
      cancelled += endpoint.cancelled;
    }
    return cancelled;
  }
  int Executed() const {
    int executed = 0;
    for (const auto& [id, count] : books.executed) executed += count;
    return executed;
  }
};

TEST(BalancerHedgeSimTest, AnEndpointThatStallsCostsOnlyWhatIsUsual) {
  for (const char* path : {kInferRoute, kUnary}) {
    SCOPED_TRACE(path);
    HedgeScene scene({5ms, 5ms, 5ms}, Hedged({.quantile = 0.95, .share = 1}));
    std::string flower;  // A ModelInferRequest that names its model.
    flower.append("\x0a\x06").append("flower");
    for (int i = 0; i < 200; ++i) scene.Ask(path, flower);
    EXPECT_EQ(scene.balancer->Read().hedges, 0u);
    scene.servers[1].service->takes = 10s;
    const int executed = scene.Executed();
    for (int i = 0; i < 30; ++i) EXPECT_LT(scene.Ask(path, flower), 15ms);
    const BalancerState state = scene.balancer->Read();
    EXPECT_GT(state.hedges, 0u);
    EXPECT_EQ(state.hedges_won, state.hedges);
    EXPECT_EQ(state.endpoints[1].cancelled, state.hedges);
    EXPECT_EQ(scene.Executed() - executed, 30 + static_cast<int>(state.hedges));
    EXPECT_EQ(state.retries, 0u);
    scene.world.RunFor(1ms);
    EXPECT_EQ(scene.books.cancelled, static_cast<int>(state.hedges));  // The server is told.
    scene.Finish();
  }
}

TEST(BalancerHedgeSimTest, WithoutItNothingIsSentTwice) {
  HedgeScene scene({100ms, 5ms}, {});
  for (int i = 0; i < 10; ++i) scene.Ask();
  EXPECT_EQ(scene.balancer->Read().hedges, 0u);
  EXPECT_EQ(scene.Executed(), 10);
}

// The second try's answer comes a little before the first's, at the same tick, or a little after;
// so does what tells the server of the one that lost.
TEST(BalancerHedgeSimTest, TwoAnswersAtOnceAreOneForTheClient) {
  for (const char* path : {kInferRoute, kUnary}) {
    uint64_t won = 0, lost = 0;
    for (Duration late = -200us; late <= 200us; late += 4us) {
      SCOPED_TRACE(Concat(path, " ", ToMicroseconds(late), " us"));
      HedgeScene scene({2 * kAfter, kAfter + late});
      scene.Ask(path);
      scene.Finish();
      const BalancerState state = scene.balancer->Read();
      EXPECT_EQ(state.hedges, 1u);
      EXPECT_EQ(state.responses[1], 1u);
      EXPECT_EQ(scene.Executed(), 2);
      // One answer is counted, and the other try is cancelled, however near it was.
      EXPECT_EQ(scene.Cancelled(), 1u);
      EXPECT_EQ(state.endpoints[0].responses[1] + state.endpoints[1].responses[1], 1u);
      EXPECT_EQ(state.hedges_won, state.endpoints[1].responses[1]);
      won += state.hedges_won;
      lost += 1 - state.hedges_won;
      EXPECT_EQ(state.endpoints[0].failures + state.endpoints[1].failures, 0u);
      scene.Ask(path);  // What is left of the loser harms nobody.
    }
    EXPECT_GT(won, 10u);
    EXPECT_GT(lost, 10u);
  }
}

TEST(BalancerHedgeSimTest, AClientThatLeavesCancelsBoth) {
  for (const bool grpc : {false, true}) {
    HedgeScene scene({10s, 10s});
    {
      net::HttpClient::Options http;
      http.http2 = grpc;
      net::HttpClient leaving(*scene.client_loop, http);
      http::RequestHead head = http::MakeGrpcRequest("front", kUnary);
      if (!grpc) {
        head = http::RequestHead();
        head.method = "POST";
        head.target = kInferRoute;
      }
      const std::string message("\0\0\0\0\1x", 6);
      leaving.Fetch(scene.address, std::move(head), OneBuffer(message), 60s,
                    [](Result<net::HttpClient::Response>) {});
      scene.world.RunFor(100ms);
      EXPECT_EQ(scene.balancer->Read().in_flight, 2u);
      EXPECT_EQ(scene.balancer->Read().hedges, 1u);
    }
    scene.world.RunFor(100ms);
    const BalancerState state = scene.balancer->Read();
    EXPECT_EQ(state.in_flight, 0u);
    EXPECT_EQ(state.active, 0u);
    EXPECT_EQ(state.client_gone, 1u);
    for (const EndpointReading& endpoint : state.endpoints) EXPECT_EQ(endpoint.cancelled, 1u);
    EXPECT_EQ(scene.books.cancelled, 2);
  }
}

TEST(BalancerHedgeSimTest, TheBudgetIsKeptExactly) {
  constexpr int kRequests = 400;
  HedgeScene scene({50ms, 50ms, 50ms}, Hedged({.after = kAfter, .share = 1.0 / 16}));
  for (int i = 0; i < kRequests; ++i) scene.Ask();
  const BalancerState state = scene.balancer->Read();
  EXPECT_EQ(state.hedges, kRequests / 16u);
  EXPECT_EQ(state.hedges_refused, kRequests - kRequests / 16u);
  EXPECT_EQ(scene.Executed(), kRequests + kRequests / 16);
  scene.Finish();
}

// One of two that are under way is lost with its server: the other is waited for, and no retry is
// needed. When both are, the budget of retries pays for a third.
TEST(BalancerHedgeSimTest, AnEndpointThatDiesAfterTheHedge) {
  for (const bool first : {false, true}) {
    HedgeScene scene({200ms, 100ms});
    const auto book = scene.Call(kInferRoute, "hello");
    scene.world.RunFor(50ms);
    ASSERT_EQ(scene.balancer->Read().in_flight, 2u);
    scene.Kill(first ? 0 : 1);
    scene.Finish();
    EXPECT_TRUE(book->status.ok()) << book->status.message();
    EXPECT_EQ(book->got, "hello");
    const BalancerState state = scene.balancer->Read();
    EXPECT_EQ(state.retries, 0u);
    EXPECT_EQ(state.hedges_won, first ? 1u : 0u);
    EXPECT_EQ(scene.Executed(), 2);
  }
  HedgeScene scene({200ms, 200ms, 5ms});
  scene.servers[2].service->takes = 5ms;
  const auto book = scene.Call(kInferRoute, "hello");
  scene.world.RunFor(50ms);
  scene.Kill(0);
  scene.Kill(1);
  scene.Kill(2);
  scene.world.RunFor(100ms);
  scene.Begin(2);
  scene.Finish();
  EXPECT_TRUE(book->status.ok()) << book->status.message();
  EXPECT_EQ(scene.balancer->Read().hedges, 1u);
}

// An error is no better than an answer that takes long.
TEST(BalancerHedgeSimTest, AnErrorDoesNotWin) {
  for (const int status : {400, 404, 500, 503}) {
    SCOPED_TRACE(status);
    HedgeScene scene({100ms, 5ms});
    scene.servers[1].service->status = status;
    EXPECT_GT(scene.Ask(), 90ms);
    const BalancerState state = scene.balancer->Read();
    EXPECT_EQ(state.hedges, 1u);
    EXPECT_EQ(state.hedges_won, 0u);
    EXPECT_EQ(state.retries, 0u);
    scene.Finish();
  }
  HedgeScene scene({100ms, 5ms});
  scene.servers[1].service->refusal = Unavailable("not now");
  EXPECT_GT(scene.Ask(kUnary), 90ms);
  EXPECT_EQ(scene.balancer->Read().hedges, 1u);
  // It is passed on when there is nothing better: what is wrong with the request is so everywhere.
  HedgeScene both({100ms, 5ms});
  for (auto& server : both.servers) server.service->status = 400;
  const auto book = both.Call(kInferRoute, "hello");
  both.Finish();
  EXPECT_EQ(book->status.message(), "hello");
  EXPECT_EQ(both.Executed(), 2);
}

TEST(BalancerHedgeSimTest, WhatMustNotBeSentTwiceIsNot) {
  HedgeScene scene({60ms, 60ms});
  const std::string sequence = R"({"parameters":{"sequence_id":7,"sequence_start":true}})";
  scene.Ask(kInferRoute, sequence);
  scene.Ask("/v2/models/flower/generate_stream");
  scene.Ask("/other", "hello", "PUT");
  scene.Ask(kInferRoute, std::string(3u << 20, 'x'));  // More than is kept.
  EXPECT_EQ(scene.Executed(), 4);
  EXPECT_EQ(scene.balancer->Read().hedges, 0u);
  scene.Ask();
  EXPECT_EQ(scene.balancer->Read().hedges, 1u);
  scene.Finish();
}

// A second try that stalls as well is left for a third long before the fixed limit.
TEST(BalancerHedgeSimTest, TwoEndpointsThatFreezeAreLeft) {
  HedgeScene scene({5ms, 5ms, 5ms});
  for (int i = 0; i < 200; ++i) scene.Ask();
  scene.servers[0].service->frozen = scene.servers[1].service->frozen = true;
  for (int i = 0; i < 20; ++i) EXPECT_LT(scene.Ask(), 2 * TryLimit::kTryTimeMin + kAfter);
  scene.Finish();
}

// Servers are killed and frozen while half of the requests are hedged: none fails.
TEST(BalancerHedgeSimTest, KilledAndFrozenServersCostNoRequest) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    Balancer::Options options = Hedged({.after = 2ms, .share = 1});
    options.pool.health.enabled = true;
    GrpcScene scene(seed, 4, options);
    scene.AddEndpoints();
    scene.CallThroughDeaths(seed * 7, [&](env::Random& random, int i) {
      scene.Call(random.Below(2) == 0 ? kInferRoute : kUnary, Concat("message ", i));
    });
    scene.Finish();
    EXPECT_EQ(scene.Failed(), 0);
    for (size_t i = 0; i < scene.calls.size(); ++i) {
      EXPECT_EQ(scene.calls[i]->got, Concat("message ", i % 60));
    }
    const BalancerState state = scene.balancer->Read();
    EXPECT_GT(state.hedges, 20u);
    EXPECT_GT(state.hedges_won, 0u);
    EXPECT_LT(state.hedges_won, state.hedges);
  }
}

}  // namespace
}  // namespace tepal::lb
