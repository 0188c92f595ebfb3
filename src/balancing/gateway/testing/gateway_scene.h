// For tests: a configured balancer in the simulated world, before servers that say their number.

#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/discovery/testing/fake_files.h"
#include "balancing/discovery/testing/fake_slices.h"
#include "balancing/gateway/config_yaml.h"
#include "balancing/gateway/gateway.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/net/http_client.h"
#include "sim/world.h"

namespace tepal::gateway {

inline constexpr int kServers = 4;

// Says its number, after a while.
class NumberServer final : public http::RequestHandler {
 public:
  NumberServer(env::EventLoop& loop, int number) : loop_(loop), number_(number) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    if (head.path() == "/v2/health/ready") {
      sender.Respond({}, {});
      return std::make_unique<http::DiscardingRequest>();
    }
    auto alive = std::make_shared<bool>(true);
    return std::make_unique<http::CollectingRequest>(
        head, 1 << 20, sender,
        [this, alive, &sender](Buffer) {
          loop_.RunAfter(5ms, [this, alive, &sender] {
            if (!*alive) return;
            BufferList body;
            body.push_back(Buffer::Copy(Concat(number_)));
            sender.Respond({}, std::move(body));
          });
        },
        [alive](const Status&) { *alive = false; });
  }

 private:
  env::EventLoop& loop_;
  const int number_;
};

// "servers" is every server; other names are unknown.
class Names final : public net::Resolver {
 public:
  bool broken = false;
  Result<std::vector<env::Address>> LookUp(const net::HostPort& name) const {
    if (name.host == "servers" && !broken) {
      std::vector<env::Address> all;
      for (int i = 1; i <= kServers; ++i) all.push_back(Server(i));
      return all;
    }
    if (name.host.starts_with("10.")) {
      return std::vector<env::Address>{{env::Address::Family::kIp4, name.host, name.port}};
    }
    return Unavailable(Concat("resolving '", name.host, "': unknown"));
  }
  void Resolve(env::EventLoop& loop, const net::HostPort& name,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    loop.RunAfter(3ms, [result = LookUp(name), done = std::move(done)]() mutable {
      done(std::move(result));
    });
  }
  static env::Address Server(int number) {
    return {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(number)};
  }
};

class Scene {
 public:
  Scene(uint64_t seed, std::string_view yaml) : world_(seed) {
    server_loop_ = &world_.AddLoop();
    client_loop_ = &world_.AddLoop();
    // One: a pool that goes waits for the other loops, which a simulation has no threads for.
    loops_ = {&world_.AddLoop()};
    for (int i = 1; i <= kServers; ++i) {
      servers_.push_back(std::make_unique<net::HttpServer>(
          std::vector<env::EventLoop*>{server_loop_}, net::HttpServer::Options(),
          [i](env::EventLoop& loop) { return std::make_unique<NumberServer>(loop, i); }));
      EXPECT_TRUE(servers_.back()->Listen(Names::Server(i)).ok());
    }
    client_ = std::make_unique<net::HttpClient>(*client_loop_, net::HttpClient::Options());
    gateway_ = std::make_unique<Gateway>(Gateway::World{loops_, names_, executor_, files_, seed},
                                         Config(yaml));
    const Status started =
        gateway_->Start([this](const net::HostPort& name) { return names_.LookUp(name); });
    EXPECT_TRUE(started.ok()) << started.message();
    world_.RunFor(500ms);
  }
  ~Scene() {
    client_.reset();
    gateway_.reset();
    api_.reset();
    servers_.clear();
  }

  static GatewayConfig Config(std::string_view yaml) {
    auto config = ParseGatewayConfig(yaml, "test.yaml");
    EXPECT_TRUE(config.ok()) << config.status().message();
    return *config;
  }

  // Another gateway, which can reach Kubernetes.
  void Restart(std::string_view yaml) {
    gateway_.reset();
    Gateway::World world{loops_, names_, executor_, files_, 7};
    world.open_kube = [this](const KubeConfig&) {
      kube::ClusterAccess access;
      access.host = "10.0.0.9";
      access.port = 6443;
      access.tls = false;
      return kube::Client::New(*loops_[0], {files_, world_.clock(), names_}, access, {});
    };
    gateway_ = std::make_unique<Gateway>(std::move(world), Config(yaml));
    const Status started =
        gateway_->Start([this](const net::HostPort& name) { return names_.LookUp(name); });
    EXPECT_TRUE(started.ok()) << started.message();
    world_.RunFor(1s);
  }

  std::string Reload(std::string_view yaml) {
    std::string outcome;
    loops_[0]->Post([&, next = Config(yaml)]() mutable {
      gateway_->Reload(std::move(next), [&](Result<std::string> result) {
        outcome = result.ok() ? *result : result.status().message();
      });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return !outcome.empty(); }, 10s));
    world_.RunFor(500ms);  // For health checks.
    return outcome;
  }

  // The bodies of `count` answers, asked for one after the other a millisecond apart.
  void Send(uint16_t port, int count, const std::string& body = "") {
    for (int i = 0; i < count; ++i) {
      client_loop_->RunAfter(i * 1ms, [this, port, body] {
        http::RequestHead head;
        head.method = "POST";
        head.target = "/v2/models/m/infer";
        head.scheme = "http";
        BufferList sent;
        if (!body.empty()) sent.push_back(Buffer::Copy(body));
        client_->Fetch({env::Address::Family::kIp4, "127.0.0.1", port}, std::move(head),
                       std::move(sent), 60s, [this](Result<net::HttpClient::Response> response) {
                         if (response.ok() && response->head.status == 200) {
                           ++answers_[std::string(response->body.text())];
                         } else {
                           failure_ = response.ok() ? Concat(response->head.status)
                                                    : response.status().message();
                           ++failed_;
                         }
                       });
      });
    }
    sent_ += count;
  }
  void Finish() {
    EXPECT_TRUE(world_.RunUntil(
        [this] {
          int answered = failed_;
          for (const auto& [body, count] : answers_) answered += count;
          return answered == sent_;
        },
        60s));
  }

  sim::World world_;
  env::EventLoop* server_loop_;
  env::EventLoop* client_loop_;
  std::vector<env::EventLoop*> loops_;
  Names names_;
  discovery::testing::InlineExecutor executor_;
  discovery::testing::FakeFiles files_;
  std::vector<std::unique_ptr<net::HttpServer>> servers_;
  std::optional<net::HttpServer> api_;  // Of Kubernetes.
  discovery::testing::FakeSlices* slices_ = nullptr;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<Gateway> gateway_;
  std::map<std::string, int> answers_;
  std::string failure_;
  int sent_ = 0, failed_ = 0;
};

inline constexpr char kOne[] = R"(
listeners: [{address: "127.0.0.1:80", pool: a}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}, {address: "10.0.0.1:2"}]}}
admin: {enabled: false}
)";
inline constexpr char kTwo[] = R"(
listeners: [{address: "127.0.0.1:80", pool: a}, {address: "127.0.0.1:81", pool: b}]
pools:
  a: {endpoints: [{address: "10.0.0.1:2"}, {address: "10.0.0.1:3"}]}
  b: {endpoints: [{address: "servers"}]}
admin: {enabled: false}
)";

}  // namespace tepal::gateway
