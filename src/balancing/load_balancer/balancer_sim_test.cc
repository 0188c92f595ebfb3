// The whole balancer, with its real HTTP code on both sides, in the simulated world: clients send
// bodies of every size over a network that reads and writes short, servers are killed, frozen and
// brought back. Each seed is a different run; a failure prints it.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "balancing/load_balancer/balancer.h"
#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "sim/world.h"

namespace tepal::lb {
namespace {

constexpr uint64_t kBodyMax = 8u << 20;

// Answers with what it got, after a while; the health route at once.
class EchoServer final : public http::RequestHandler {
 public:
  EchoServer(env::EventLoop& loop, env::Random& random, std::map<std::string, int>& executed)
      : loop_(loop), random_(random), executed_(executed) {}

  bool frozen = false;

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    auto alive = std::make_shared<bool>(true);
    if (head.path() == "/v2/health/ready") {
      if (!frozen) sender.Respond({}, {});
      return std::make_unique<http::DiscardingRequest>();
    }
    const std::string id(head.headers.Get("x-test-id").value_or(""));
    const bool streams = head.path() == "/stream";
    return std::make_unique<http::CollectingRequest>(
        head, kBodyMax, sender,
        [=, this, &sender](Buffer body) {
          ++executed_[id];
          if (frozen) return;
          const Duration time = 100us * (1 + random_.Below(50));
          loop_.RunAfter(time, [=, &sender, body = std::move(body)]() mutable {
            if (*alive) Answer(sender, id, std::move(body), streams);
          });
        },
        [alive](const Status&) { *alive = false; });
  }

 private:
  static void Answer(http::ResponseSender& sender, const std::string& id, Buffer body,
                     bool streams) {
    http::ResponseHead head;
    head.headers.Add("x-test-id", id);
    BufferList list;
    list.push_back(std::move(body));
    if (!streams) return sender.Respond(std::move(head), std::move(list));
    sender.Start(std::move(head));
    sender.Write(std::move(list));
    sender.Finish();
  }

  env::EventLoop& loop_;
  env::Random& random_;
  std::map<std::string, int>& executed_;
};

struct Server {
  env::Address address;
  EchoServer* handler = nullptr;  // Owned by `http`.
  std::unique_ptr<net::HttpServer> http;
};

class Scene {
 public:
  Scene(uint64_t seed, int servers, Balancer::Options options)
      : world_(seed), random_(seed + 1), servers_(static_cast<size_t>(servers)) {
    server_loop_ = &world_.AddLoop();
    client_loop_ = &world_.AddLoop();
    std::vector<env::EventLoop*> loops = {&world_.AddLoop(), &world_.AddLoop()};
    options.model_routing = false;  // Servers keep books of all that they are asked.
    balancer_ = std::make_unique<Balancer>(loops, std::move(options), seed);
    const env::Address any{env::Address::Family::kIp4, "127.0.0.1", 0};
    address_ = balancer_->Listen(any).value();
    client_ = std::make_unique<net::HttpClient>(*client_loop_, net::HttpClient::Options());
    for (size_t i = 0; i < servers_.size(); ++i) {
      servers_[i].address = {env::Address::Family::kIp4, "10.0.0.1", static_cast<uint16_t>(1 + i)};
      Begin(i);
      EndpointSpec spec;
      spec.address = servers_[i].address;
      (void)balancer_->AddEndpoint(spec);
    }
    world_.RunFor(500ms);
  }
  ~Scene() {
    client_.reset();
    balancer_.reset();
    servers_.clear();
  }

  void Begin(size_t server) {
    servers_[server].http = std::make_unique<net::HttpServer>(
        std::vector<env::EventLoop*>{server_loop_}, Limits(), [this, server](env::EventLoop& loop) {
          auto handler = std::make_unique<EchoServer>(loop, random_, executed_);
          servers_[server].handler = handler.get();
          return handler;
        });
    ASSERT_TRUE(servers_[server].http->Listen(servers_[server].address).ok());
  }
  // With everything it has in progress.
  void Kill(size_t server) {
    servers_[server].http->Stop();
    servers_[server].http.reset();
    servers_[server].handler = nullptr;
  }
  void SetFrozen(size_t server, bool frozen) { servers_[server].handler->frozen = frozen; }

  // Sends a request whose body says which it is, and checks the answer.
  void Send(const std::string& method, const std::string& target, size_t body_size) {
    const std::string id = Concat("r", ++sent_);
    http::RequestHead head;
    head.method = method;
    head.target = target;
    head.scheme = "http";
    head.headers.Add("x-test-id", id);
    std::string body = body_size == 0 ? std::string() : id;
    body.resize(body_size, static_cast<char>('a' + sent_ % 26));
    BufferList list;
    if (body_size > 0) list.push_back(Buffer::Copy(body));
    // On its loop, so that it reads the right time.
    client_loop_->Post([this, id, head = std::move(head), list = std::move(list), body]() mutable {
      Fetch(id, std::move(head), std::move(list), std::move(body));
    });
  }

  void Fetch(const std::string& id, http::RequestHead head, BufferList list, std::string body) {
    client_->Fetch(address_, std::move(head), std::move(list), 120s,
                   [this, id, body](Result<net::HttpClient::Response> response) {
                     ++done_;
                     if (!response.ok() || response->head.status != 200) {
                       last_failure_ = response.ok() ? std::string(response->body.text())
                                                     : response.status().message();
                       ++failed_;
                       return;
                     }
                     if (response->head.headers.Get("x-test-id") != std::string_view(id) ||
                         response->body.text() != body) {
                       ++wrong_;
                     }
                   });
  }

  // Lets everything come to its end, and looks at what must be true then.
  void Finish() {
    EXPECT_TRUE(world_.RunUntil([this] { return done_ == sent_; }, 300s)) << sent_ - done_;
    world_.RunFor(1s);
    EXPECT_EQ(wrong_, 0);
    const BalancerState state = balancer_->Read();
    EXPECT_EQ(state.in_flight, 0u);
    EXPECT_EQ(state.waiting, 0u);
    EXPECT_EQ(state.active, 0u);
    EXPECT_EQ(state.replay_bytes, 0u);
    EXPECT_EQ(state.requests, static_cast<uint64_t>(sent_));
  }

  static net::HttpServer::Options Limits() {
    net::HttpServer::Options options;
    options.limits.body_bytes_max = kBodyMax;
    return options;
  }

  sim::World world_;
  env::SeededRandom random_;
  env::EventLoop* server_loop_;
  env::EventLoop* client_loop_;
  std::map<std::string, int> executed_;
  std::vector<Server> servers_;
  std::unique_ptr<Balancer> balancer_;
  env::Address address_;
  std::unique_ptr<net::HttpClient> client_;
  int sent_ = 0, done_ = 0, failed_ = 0, wrong_ = 0;
  std::string last_failure_;
};

constexpr const char* kInfer = "/v2/models/flower/infer";

size_t AnySize(env::Random& random) {
  switch (random.Below(24)) {
    case 0:
      return 0;
    case 1:
      return random.Below(300'000);
    default:
      return random.Below(3000);
  }
}

TEST(BalancerSimTest, BodiesOfEverySizePassUnchanged) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    Scene scene(seed, 3, {});
    for (const size_t size : {0u, 1u, 16'384u, 1'048'575u, 1'048'576u, 1'048'577u, 3'000'000u}) {
      scene.Send("POST", kInfer, size);
      scene.Send("POST", "/stream", size);
      scene.Send("PUT", "/other", size);
    }
    scene.Send("GET", "/v2", 0);
    scene.Finish();
    EXPECT_EQ(scene.failed_, 0) << scene.last_failure_;
    for (const auto& [id, count] : scene.executed_) EXPECT_EQ(count, 1) << id;
  }
}

TEST(BalancerSimTest, KilledAndFrozenServersCostNoRequest) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    Scene scene(seed, 3, {});
    env::SeededRandom random(seed * 7);
    for (int round = 0; round < 4; ++round) {
      const size_t victim = random.Below(3);
      const bool freeze = random.Below(2) == 0;
      for (int i = 0; i < 60; ++i) {
        if (i == 20 && freeze) scene.SetFrozen(victim, true);
        if (i == 20 && !freeze) scene.Kill(victim);
        scene.Send("POST", kInfer, AnySize(random));
        if (random.Below(2) == 0) scene.world_.RunFor(Duration(random.Below(2'000'000)));
      }
      scene.world_.RunFor(6s);
      if (freeze) scene.Kill(victim);
      scene.Begin(victim);
      scene.world_.RunFor(8s);
    }
    scene.Finish();
    EXPECT_EQ(scene.failed_, 0) << scene.last_failure_;
    EXPECT_GT(scene.balancer_->Read().retries, 0u);
  }
}

TEST(BalancerSimTest, WhatMustNotBeRepeatedIsExecutedAtMostOnce) {
  int failed = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    Scene scene(seed, 3, {});
    env::SeededRandom random(seed * 7);
    for (int i = 0; i < 200; ++i) {
      if (i == 60) scene.Kill(1);
      if (i == 120) scene.Begin(1);
      scene.Send("PUT", "/other", AnySize(random));
      scene.world_.RunFor(Duration(random.Below(1'000'000)));
    }
    scene.Finish();
    for (const auto& [id, count] : scene.executed_) EXPECT_EQ(count, 1) << id;
    failed += scene.failed_;
  }
  EXPECT_GT(failed, 0);  // Some were with the server that died, or the test proves nothing.
}

TEST(BalancerSimTest, RequestsWaitWhileTheOnlyServerIsRestarted) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(Concat("seed ", seed));
    Scene scene(seed, 1, {});
    scene.Kill(0);
    for (int i = 0; i < 50; ++i) scene.Send("POST", kInfer, 1000);
    scene.world_.RunFor(5s);
    EXPECT_EQ(scene.done_, 0);
    EXPECT_GT(scene.balancer_->Read().waiting, 0u);
    scene.Begin(0);
    scene.Finish();
    EXPECT_EQ(scene.failed_, 0) << scene.last_failure_;
    EXPECT_GT(scene.balancer_->Read().counters.wait_time, 50 * 4s);
  }
}

TEST(BalancerSimTest, WithoutServersRequestsAreRefusedInTime) {
  Balancer::Options options;
  options.pool.queue_size_max = 3;
  options.pool.queue_time_max = 2s;
  Scene scene(1, 1, options);
  scene.Kill(0);
  scene.world_.RunFor(5s);
  for (int i = 0; i < 5; ++i) scene.Send("POST", kInfer, 10);
  scene.Send("GET", "/v2/health/ready", 0);
  scene.world_.RunFor(1s);
  EXPECT_EQ(scene.failed_, 3);  // Two beyond the queue's size, and health, which does not wait.
  scene.Finish();
  EXPECT_EQ(scene.failed_, 6);
  EXPECT_EQ(scene.balancer_->Read().failed, 6u);
  EXPECT_NE(scene.last_failure_.find("no endpoint became free in time"), std::string::npos)
      << scene.last_failure_;
}

TEST(BalancerSimTest, DrainedEndpointFinishesWhatItHas) {
  Scene scene(1, 2, {});
  for (int i = 0; i < 40; ++i) scene.Send("POST", kInfer, 1000);
  scene.world_.RunFor(1ms);
  bool drained = false;
  ASSERT_TRUE(scene.balancer_->DrainEndpoint(1, [&] { drained = true; }).ok());
  scene.Finish();
  EXPECT_TRUE(drained);
  EXPECT_EQ(scene.failed_, 0);
  const uint64_t before = scene.balancer_->Read().endpoints[0].requests;
  for (int i = 0; i < 10; ++i) scene.Send("POST", kInfer, 1000);
  scene.Finish();
  EXPECT_EQ(scene.balancer_->Read().endpoints[0].requests, before);
  ASSERT_TRUE(scene.balancer_->RemoveEndpoint(1).ok());
  EXPECT_EQ(scene.balancer_->Read().endpoints.size(), 1u);
  EXPECT_FALSE(scene.balancer_->RemoveEndpoint(1).ok());
}

TEST(BalancerSimTest, LoadOfOneReplicaIsRefused) {
  Scene scene(1, 2, {});
  scene.Send("POST", "/v2/repository/models/flower/load", 10);
  scene.Finish();
  EXPECT_NE(scene.last_failure_.find("would change one replica of many"), std::string::npos);
  EXPECT_TRUE(scene.executed_.empty());
}

TEST(BalancerSimTest, ClientsThatLeaveCancelUpstream) {
  Scene scene(1, 1, {});
  scene.SetFrozen(0, true);
  {
    http::RequestHead head;
    head.method = "POST";
    head.target = kInfer;
    net::HttpClient leaving(*scene.client_loop_, net::HttpClient::Options());
    BufferList body;
    body.push_back(Buffer::Copy("hello"));
    leaving.Fetch(scene.address_, std::move(head), std::move(body), 60s,
                  [](Result<net::HttpClient::Response>) {});
    scene.world_.RunFor(100ms);
    EXPECT_EQ(scene.balancer_->Read().in_flight, 1u);
  }
  scene.world_.RunFor(100ms);
  const BalancerState state = scene.balancer_->Read();
  EXPECT_EQ(state.in_flight, 0u);
  EXPECT_EQ(state.active, 0u);
  EXPECT_EQ(state.client_gone, 1u);
  EXPECT_EQ(state.endpoints[0].cancelled, 1u);
}

}  // namespace
}  // namespace tepal::lb
