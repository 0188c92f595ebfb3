// Checks of every kind against servers that answer well, badly, with something else, or not at all.

#include "balancing/load_balancer/health_probe.h"

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/grpc.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::lb {
namespace {

using Kind = HealthCheck::Kind;

// Says about the server and about model "m" what it is told to.
class Service final : public http::RequestHandler {
 public:
  struct State {
    bool ready = true;
    bool silent = false;
    Status refusal;
    std::vector<std::string> asked;
  };
  explicit Service(State& state) : state_(state) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    if (head.method == "GET") {
      state_.asked.push_back(head.target);
      http::ResponseHead answer;
      answer.status = state_.ready ? 200 : 503;
      if (!state_.silent) sender.Respond(std::move(answer), {});
      return std::make_unique<http::DiscardingRequest>();
    }
    return std::make_unique<http::GrpcUnaryRequest>(
        head, sender, 1000, [this, &sender, path = head.target](Buffer message) {
          state_.asked.push_back(Concat(path, " ", message.text()));
          if (state_.silent) return;
          if (!state_.refusal.ok()) return http::GrpcRespondError(sender, state_.refusal);
          BufferList answer;
          if (state_.ready) answer.push_back(Buffer::Copy("\x08\x01"));
          http::GrpcRespond(sender, std::move(answer));
        });
  }

 private:
  State& state_;
};

class HealthProbeTest : public ::testing::Test {
 protected:
  HealthProbeTest() : loop_(world_.AddLoop()), probe_(std::in_place, loop_, nullptr) {
    server_ = std::make_unique<net::HttpServer>(
        std::vector<env::EventLoop*>{&loop_}, net::HttpServer::Options(),
        [this](env::EventLoop&) { return std::make_unique<Service>(state_); });
    address_ = server_->Listen({env::Address::Family::kIp4, "10.0.0.1", 8001}).value();
  }
  std::string Check(const HealthCheck::Options& options) {
    std::optional<std::string> answer;
    loop_.Post([&] {
      probe_->Send({1, 1, {env::Address::Family::kIp4, "10.0.0.1", 9}, address_}, options,
                   [&](std::string error) { answer = std::move(error); });
      EXPECT_FALSE(answer.has_value());
    });
    EXPECT_TRUE(world_.RunUntil([&] { return answer.has_value(); }, 10s));
    return answer.value_or("never answered");
  }

  sim::World world_{1};
  env::EventLoop& loop_;
  Service::State state_;
  std::unique_ptr<net::HttpServer> server_;
  env::Address address_;
  std::optional<HealthProbe> probe_;
};

TEST_F(HealthProbeTest, EveryKindAsksAndUnderstands) {
  HealthCheck::Options http, health, server, model;
  http.port = 8001;
  health.kind = Kind::kGrpcHealth;
  health.service = "inference";
  server.kind = model.kind = Kind::kKserve;
  model.service = "m";
  for (const auto& options : {http, health, server, model}) EXPECT_EQ(Check(options), "");
  EXPECT_EQ(state_.asked, (std::vector<std::string>{
                              "/v2/health/ready", "/grpc.health.v1.Health/Check \x0a\x09inference",
                              "/inference.GRPCInferenceService/ServerReady ",
                              "/inference.GRPCInferenceService/ModelReady \x0a\x01m"}));
  state_.ready = false;
  EXPECT_EQ(Check(http), "status 503, expected 200");
  for (const auto& options : {health, server, model}) EXPECT_EQ(Check(options), "not ready");
}

TEST_F(HealthProbeTest, StatusThatCountsAsHealthy) {
  HealthCheck::Options options;
  options.kind = Kind::kGrpcHealth;
  state_.refusal = Unimplemented("unknown service");
  EXPECT_EQ(Check(options), "gRPC status 12: unknown service");
  options.grpc_status = 12;
  EXPECT_EQ(Check(options), "");
}

TEST_F(HealthProbeTest, SilenceAndAbsenceAreFailures) {
  HealthCheck::Options options;
  options.kind = Kind::kKserve;
  state_.silent = true;
  EXPECT_EQ(Check(options), "no answer within 2000 ms");
  server_->Stop();
  EXPECT_NE(Check(options), "");
}

TEST_F(HealthProbeTest, GoesWithChecksInProgress) {
  HealthCheck::Options options;
  options.kind = Kind::kKserve;
  state_.silent = true;
  loop_.Post([&] {
    probe_->Send({1, 1, address_, address_}, options,
                 [](std::string) { FAIL() << "answered after its end"; });
  });
  world_.RunFor(100ms);
  loop_.Post([&] { probe_.reset(); });
  world_.RunFor(5s);
}

}  // namespace
}  // namespace tepal::lb
