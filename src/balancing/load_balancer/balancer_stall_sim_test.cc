// An endpoint that falls silent after each number of bytes of its answer, without health checks and
// without closing anything: requests are answered elsewhere or end, and none is held for ever.

#include <gtest/gtest.h>

#include <algorithm>

#include "balancing/load_balancer/testing/cutting_relay.h"
#include "balancing/load_balancer/testing/grpc_scene.h"

namespace tepal::lb {
namespace {

constexpr const char* kMessage = "twenty bytes of text";
constexpr const char* kGenerateStream = "/v2/models/m/generate_stream";

Balancer::Options Options() {
  Balancer::Options options;
  options.pool.health.enabled = false;
  options.proxy.try_time_max = 5s;
  options.proxy.answer_idle_max = 20s;
  return options;
}

struct Outcome {
  bool stalled = false;
  size_t passed = 0;
  Status status;
  std::string got;
  Duration time{};
};

Outcome Run(const std::string& path, size_t after, const std::string& method = "POST") {
  sim::NetworkOptions network;
  network.short_read = 0;
  network.refuse_write = 0;
  network.latency_max = 20us;
  GrpcScene scene(1, 2, Options(), network);
  const env::Address address{env::Address::Family::kIp4, "10.0.0.2", 1};
  CuttingRelay relay(*scene.server_loop, address, scene.servers[0].address,
                     {.after = after, .stalls = true});
  scene.AddEndpoint(address);  // Tried first: both are idle.
  scene.AddEndpoint(scene.servers[1].address);
  const auto book = scene.Call(path, kMessage, std::nullopt, method);
  const Instant begun = scene.client_loop->Now();
  EXPECT_TRUE(scene.world.RunUntil([&] { return book->over; }, 300s));
  const Duration time = scene.client_loop->Now() - begun;
  scene.Finish();
  // What comes behind an answer over HTTP/2 is missed by nobody.
  EXPECT_EQ(scene.balancer->Read().endpoints[0].failures, time > 1s ? 1u : 0u);
  return {relay.has_cut(), relay.passed(true), book->status, book->got, time};
}

void StallEverywhere(const std::string& path, bool answers_in_parts, const std::string& method) {
  const size_t whole = Run(path, SIZE_MAX, method).passed;
  ASSERT_GT(whole, 20u);
  ASSERT_LT(whole, 2000u);
  int broken = 0;
  Duration longest{};
  for (size_t after = 0; after < whole; ++after) {
    SCOPED_TRACE(Concat(path, " silent after ", after, " of ", whole, " bytes"));
    const Outcome outcome = Run(path, after, method);
    EXPECT_TRUE(outcome.stalled);
    longest = std::max(longest, outcome.time);
    if (outcome.status.ok()) {
      EXPECT_EQ(outcome.got, kMessage);
    } else {
      ++broken;
    }
    EXPECT_TRUE(outcome.status.ok() || answers_in_parts) << outcome.status.message();
  }
  EXPECT_EQ(broken > 0, answers_in_parts);
  EXPECT_GE(longest, 20s);  // Some were within their answer, or the test proves nothing.
  EXPECT_LT(longest, 26s);
}

TEST(BalancerStallSimTest, Infer) { StallEverywhere(kInferRoute, false, "POST"); }
TEST(BalancerStallSimTest, Read) { StallEverywhere("/v2/models/m", false, "GET"); }
TEST(BalancerStallSimTest, ModelInfer) { StallEverywhere(kUnary, false, "POST"); }
// Once some of it is with the client, it is broken off.
TEST(BalancerStallSimTest, GenerateStream) { StallEverywhere(kGenerateStream, true, "POST"); }

// When its next message is due nobody knows.
TEST(BalancerStallSimTest, AStreamingCallMayBeQuiet) {
  GrpcScene scene(1, 1, Options());
  scene.AddEndpoints();
  std::shared_ptr<GrpcScene::Stream> stream;
  const auto write = [&] {
    scene.client_loop->Post([&] {
      if (stream == nullptr) stream = scene.Open();
      stream->Write("a");
    });
    scene.world.RunFor(1s);
  };
  write();
  EXPECT_EQ(stream->book->messages, 1);
  scene.world.RunFor(600s);
  EXPECT_FALSE(stream->book->over);
  write();
  EXPECT_EQ(stream->book->messages, 2);
  scene.client_loop->Post([&] { stream->exchange->sender().Finish(); });
  scene.Finish();
  EXPECT_EQ(scene.Failed(), 0);
  EXPECT_EQ(scene.balancer->Read().endpoints[0].failures, 0u);
}

// Answers with a head and says nothing more.
class Watch final : public http::RequestHandler {
 public:
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead,
                                                   http::ResponseSender& sender) override {
    http::GrpcStart(sender);
    return std::make_unique<http::DiscardingRequest>();
  }
};

// Also when the client has nothing more to say, and beyond a deadline that it does not keep itself.
TEST(BalancerStallSimTest, AWatchMayBeQuiet) {
  GrpcScene scene(1, 1, Options());
  const env::Address address{env::Address::Family::kIp4, "10.0.0.2", 1};
  net::HttpServer server({scene.server_loop}, {},
                         [](env::EventLoop&) { return std::make_unique<Watch>(); });
  ASSERT_TRUE(server.Listen(address).ok());
  scene.AddEndpoint(address);
  bool over = false;
  std::unique_ptr<net::HttpClient::Exchange> call;
  scene.client_loop->Post([&] {
    http::GrpcStreamResponse::Calls on;
    on.on_message = [](Buffer) {};
    on.on_end = [&over](http::GrpcEnd) { over = true; };
    call = scene.grpc->Send(
        scene.address, http::MakeGrpcRequest("front", "/grpc.health.v1.Health/Watch", 100s), true,
        std::make_unique<http::GrpcStreamResponse>(kSceneMessageMax, std::move(on)));
  });
  scene.world.RunFor(300s);
  EXPECT_FALSE(over);
  EXPECT_EQ(scene.balancer->Read().active, 1u);
  EXPECT_EQ(scene.balancer->Read().endpoints[0].failures, 0u);
  call.reset();
  scene.Finish();
}

// Takes nothing until it is told to.
class SlowReader final : public http::ResponseReceiver {
 public:
  struct Seen {
    bool reads = false;
    size_t bytes = 0;
    bool ended = false;
    bool failed = false;
  };
  explicit SlowReader(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}
  void OnResponse(http::ResponseHead) override {}
  std::span<std::byte> BodyRoom(size_t) override {
    return seen_->reads ? std::span<std::byte>(room_) : std::span<std::byte>();
  }
  void OnBody(size_t bytes) override { seen_->bytes += bytes; }
  void OnResponseEnd(const http::Headers&) override { seen_->ended = true; }
  void OnFailure(const Failure&) override { seen_->failed = true; }

 private:
  const std::shared_ptr<Seen> seen_;
  std::byte room_[65536];
};

// The endpoint is not to blame for a client that does not read.
TEST(BalancerStallSimTest, ASlowClientIsNoSilentEndpoint) {
  constexpr size_t kBytes = 12u << 20;
  Balancer::Options options = Options();
  options.limits.write_idle_max = 600s;
  GrpcScene scene(1, 1, options);
  scene.servers[0].options.limits.write_idle_max = 600s;
  scene.Kill(0);
  scene.Begin(0);
  scene.AddEndpoints();
  const auto seen = std::make_shared<SlowReader::Seen>();
  std::unique_ptr<net::HttpClient::Exchange> exchange;
  scene.client_loop->Post([&] {
    http::RequestHead head;
    head.method = "POST";
    head.target = kInferRoute;
    head.content_length = kBytes;
    exchange = scene.http1->Send(scene.address, std::move(head), false,
                                 std::make_unique<SlowReader>(seen));
    exchange->sender().Write(OneBuffer(std::string(kBytes, 'x')));
    exchange->sender().Finish();
  });
  scene.world.RunFor(200s);
  EXPECT_FALSE(seen->ended || seen->failed);
  EXPECT_EQ(scene.balancer->Read().active, 1u);
  scene.client_loop->Post([&] {
    seen->reads = true;
    exchange->sender().ResumeBody();
  });
  EXPECT_TRUE(scene.world.RunUntil([&] { return seen->ended || seen->failed; }, 60s));
  EXPECT_EQ(seen->bytes, kBytes);
  EXPECT_FALSE(seen->failed);
}

}  // namespace
}  // namespace tepal::lb
