// Services followed over the simulated network, while watches break and the API server goes away.

#include "balancing/discovery/kube_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "balancing/discovery/testing/fake_files.h"
#include "balancing/discovery/testing/fake_slices.h"
#include "core/base/text.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::discovery {
namespace {

using testing::Slice;
using testing::SliceEndpoint;

const env::Address kServer{env::Address::Family::kIp4, "10.0.0.9", 6443};
constexpr char kPorts[] = R"({"name":"http","port":8000})";

class NoNames final : public net::Resolver {
 public:
  void Resolve(env::EventLoop& loop, const net::HostPort& name,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    loop.Post([done = std::move(done), name]() mutable {
      done(std::vector<env::Address>{{env::Address::Family::kIp4, name.host, name.port}});
    });
  }
};

struct Scene {
  explicit Scene(uint64_t seed) : world(seed), loop(world.AddLoop()) {
    server.emplace(std::vector<env::EventLoop*>{&loop}, net::HttpServer::Options{},
                   [this](env::EventLoop&) {
                     auto made = std::make_unique<testing::FakeSlices>();
                     api = made.get();
                     return made;
                   });
    EXPECT_TRUE(server->Listen(kServer).ok());
    kube::ClusterAccess access;
    access.host = kServer.host;
    access.port = kServer.port;
    access.tls = false;
    access.name_space = "ns";
    watch.emplace(loop, kube::Client::New(loop, {files, world.clock(), names}, access, {}).value(),
                  seed);
  }
  ~Scene() {
    watch.reset();
    server.reset();
  }
  uint64_t Follow(std::string name = "triton") {
    return watch->Add({"", std::move(name), "http", "", KubeService::Family::kAuto},
                      [this](const KubeFound& found) {
                        ++told;
                        seen.clear();
                        for (const KubeFound::One& one : found.endpoints) {
                          seen += Concat(seen.empty() ? "" : " ", one.address.host.substr(7));
                        }
                      });
  }
  // Hosts are 10.0.0.N.
  static std::string Of(const std::vector<int>& hosts) {
    std::vector<std::string> endpoints;
    for (const int host : hosts) endpoints.push_back(SliceEndpoint(Concat("10.0.0.", host)));
    return Slice(endpoints, kPorts);
  }

  sim::World world;
  env::EventLoop& loop;
  testing::FakeFiles files;
  NoNames names;
  testing::FakeSlices* api = nullptr;
  std::optional<net::HttpServer> server;
  std::optional<KubeWatch> watch;
  std::string seen = "nothing yet";
  int told = 0;
};

TEST(KubeWatchSimTest, ChangesAreKnownAtOnce) {
  Scene scene(1);
  scene.api->Set("triton-a", Scene::Of({1, 2}));
  scene.api->Set("triton-b", Scene::Of({3}));
  scene.Follow();
  scene.world.RunFor(1s);
  EXPECT_EQ(scene.seen, "1 2 3");
  EXPECT_EQ(scene.told, 1);  // Once for all slices.
  EXPECT_TRUE(std::any_of(scene.api->targets.begin(), scene.api->targets.end(), [](const auto& t) {
    return t.starts_with("/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices?") &&
           t.find("kubernetes.io%2Fservice-name%3Dtriton") != std::string::npos;
  })) << scene.api->targets.back();
  scene.api->Set("triton-b", Scene::Of({3, 4}));
  scene.world.RunFor(100ms);
  EXPECT_EQ(scene.seen, "1 2 3 4");
  scene.api->Remove("triton-a");
  scene.world.RunFor(100ms);
  EXPECT_EQ(scene.seen, "3 4");
  const int told = scene.told;
  scene.api->Set("triton-b", Scene::Of({4, 3}));  // The same, written otherwise.
  scene.world.RunFor(100ms);
  EXPECT_EQ(scene.told, told);
}

TEST(KubeWatchSimTest, AnEmptyServiceIsEmptyAndAnOutageIsNot) {
  Scene scene(2);
  scene.Follow();
  scene.world.RunFor(1s);
  EXPECT_EQ(scene.seen, "");  // Told: there is nobody.
  scene.api->Set("triton-a", Scene::Of({1, 2}));
  scene.world.RunFor(100ms);
  EXPECT_EQ(scene.seen, "1 2");
  scene.api->Break(true);
  scene.api->Set("triton-a", Scene::Of({2, 3}));  // What nobody can see.
  scene.world.RunFor(120s);
  EXPECT_EQ(scene.seen, "1 2");
  ASSERT_EQ(scene.watch->Read().size(), 1u);
  EXPECT_EQ(scene.watch->Read()[0].first, "ns/triton");
  EXPECT_GT(scene.watch->Read()[0].second.failed, 1u);
  EXPECT_NE(scene.watch->Read()[0].second.last_error, "");
  scene.api->Break(false);
  scene.world.RunFor(60s);
  EXPECT_EQ(scene.seen, "2 3");
  EXPECT_EQ(scene.watch->Read()[0].second.last_error, "");
}

TEST(KubeWatchSimTest, AServiceMayBeRemovedAtAnyTime) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene(seed);
    scene.api->Set("triton-a", Scene::Of({1}));
    const uint64_t number = scene.Follow();
    scene.world.RunFor(static_cast<int64_t>(seed) * 1ms);
    scene.watch->Remove(number);
    const int told = scene.told;
    scene.world.RunFor(5s);
    EXPECT_EQ(scene.told, told);
    EXPECT_TRUE(scene.watch->Read().empty());
  }
}

// Whatever breaks, and whenever: in the end it is as the API server has it.
TEST(KubeWatchSimTest, BrokenWatchesLoseNothing) {
  for (uint64_t seed = 100; seed < 130; ++seed) {
    Scene scene(seed);
    env::SeededRandom random(seed);
    scene.Follow();
    std::vector<int> hosts;
    for (int step = 0; step < 40; ++step) {
      if (random.Below(4) == 0) scene.api->Break(random.Below(2) == 0);
      hosts.clear();
      for (int host = 1; host < 9; ++host) {
        if (random.Below(2) == 0) hosts.push_back(host);
      }
      scene.api->Set("triton-a", Scene::Of(hosts));
      scene.world.RunFor(static_cast<int64_t>(random.Below(3000)) * 1ms);
    }
    scene.api->Break(false);
    scene.world.RunFor(60s);
    std::string wanted;
    for (const int host : hosts) wanted += Concat(wanted.empty() ? "" : " ", host);
    EXPECT_EQ(scene.seen, wanted) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::discovery
