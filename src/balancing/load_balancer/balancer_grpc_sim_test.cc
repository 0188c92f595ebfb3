// gRPC through the balancer in the simulated world: unary calls are balanced one by one and survive
// servers that die, streaming ones stay where they began; deadlines, cancellation, refused streams,
// servers that drain and the balancer's own drain.

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/grpc_scene.h"

namespace tepal::lb {
namespace {

std::string Text(size_t size, char letter) { return std::string(size, letter); }

TEST(BalancerGrpcSimTest, UnaryCallsOfEverySizePassUnchanged) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    GrpcScene scene(seed, 3);
    scene.AddEndpoints();
    std::vector<std::string> sent;
    for (const size_t size : {0u, 1u, 5u, 16'384u, 65'536u, 1'048'571u, 1'048'572u, 5'000'000u}) {
      sent.push_back(Text(size, static_cast<char>('a' + sent.size())));
      scene.Call(kUnary, sent.back());
    }
    scene.Finish();
    for (size_t i = 0; i < sent.size(); ++i) {
      EXPECT_TRUE(scene.calls[i]->status.ok()) << scene.calls[i]->status.message();
      EXPECT_TRUE(scene.calls[i]->got == sent[i]) << i;
    }
    for (const auto& [id, count] : scene.books.executed) EXPECT_EQ(count, 1) << id;
  }
}

// One client's connection, and every call goes where there is least to do.
TEST(BalancerGrpcSimTest, CallsOfOneConnectionAreSpreadEvenly) {
  GrpcScene scene(1, 3);
  scene.AddEndpoints();
  for (int i = 0; i < 1500; ++i) {
    scene.Call(kUnary, "x");
    if (i % 10 == 0) scene.world.RunFor(1ms);
  }
  scene.Finish();
  EXPECT_EQ(scene.Failed(), 0);
  for (const EndpointReading& endpoint : scene.balancer->Read().endpoints) {
    EXPECT_NEAR(static_cast<double>(endpoint.requests), 500, 25);
  }
}

TEST(BalancerGrpcSimTest, KilledAndFrozenServersCostNoUnaryCall) {
  uint64_t retries = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    GrpcScene scene(seed, 3);
    scene.AddEndpoints();
    scene.CallThroughDeaths(seed * 7, [&](env::Random& random, int) {
      scene.Call(kUnary, Text(random.Below(3000), 'm'));
    });
    scene.Finish();
    EXPECT_EQ(scene.Failed(), 0);
    retries += scene.balancer->Read().retries;
  }
  EXPECT_GT(retries, 0u);
}

// A server that rolls tells its connections to go away; calls move to others and none is lost.
TEST(BalancerGrpcSimTest, RollingServersCostNoCall) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    GrpcScene scene(seed, 3);
    scene.AddEndpoints();
    for (int round = 0; round < 6; ++round) {
      const size_t i = static_cast<size_t>(round) % 3;
      for (int call = 0; call < 40; ++call) {
        if (call == 15) {
          scene.server_loop->Post([&scene, i] { scene.servers[i].http->Drain([] {}); });
        }
        if (call == 30) scene.Kill(i);  // All that it had is answered by now, or was refused.
        scene.Call(kUnary, Text(100, 'r'));
        scene.world.RunFor(500us);
      }
      scene.Begin(i);
      scene.world.RunFor(3s);
    }
    scene.Finish();
    EXPECT_EQ(scene.Failed(), 0);
  }
}

TEST(BalancerGrpcSimTest, LimitsOfStreamsOpenMoreConnections) {
  GrpcScene scene(1, 0);
  GrpcScene::Server server;
  server.address = {env::Address::Family::kIp4, "10.0.0.1", 1};
  server.options.limits.streams_max = 4;
  scene.servers.push_back(std::move(server));
  scene.Begin(0);
  scene.AddEndpoints();
  for (int i = 0; i < 100; ++i) scene.Call(kUnary, "hello");
  scene.Finish();
  EXPECT_EQ(scene.Failed(), 0);
  for (const auto& [id, count] : scene.books.executed) EXPECT_EQ(count, 1) << id;
}

TEST(BalancerGrpcSimTest, UnavailableIsTriedElsewhereAndOtherErrorsPass) {
  GrpcScene scene(1, 2);
  scene.AddEndpoints();
  scene.servers[0].service->refusal = Unavailable("warming up");
  for (int i = 0; i < 10; ++i) scene.Call(kUnary, "x");
  scene.Finish();
  EXPECT_EQ(scene.Failed(), 0);
  EXPECT_GT(scene.balancer->Read().retries, 0u);

  for (auto& server : scene.servers) server.service->refusal = NotFound("no model 'rose'");
  const auto book = scene.Call(kUnary, "x");
  scene.Finish();
  EXPECT_EQ(book->status.code(), StatusCode::kNotFound);
  EXPECT_EQ(book->status.message(), "no model 'rose'");
}

TEST(BalancerGrpcSimTest, StreamsStayWithOneServerAndEndWithIt) {
  GrpcScene scene(3, 3);
  scene.AddEndpoints();
  std::vector<std::shared_ptr<GrpcScene::Stream>> streams;
  scene.client_loop->Post([&] {
    for (int i = 0; i < 6; ++i) streams.push_back(scene.Open());
    for (const auto& stream : streams) stream->Write("one ");
  });
  scene.world.RunFor(100ms);
  scene.client_loop->Post([&] {
    for (const auto& stream : streams) stream->Write("two ");
  });
  scene.world.RunFor(100ms);
  for (const auto& stream : streams) EXPECT_EQ(stream->book->got, "one two ");
  EXPECT_EQ(scene.books.messages, 12);
  scene.Kill(1);
  scene.world.RunFor(100ms);
  int broken = 0;
  for (const auto& stream : streams) {
    if (!stream->book->over) continue;
    ++broken;
    EXPECT_EQ(stream->book->status.code(), StatusCode::kUnavailable);
  }
  EXPECT_EQ(broken, 2);
  scene.client_loop->Post([&] {
    for (const auto& stream : streams) stream->exchange->sender().Finish();
  });
  scene.Finish();
  EXPECT_EQ(scene.Failed(), 2);
  for (const auto& [id, count] : scene.books.executed) EXPECT_EQ(count, 1) << id;
}

TEST(BalancerGrpcSimTest, TimeoutIsPassedOnReducedAndKept) {
  GrpcScene scene(1, 1);
  scene.AddEndpoints();
  scene.Kill(0);
  const auto waits = scene.Call(kUnary, "x", 500ms);
  scene.world.RunFor(300ms);
  EXPECT_FALSE(waits->over);
  scene.Begin(0);
  const auto late = scene.Call(kUnary, "x", 20s);
  scene.world.RunFor(100ms);
  scene.Finish();
  ASSERT_FALSE(scene.books.timeouts.empty());
  for (const std::string& timeout : scene.books.timeouts) {
    EXPECT_LT(http::ParseGrpcTimeout(timeout).value_or(3600s), 20s) << timeout;
  }
  EXPECT_TRUE(late->status.ok()) << late->status.message();

  scene.servers[0].service->frozen = true;
  const Instant begun = scene.world.now();
  const auto never = scene.Call(kUnary, "x", 250ms);
  scene.world.RunUntil([&] { return never->over; }, 10s);
  EXPECT_EQ(never->status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_LT(scene.world.now() - begun, 400ms);
  EXPECT_EQ(scene.balancer->Read().endpoints[0].cancelled, 1u);  // Not the endpoint's failure.
}

TEST(BalancerGrpcSimTest, CancellationReachesTheServer) {
  GrpcScene scene(1, 1);
  scene.AddEndpoints();
  scene.servers[0].service->frozen = true;
  scene.Call(kUnary, "x");
  scene.world.RunFor(50ms);
  EXPECT_EQ(scene.balancer->Read().in_flight, 1u);
  scene.client_loop->Post([&] { scene.exchanges.clear(); });
  scene.world.RunFor(50ms);
  EXPECT_EQ(scene.balancer->Read().in_flight, 0u);
  EXPECT_EQ(scene.books.cancelled, 1);
}

TEST(BalancerGrpcSimTest, DrainEndsStreamsOnceTheyAreAnswered) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    GrpcScene scene(seed, 2);
    scene.AddEndpoints();
    std::shared_ptr<GrpcScene::Stream> stream;
    scene.client_loop->Post([&] {
      stream = scene.Open();
      stream->Write("first");
    });
    scene.world.RunFor(20ms);
    EXPECT_EQ(scene.books.messages, 1);
    scene.client_loop->Post([&] {
      for (int i = 0; i < 20; ++i) stream->Write(Text(50'000, 'd'));
    });
    scene.world.RunFor(Duration(seed * 100'000));
    bool drained = false;
    scene.balancer->Drain([&] { drained = true; });
    EXPECT_TRUE(scene.world.RunUntil([&] { return drained && stream->book->over; }, 20s));
    EXPECT_EQ(stream->book->status.code(), StatusCode::kUnavailable);
    EXPECT_EQ(stream->book->messages, scene.books.messages);
  }
}

// What a client does not read is not read from the server either.
TEST(BalancerGrpcSimTest, SlowReadersHoldTheServerBack) {
  GrpcScene scene(1, 1);
  scene.AddEndpoints();
  scene.servers[0].service->tail = Text(100'000, 't');
  auto book = std::make_shared<CallBook>();
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  http::GrpcStreamResponse* response = nullptr;
  scene.client_loop->Post([&] {
    http::GrpcStreamResponse::Calls on;
    on.on_message = [&](Buffer message) {
      book->got += message.text();
      if (++book->messages == 1) response->Pause();
    };
    on.on_end = [&](http::GrpcEnd end) {
      book->over = true;
      book->status = end.status;
    };
    auto receiver = std::make_unique<http::GrpcStreamResponse>(kSceneMessageMax, std::move(on));
    response = receiver.get();
    exchange = scene.grpc->Send(scene.address, http::MakeGrpcRequest("front", kStreaming), false,
                                std::move(receiver));
    for (int i = 0; i < 200; ++i) http::GrpcWrite(exchange->sender(), OneBuffer("m"));
    exchange->sender().Finish();
  });
  scene.world.RunFor(2s);
  EXPECT_EQ(book->messages, 1);
  const uint64_t held = scene.balancer->Read().endpoints[0].bytes_received;
  EXPECT_LT(held, 10u << 20);  // Of 20 MB; windows and buffers of a few MiB each.
  scene.client_loop->Post([&] { response->Resume(exchange->sender()); });
  EXPECT_TRUE(scene.world.RunUntil([&] { return book->over; }, 60s));
  EXPECT_TRUE(book->status.ok()) << book->status.message();
  EXPECT_EQ(book->messages, 200);
}

}  // namespace
}  // namespace tepal::lb
