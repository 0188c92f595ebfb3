// A configured balancer in the simulated world, reloaded while clients send requests.

#include "balancing/gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "balancing/discovery/testing/fake_files.h"
#include "balancing/discovery/testing/fake_name_server.h"
#include "balancing/discovery/testing/fake_slices.h"
#include "balancing/gateway/config_yaml.h"
#include "core/base/text.h"
#include "core/json/value.h"
#include "network/http/body_collector.h"
#include "network/net/http_client.h"
#include "sim/world.h"

namespace tepal::gateway {
namespace {

using testing::HasSubstr;

constexpr int kServers = 4;

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
  void Send(uint16_t port, int count) {
    for (int i = 0; i < count; ++i) {
      client_loop_->RunAfter(i * 1ms, [this, port] {
        http::RequestHead head;
        head.method = "POST";
        head.target = "/v2/models/m/infer";
        head.scheme = "http";
        client_->Fetch({env::Address::Family::kIp4, "127.0.0.1", port}, std::move(head), {}, 60s,
                       [this](Result<net::HttpClient::Response> response) {
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

constexpr char kOne[] = R"(
listeners: [{address: "127.0.0.1:80", pool: a}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}, {address: "10.0.0.1:2"}]}}
admin: {enabled: false}
)";
constexpr char kTwo[] = R"(
listeners: [{address: "127.0.0.1:80", pool: a}, {address: "127.0.0.1:81", pool: b}]
pools:
  a: {endpoints: [{address: "10.0.0.1:2"}, {address: "10.0.0.1:3"}]}
  b: {endpoints: [{address: "servers"}]}
admin: {enabled: false}
)";

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

TEST(GatewaySimTest, TheNameServersAreAResolverZone) {
  Scene scene(1, R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "pods:1", resolve: true}]}}
dns: {servers: ["10.0.0.53:53"], status_zone: z}
admin: {enabled: false}
)");
  const std::vector<lb::ResolverZone> zones = scene.gateway_->admin().ReadResolvers();
  ASSERT_EQ(zones.size(), 1u);
  EXPECT_EQ(zones[0].name, "z");
  EXPECT_EQ(zones[0].requests.at(0).first, "name");
  EXPECT_GE(zones[0].requests.at(0).second, 2u);  // A and AAAA; nobody is there to answer.
  EXPECT_EQ(zones[0].responses.back().first, "unknown");
  EXPECT_EQ(zones[0].responses.back().second, zones[0].requests.at(0).second);
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

TEST(GatewaySimTest, NamesAreLookedUpAnewWhenDnsChanges) {
  const auto with = [](const std::string& dns) {
    return Concat(R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "pods.x:1", resolve: true}]}}
admin: {enabled: false}
dns: {valid: 1h, )",
                  dns, "}\n");
  };
  Scene scene(1, kOne);
  using discovery::testing::FakeNameServer;
  const auto server = [&](uint16_t port) {
    return std::make_unique<FakeNameServer>(
        scene.world_, *scene.server_loop_,
        env::Address{env::Address::Family::kIp4, "10.0.0.53", port});
  };
  const auto first = server(53);
  const auto second = server(54);
  first->zone.addresses["pods.x"] = {"10.0.0.1"};
  second->zone.addresses["pods.x"] = {"10.0.0.2", "fd00::1"};
  const auto listed = [&] {
    std::string text;
    for (const auto& endpoint : scene.gateway_->admin().Find("a")->control->Read().endpoints) {
      if (endpoint.status.state == lb::EndpointState::kRemoved) continue;
      text += Concat(text.empty() ? "" : " ", endpoint.status.spec.address.ToString());
    }
    return text;
  };
  scene.Reload(with("servers: ['10.0.0.53']"));
  EXPECT_EQ(listed(), "10.0.0.1:1");
  scene.Reload(with("servers: ['10.0.0.53:54']"));
  EXPECT_EQ(listed(), "10.0.0.2:1 [fd00::1]:1");
  scene.Reload(with("servers: ['10.0.0.53:54'], ip6: false"));
  EXPECT_EQ(listed(), "10.0.0.2:1");
  // A server that is silent empties nothing, also when it is changed while one waits for it.
  first->zone.mood = discovery::testing::Zone::Mood::kSilent;
  scene.Reload(with("servers: ['10.0.0.53']"));
  EXPECT_EQ(listed(), "10.0.0.2:1");
  scene.Reload(with("servers: ['10.0.0.53:54']"));
  EXPECT_EQ(listed(), "10.0.0.2:1 [fd00::1]:1");
  const int asked = second->zone.asked;
  scene.world_.RunFor(60s);  // An answer is good for an hour.
  EXPECT_EQ(second->zone.asked, asked);
}

TEST(GatewaySimTest, ANameThatIsLostKeepsItsAddresses) {
  Scene scene(1, kTwo);
  scene.names_.broken = true;
  EXPECT_THAT(scene.Reload(kTwo), HasSubstr("0 added, 0 removed, 0 changed"));
  EXPECT_EQ(scene.gateway_->admin().Find("b")->control->Read().endpoints.size(), 4u);
  std::string other = kOne;
  other.replace(other.find("10.0.0.1:2"), 10, "nowhere:22");
  EXPECT_THAT(scene.Reload(other), HasSubstr("resolving 'nowhere': unknown"));
  EXPECT_EQ(scene.gateway_->admin().pools.size(), 2u);  // Nothing was applied.
}

TEST(GatewaySimTest, AWatchedFileIsFollowed) {
  const std::string watched = R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints_file: e.yaml}}
admin: {enabled: false}
)";
  Scene scene(1, watched);
  const auto count = [&] {
    return scene.gateway_->admin().Find("a")->control->Read().endpoints.size();
  };
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(scene.gateway_->admin().Find("a")->discovered);
  scene.files_.Write("e.yaml", "endpoints: [{address: '10.0.0.1:1'}, {address: '10.0.0.1:2'}]");
  scene.world_.RunFor(1s);  // Load within a second.
  scene.Send(80, 20);
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(count(), 2u);
  for (const char* bad : {"endpoints: [{address: 'name:1'}]", "endpoint: []", "{"}) {
    scene.files_.Write("e.yaml", bad);
    scene.world_.RunFor(1s);
    EXPECT_EQ(count(), 2u) << bad;
  }
  (void)scene.files_.Remove("e.yaml");
  scene.world_.RunFor(1s);
  EXPECT_EQ(count(), 2u);
  scene.files_.Write("e.yaml", "endpoints: [{address: '10.0.0.1:2'}]");
  scene.world_.RunFor(1s);
  EXPECT_EQ(count(), 1u);
}

TEST(GatewaySimTest, AServiceOfKubernetesIsFollowed) {
  using discovery::testing::Slice;
  using discovery::testing::SliceEndpoint;
  constexpr char kService[] = R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {kubernetes: {service: triton, port: http}}}
admin: {enabled: false}
)";
  Scene scene(1, kOne);
  EXPECT_THAT(scene.Reload(kService), HasSubstr("there is no way to Kubernetes"));
  const env::Address server{env::Address::Family::kIp4, "10.0.0.9", 6443};
  scene.api_.emplace(std::vector<env::EventLoop*>{scene.server_loop_}, net::HttpServer::Options(),
                     [&](env::EventLoop&) {
                       auto made = std::make_unique<discovery::testing::FakeSlices>();
                       scene.slices_ = made.get();
                       return made;
                     });
  ASSERT_TRUE(scene.api_->Listen(server).ok());
  const auto slice = [](const std::vector<std::string>& endpoints, int port) {
    return Slice(endpoints, Concat("{\"name\":\"http\",\"port\":", port, "}"));
  };
  scene.slices_->Set("one", slice({SliceEndpoint("10.0.0.1", "tt-", "pod-1")}, 1));
  scene.slices_->Set("two", slice({SliceEndpoint("10.0.0.1", "ff-")}, 2));
  scene.Restart(kService);
  const auto listed = [&] {
    std::string text;
    for (const auto& endpoint : scene.gateway_->admin().Find("a")->control->Read().endpoints) {
      text += Concat(text.empty() ? "" : " ", endpoint.status.spec.name);
    }
    return text;
  };
  EXPECT_EQ(listed(), "pod-1");
  EXPECT_TRUE(scene.gateway_->admin().Find("a")->discovered);
  scene.slices_->Set("two", slice({SliceEndpoint("10.0.0.1", "tt-", "pod-2")}, 2));
  scene.world_.RunFor(1s);  // Load within a second.
  scene.Send(80, 40);
  scene.slices_->Remove("one");  // With requests in progress, which are finished.
  scene.Finish();
  EXPECT_EQ(scene.failed_, 0) << scene.failure_;
  EXPECT_EQ(listed(), "pod-2");
  scene.slices_->Break(true);
  scene.world_.RunFor(30s);
  EXPECT_EQ(listed(), "pod-2");
  EXPECT_THAT(scene.Reload(kOne), HasSubstr("endpoints: 1 added, 0 removed"));
  EXPECT_THAT(listed(), HasSubstr("10.0.0.1:1"));
}

TEST(GatewaySimTest, ATokenIsWantedWhereItIsSwitchedOn) {
  constexpr char kAuth[] = R"(
listeners: [{address: "127.0.0.1:80"}]
pools: {a: {endpoints: [{address: "10.0.0.1:1"}], auth: {tokens_file: users}}}
admin: {enabled: false}
)";
  Scene scene(1, kOne);
  scene.files_.Write("users", "ann 0123456789abcdef");
  scene.Restart(kAuth);
  const auto status = [&](const std::string& token, const std::string& target) {
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
  EXPECT_THAT(scene.Reload(kOne), HasSubstr("a restart is needed for pools.a.auth"));
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
