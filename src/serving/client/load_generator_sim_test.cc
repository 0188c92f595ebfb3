// The load generator on simulated time: as many requests as were asked for, each counted once.

#include "serving/client/load_generator.h"

#include <gtest/gtest.h>

#include "network/http/body_collector.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::client {
namespace {

const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 80};

// Answers each request after `wait`, every `fails_each`th one with 503.
struct Answering final : http::RequestHandler {
  Answering(env::EventLoop& on, Duration after, int fails)
      : loop(on), wait(after), fails_each(fails) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::CollectingRequest>(
        head, 1 << 20, sender,
        [this, alive, &sender](Buffer) {
          loop.RunAfter(wait, [this, alive, &sender] {
            if (!*alive) return;
            http::ResponseHead answer;
            answer.status = fails_each > 0 && ++answered % fails_each == 0 ? 503 : 200;
            sender.Respond(std::move(answer), {});
          });
        },
        [alive](const Status&) { *alive = false; });
  }

  env::EventLoop& loop;
  const Duration wait;
  const int fails_each;
  int answered = 0;
};

LoadReport Simulate(uint64_t seed, std::vector<LoadPhase> phases, Duration wait,
                    int fails_each = 0) {
  sim::World world(seed);
  env::EventLoop& server_loop = world.AddLoop();
  env::EventLoop& client_loop = world.AddLoop();
  net::HttpServer server({&server_loop}, {}, [&](env::EventLoop& loop) {
    return std::make_unique<Answering>(loop, wait, fails_each);
  });
  EXPECT_TRUE(server.Listen(kAddress).ok());
  LoadReport report;
  bool done = false;
  {
    net::HttpClient client(client_loop, {});
    EncodedRequest request;
    request.head.method = "GET";
    request.head.target = "/";
    LoadGenerator::Options options;
    options.phases = std::move(phases);
    options.seed = seed;
    const auto target = NewHttpTarget(client, kAddress, {request}, 60s);
    LoadGenerator generator(client_loop, *target, options);
    LoadGenerator::Calls calls;
    calls.done = [&](const LoadReport& result) {
      report = result;
      done = true;
    };
    generator.Start(std::move(calls));
    EXPECT_TRUE(world.RunUntil([&] { return done; }, 600s)) << "seed " << seed;
  }
  return report;
}

TEST(LoadGeneratorSim, AnOpenLoopSendsAtTheRateAskedFor) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const LoadReport report = Simulate(seed, {{.rate_per_s = 200, .length = 20s}}, 3ms);
    // Poisson with a mean of 4,000: five standard deviations are 316.
    EXPECT_NEAR(static_cast<double>(report.succeeded), 4000, 316) << "seed " << seed;
    EXPECT_EQ(report.failed, 0u);
  }
}

TEST(LoadGeneratorSim, AClosedLoopKeepsItsClientsBusy) {
  const LoadReport report =
      Simulate(1, {{.concurrency = 4, .length = 10s}, {.concurrency = 1, .length = 10s}}, 20ms);
  ASSERT_EQ(report.phases.size(), 2u);
  // 20 ms and the network's way there and back: at most 50 requests a second for each client.
  EXPECT_GT(report.phases[0].succeeded, 4 * 10 * 40u);
  EXPECT_LE(report.phases[0].succeeded, 4 * 10 * 50u);
  EXPECT_GT(report.phases[1].succeeded, 10 * 40u);
  EXPECT_LE(report.phases[1].succeeded, 10 * 50u + 4);
  EXPECT_GE(report.phases[0].p50_us, 19'000);
}

TEST(LoadGeneratorSim, FailuresAreCountedWithTheirReason) {
  const LoadReport report = Simulate(1, {{.concurrency = 2, .length = 5s}}, 5ms, 10);
  EXPECT_GT(report.failed, 50u);
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_TRUE(report.failures.begin()->first.starts_with("HTTP 503"))
      << report.failures.begin()->first;
  EXPECT_EQ(report.failures.begin()->second, report.failed);
}

}  // namespace
}  // namespace tepal::client
