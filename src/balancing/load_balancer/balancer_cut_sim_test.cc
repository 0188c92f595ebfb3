// The table of docs/retries.md with a connection that breaks at every byte: the one between the
// balancer and the first of two endpoints is cut after each number of bytes of the request, and of
// the answer, by a reset and by an orderly end, over HTTP/1.1 and over gRPC; and so is each of the
// two connections of a request that is hedged.

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/cutting_relay.h"
#include "balancing/load_balancer/testing/grpc_scene.h"
#include "serving/kserve_wire/proto_fields.h"

namespace tepal::lb {
namespace {

// Which of two tries at a time goes by way of the connection that is cut.
enum class Hedge { kNone, kFirst, kSecond };

struct What {
  std::string path;
  std::string method = "POST";
  bool repeatable = true;         // The answer must come whatever happens.
  bool answers_in_parts = false;  // Unless some of it has been passed on.
  std::string message = "twenty bytes of text";
  Hedge hedge = Hedge::kNone;
};

struct Outcome {
  bool cut = false;
  size_t passed = 0;
  Status status;
  std::string got;
  int executed = 0;
  uint64_t hedges = 0;
};

Outcome Run(const What& what, const CuttingRelay::Cut& cut) {
  Balancer::Options options;
  options.pool.health.enabled = false;  // So that every byte is the request's.
  sim::NetworkOptions network;
  network.short_read = 0;
  network.refuse_write = 0;
  network.latency_max = 20us;
  if (what.hedge != Hedge::kNone) options.pool.hedging = {.after = 5ms, .share = 1};
  GrpcScene scene(1, 2, options, network);
  const env::Address address{env::Address::Family::kIp4, "10.0.0.2", 1};
  CuttingRelay relay(*scene.server_loop, address, scene.servers[0].address, cut);
  // Tried in this order: both are idle.
  if (what.hedge == Hedge::kSecond) scene.AddEndpoint(scene.servers[1].address);
  scene.AddEndpoint(address);
  if (what.hedge != Hedge::kSecond) scene.AddEndpoint(scene.servers[1].address);
  if (what.hedge != Hedge::kNone) {
    // The one that is cut answers first, with the other under way.
    scene.servers[0].service->takes = what.hedge == Hedge::kFirst ? 10ms : 1ms;
    scene.servers[1].service->takes = 20ms;
    scene.world.RunFor(1ms);
  }
  std::shared_ptr<CallBook> book;
  std::shared_ptr<GrpcScene::Stream> stream;
  if (what.path == kStreaming) {
    scene.client_loop->Post([&] {
      stream = scene.Open();
      stream->Write(what.message);
      stream->exchange->sender().Finish();
    });
    scene.world.RunFor(1us);
    scene.world.RunUntil([&] { return stream != nullptr; }, 1s);
    book = stream->book;
  } else {
    book = scene.Call(what.path, what.message, std::nullopt, what.method);
  }
  scene.Finish();
  Outcome outcome{relay.has_cut(), relay.passed(cut.answers), book->status, book->got, 0, 0};
  outcome.hedges = scene.balancer->Read().hedges;
  for (const auto& [id, count] : scene.books.executed) outcome.executed += count;
  return outcome;
}

void CutEverywhere(const What& what) {
  for (const bool answers : {false, true}) {
    const Outcome uncut = Run(what, {.answers = answers});
    const size_t whole = uncut.passed;
    EXPECT_EQ(uncut.hedges, what.hedge == Hedge::kNone ? 0u : 1u);
    ASSERT_GT(whole, 20u);
    ASSERT_LT(whole, 2000u);
    int failed = 0;
    for (size_t after = 0; after <= whole; ++after) {
      for (const bool orderly : {false, true}) {
        SCOPED_TRACE(Concat(what.path, answers ? ": answer" : ": request", " cut after ", after,
                            " of ", whole, orderly ? " bytes, orderly" : " bytes, reset"));
        const Outcome outcome = Run(what, {answers, after, orderly});
        EXPECT_TRUE(outcome.cut || after == whole);
        if (outcome.status.ok()) {
          EXPECT_EQ(outcome.got, what.message);
        } else {
          ++failed;
        }
        const int hedges = static_cast<int>(outcome.hedges);
        EXPECT_LE(outcome.executed, (what.repeatable ? 2 : 1) + hedges);
        if (what.repeatable && !what.answers_in_parts) {
          EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
        }
        if (what.answers_in_parts && !answers) {
          EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
        }
      }
    }
    // What must not be repeated is lost now and then, or the cuts prove nothing.
    if (!what.repeatable) {
      EXPECT_GT(failed, 0);
    }
  }
}

TEST(BalancerCutSimTest, Infer) { CutEverywhere({.path = kInferRoute}); }
TEST(BalancerCutSimTest, Read) { CutEverywhere({.path = "/v2/models/m", .method = "GET"}); }
TEST(BalancerCutSimTest, GenerateStream) {
  CutEverywhere({.path = "/v2/models/m/generate_stream", .answers_in_parts = true});
}
TEST(BalancerCutSimTest, Other) {
  CutEverywhere({.path = "/other", .method = "PUT", .repeatable = false});
}
// The model's state would change twice.
TEST(BalancerCutSimTest, Sequence) {
  CutEverywhere({.path = kInferRoute,
                 .repeatable = false,
                 .message = R"({"parameters":{"sequence_id":7,"sequence_start":true}})"});
  std::string id, parameter, message;
  AppendVarintField(id, 2, 7);
  AppendBytesField(parameter, 1, "sequence_id");
  AppendBytesField(parameter, 2, id);
  AppendBytesField(message, 1, "flower");
  AppendBytesField(message, 4, parameter);
  CutEverywhere({.path = kUnary, .repeatable = false, .message = message});
}
TEST(BalancerCutSimTest, ModelInfer) { CutEverywhere({.path = kUnary}); }
TEST(BalancerCutSimTest, Hedged) {
  for (const char* path : {kInferRoute, kUnary}) {
    CutEverywhere({.path = path, .hedge = Hedge::kFirst});
    CutEverywhere({.path = path, .hedge = Hedge::kSecond});
  }
}
TEST(BalancerCutSimTest, ModelStreamInfer) {
  CutEverywhere({.path = kStreaming, .repeatable = false});
}

}  // namespace
}  // namespace tepal::lb
