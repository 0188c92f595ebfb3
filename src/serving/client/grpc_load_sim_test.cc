// gRPC load on simulated time: calls and streams, answered late and out of order, lost and refused.

#include <gtest/gtest.h>

#include "network/http/grpc_server.h"
#include "network/net/http_server.h"
#include "serving/client/grpc_codec.h"
#include "serving/client/load_generator.h"
#include "serving/kserve/proto_reader.h"
#include "serving/kserve/proto_writer.h"
#include "sim/world.h"

namespace tepal::client {
namespace {

const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 81};
constexpr size_t kMessageMax = 1 << 20;

struct Behaviour {
  Duration wait_max = 5ms;
  int error_each = 0;   // Every so manieth request is answered with an error.
  int finish_each = 0;  // The stream is ended instead of that answer.
  int silent_each = 0;  // That request is never answered.
};

std::string IdOf(const Buffer& request) {
  std::string_view id;
  kserve::ProtoReader reader(request.text());
  while (reader.Next()) {
    if (reader.field() == 3) {
      reader.Bytes(id);
    } else {
      reader.Skip();
    }
  }
  EXPECT_TRUE(reader.ok());
  return std::string(id);
}

BufferList StreamAnswerTo(const std::string& id, bool error) {
  kserve::ByteWriter bytes(64);
  kserve::ProtoWriter out(bytes);
  if (error) out.Text(1, "no luck");
  out.Message(2, [&](kserve::ProtoWriter& response) { response.Text(3, id); });
  return {bytes.Take()};
}

// Answers after random waits; a sender is used only while its exchange lives.
struct Server final : http::RequestHandler {
  Server(env::EventLoop& on, sim::World& in, const Behaviour& how)
      : loop(on), world(in), behaviour(how) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    auto alive = std::make_shared<bool>(true);
    const auto on_reset = [alive](const Status&) { *alive = false; };
    if (head.target == GrpcMethod("ModelInfer")) {
      return std::make_unique<http::GrpcUnaryRequest>(
          head, sender, kMessageMax,
          [this, &sender, alive](Buffer request) {
            EXPECT_EQ(IdOf(request), "");
            Later(alive, [this, &sender] {
              ++answered;
              if (Each(behaviour.error_each)) {
                http::GrpcRespondError(sender, Unavailable("busy"));
              } else {
                http::GrpcRespond(sender, {Buffer::Copy("\x0a\x01m")});
              }
            });
          },
          on_reset);
    }
    EXPECT_EQ(head.target, GrpcMethod("ModelStreamInfer"));
    ++streams;
    http::GrpcStart(sender);
    return std::make_unique<http::GrpcStreamRequest>(
        head, sender, kMessageMax,
        http::GrpcStreamRequest::Calls{
            .on_message = [this, &sender,
                           alive](Buffer request) { OnMessage(sender, alive, IdOf(request)); },
            .on_end = [] {},
            .on_reset = on_reset,
            .on_send_room = nullptr,
            .on_drain = nullptr});
  }

  void OnMessage(http::ResponseSender& sender, const std::shared_ptr<bool>& alive,
                 const std::string& id) {
    EXPECT_EQ(id.size(), 8u);
    Later(alive, [this, &sender, alive, id] {
      ++answered;
      if (Each(behaviour.silent_each)) return;
      if (Each(behaviour.finish_each)) {
        *alive = false;
        return http::GrpcFinish(sender, Unavailable("going away"));
      }
      http::GrpcWrite(sender, StreamAnswerTo(id, Each(behaviour.error_each)));
    });
  }

  void Later(const std::shared_ptr<bool>& alive, Function<void()> task) {
    const auto wait = static_cast<int64_t>(
        world.random().Below(static_cast<uint64_t>(behaviour.wait_max.count())));
    loop.RunAfter(Duration(wait), [alive, task = std::move(task)]() mutable {
      if (*alive) task();
    });
  }
  bool Each(int count) const { return count > 0 && answered % count == 0; }

  env::EventLoop& loop;
  sim::World& world;
  const Behaviour behaviour;
  int answered = 0;
  int streams = 0;
};

struct Outcome {
  LoadReport report;
  int answered = 0, streams = 0;
  uint32_t connections = 0;
};

Outcome Simulate(uint64_t seed, int streams, int connections, LoadPhase phase,
                 const Behaviour& behaviour, Duration time_max = 60s) {
  sim::World world(seed);
  env::EventLoop& server_loop = world.AddLoop();
  env::EventLoop& client_loop = world.AddLoop();
  Server* handler = nullptr;
  net::HttpServer server({&server_loop}, {}, [&](env::EventLoop& loop) {
    auto made = std::make_unique<Server>(loop, world, behaviour);
    handler = made.get();
    return made;
  });
  EXPECT_TRUE(server.Listen(kAddress).ok());
  Outcome outcome;
  bool done = false;
  {
    net::HttpClient::Options options;
    options.http2 = true;
    std::vector<std::unique_ptr<net::HttpClient>> clients;
    GrpcTargetOptions target_options;
    for (int i = 0; i < connections; ++i) {
      clients.push_back(std::make_unique<net::HttpClient>(client_loop, options));
      target_options.connections.push_back(clients.back().get());
    }
    target_options.streams = streams;
    target_options.time_max = time_max;
    InferCall call{"m", {{"x", DataType::kInt8, {3}, Buffer::Copy("abc")}}, {}};
    const auto target =
        NewGrpcTarget(client_loop, kAddress, {EncodeGrpcInfer(call)}, target_options);
    LoadGenerator::Options load;
    load.phases = {phase};
    load.seed = seed;
    LoadGenerator generator(client_loop, *target, load);
    LoadGenerator::Calls calls;
    calls.done = [&](const LoadReport& report) {
      outcome.report = report;
      done = true;
    };
    generator.Start(std::move(calls));
    EXPECT_TRUE(world.RunUntil([&] { return done; }, 600s)) << "seed " << seed;
    for (const auto& client : clients) outcome.connections += client->counters().connections_open;
    outcome.answered = handler->answered;
    outcome.streams = handler->streams;
  }
  return outcome;
}

TEST(GrpcLoadSim, CallsShareTheirConnections) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Outcome outcome = Simulate(seed, 0, 3, {.concurrency = 12, .length = 1s}, {});
    EXPECT_GT(outcome.report.succeeded, 1000u) << "seed " << seed;
    EXPECT_EQ(outcome.report.failed, 0u);
    EXPECT_EQ(outcome.report.succeeded, static_cast<uint64_t>(outcome.answered));
    EXPECT_EQ(outcome.connections, 3u);
    EXPECT_EQ(outcome.streams, 0);
  }
}

TEST(GrpcLoadSim, AnswersOfAStreamAreToldApart) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Outcome outcome = Simulate(seed, 2, 2, {.concurrency = 16, .length = 1s}, {});
    EXPECT_GT(outcome.report.succeeded, 1000u) << "seed " << seed;
    EXPECT_EQ(outcome.report.failed, 0u);
    EXPECT_EQ(outcome.report.succeeded, static_cast<uint64_t>(outcome.answered));
    EXPECT_EQ(outcome.streams, 4);
  }
}

TEST(GrpcLoadSim, ErrorsAreCountedWithTheirWords) {
  Behaviour behaviour;
  behaviour.error_each = 10;
  const Outcome calls = Simulate(1, 0, 1, {.concurrency = 4, .length = 1s}, behaviour);
  ASSERT_EQ(calls.report.failures.size(), 1u);
  EXPECT_EQ(calls.report.failures.begin()->first, "UNAVAILABLE: busy");
  EXPECT_EQ(calls.report.failed, static_cast<uint64_t>(calls.answered / 10));

  const Outcome stream = Simulate(1, 1, 1, {.concurrency = 4, .length = 1s}, behaviour);
  ASSERT_EQ(stream.report.failures.size(), 1u);
  EXPECT_EQ(stream.report.failures.begin()->first, "no luck");
  EXPECT_EQ(stream.report.failed, static_cast<uint64_t>(stream.answered / 10));
  EXPECT_EQ(stream.streams, 1);
}

TEST(GrpcLoadSim, ABrokenStreamIsOpenedAgain) {
  Behaviour behaviour;
  behaviour.finish_each = 50;
  const Outcome outcome = Simulate(3, 1, 1, {.concurrency = 4, .length = 1s}, behaviour);
  ASSERT_EQ(outcome.report.failures.size(), 1u);
  EXPECT_EQ(outcome.report.failures.begin()->first, "UNAVAILABLE: going away");
  EXPECT_GT(outcome.streams, 5);
  EXPECT_GT(outcome.report.succeeded, 10 * outcome.report.failed);
  // Each end fails at most what was in flight.
  EXPECT_LE(outcome.report.failed, 4u * static_cast<uint64_t>(outcome.streams));
}

TEST(GrpcLoadSim, ASilentServerIsNotWaitedForForever) {
  Behaviour behaviour;
  behaviour.silent_each = 100;
  const Outcome stream = Simulate(1, 1, 1, {.concurrency = 4, .length = 3s}, behaviour, 100ms);
  EXPECT_GT(stream.streams, 2);
  ASSERT_EQ(stream.report.failures.size(), 1u);
  EXPECT_TRUE(stream.report.failures.begin()->first.starts_with("DEADLINE_EXCEEDED"));

  behaviour.silent_each = 0;
  behaviour.wait_max = 200ms;
  const Outcome calls = Simulate(1, 0, 1, {.concurrency = 4, .length = 3s}, behaviour, 100ms);
  ASSERT_EQ(calls.report.failures.size(), 1u);
  EXPECT_TRUE(calls.report.failures.begin()->first.starts_with("DEADLINE_EXCEEDED"));
  EXPECT_GT(calls.report.succeeded, 20u);
}

TEST(GrpcLoadSim, AnOpenLoopSendsAtTheRateAskedFor) {
  const Outcome outcome = Simulate(2, 1, 2, {.rate_per_s = 200, .length = 20s}, {});
  // Poisson with a mean of 4,000: five standard deviations are 316.
  EXPECT_NEAR(static_cast<double>(outcome.report.succeeded), 4000, 316);
  EXPECT_EQ(outcome.report.failed, 0u);
}

}  // namespace
}  // namespace tepal::client
