// Name servers and those who look names up, in the simulated world: servers that are silent,
// refuse, answer something else or go away. dns_client_sim_test.cc has what the network does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "balancing/discovery/dns_watch.h"
#include "balancing/discovery/testing/fake_name_server.h"
#include "core/base/text.h"
#include "sim/world.h"

namespace tepal::discovery {
namespace {

using testing::FakeNameServer;
using ::testing::HasSubstr;
using testing::Zone;

class Scene {
 public:
  explicit Scene(uint64_t seed, Refresh::Options refresh = {}) : world_(seed) {
    server_loop_ = &world_.AddLoop();
    loop_ = &world_.AddLoop();
    for (uint16_t i = 0; i < 2; ++i) {
      addresses_.push_back(
          {env::Address::Family::kIp4, "10.0.0.53", static_cast<uint16_t>(53 + i)});
      servers_.push_back(
          std::make_unique<FakeNameServer>(world_, *server_loop_, addresses_.back()));
    }
    client_ = std::make_unique<DnsClient>(*loop_, DnsClient::Options{addresses_, 1s}, seed);
    lookup_ = std::make_unique<DnsLookup>(*client_, ParseResolvConf("search a.svc svc\n"
                                                                    "options ndots:2\n"));
    watch_ = std::make_unique<DnsWatch>(*loop_, *lookup_, refresh);
  }
  ~Scene() {
    watch_.reset();
    client_.reset();
    servers_.clear();
  }

  void Both(const std::function<void(Zone&)>& change) {
    for (const auto& server : servers_) change(server->zone);
  }

  // "10.0.0.1:80 10.0.0.2:80*3", or the error.
  std::string LookUp(DnsName name) {
    std::string text;
    loop_->Post([&, name = std::move(name)]() mutable {
      lookup_->LookUp(std::move(name), [&](Result<DnsFound> found) {
        text = found.ok() ? Text(*found) : found.status().message();
      });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return !text.empty(); }, 60s));
    return text;
  }
  static std::string Text(const DnsFound& found) {
    std::string text;
    for (const DnsFound::One& one : found.endpoints) {
      if (!text.empty()) text += " ";
      text += one.address.ToString();
      if (one.weight != 1) text += Concat("*", one.weight);
    }
    return text;
  }

  sim::World world_;
  env::EventLoop* server_loop_;
  env::EventLoop* loop_;
  std::vector<env::Address> addresses_;
  std::vector<std::unique_ptr<FakeNameServer>> servers_;
  std::unique_ptr<DnsClient> client_;
  std::unique_ptr<DnsLookup> lookup_;
  std::unique_ptr<DnsWatch> watch_;
};

TEST(DnsSimTest, AddressesOfBothKindsAndManyOfThem) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene(seed);
    scene.Both([&](Zone& zone) {
      for (int i = 0; i < 300; ++i)
        zone.addresses["pods.x"].push_back(Concat("10.1.", i / 250, ".", i % 250));
      zone.addresses["pods.x"].push_back("fd00::1");
    });
    const std::string found = scene.LookUp({"pods.x.", 80, "", true});
    EXPECT_EQ(std::count(found.begin(), found.end(), ' '), 300) << "seed " << seed;
    EXPECT_THAT(found, HasSubstr("10.1.1.49:80"));
    EXPECT_THAT(found, HasSubstr("[fd00::1]:80"));
    EXPECT_EQ(scene.LookUp({"pods.x.", 80, "", false}).find("fd00"), std::string::npos);
  }
}

TEST(DnsSimTest, SearchDomainsAreTriedInTheirOrder) {
  Scene scene(1);
  scene.Both([](Zone& zone) { zone.addresses["pods.svc"] = {"10.0.0.1"}; });
  EXPECT_EQ(scene.LookUp({"pods", 80, "", true}), "10.0.0.1:80");
  EXPECT_THAT(scene.LookUp({"pods.", 80, "", true}), HasSubstr("'pods.' has no address"));
  EXPECT_THAT(NamesToTry(ParseResolvConf("search a b\noptions ndots:2"), "x.y"),
              ::testing::ElementsAre("x.y.a", "x.y.b", "x.y"));
  EXPECT_THAT(NamesToTry(ParseResolvConf("search a"), "x.y"),
              ::testing::ElementsAre("x.y", "x.y.a"));
}

TEST(DnsSimTest, ServicesHavePortsAndWeights) {
  Scene scene(1);
  scene.Both([](Zone& zone) {
    zone.services["_http._tcp.s.x"] = {{1, 3, 8000, "a.x"}, {1, 0, 9000, "b.x"}, {2, 1, 1, "c.x"}};
    zone.addresses["a.x"] = {"10.0.0.1"};
    zone.addresses["b.x"] = {"10.0.0.2", "10.0.0.3"};
    zone.addresses["c.x"] = {"10.0.0.9"};  // Of a lower priority.
  });
  EXPECT_EQ(scene.LookUp({"s.x.", 0, "http", true}), "10.0.0.1:8000*3 10.0.0.2:9000 10.0.0.3:9000");
  EXPECT_EQ(scene.LookUp({"s.x.", 0, "_http._tcp", true}),
            "10.0.0.1:8000*3 10.0.0.2:9000 10.0.0.3:9000");
  EXPECT_THAT(scene.LookUp({"s.x.", 0, "grpc", true}), HasSubstr("has no address"));
  const DnsCounters& counters = scene.client_->counters();
  EXPECT_EQ(counters.services, 3u);
  EXPECT_EQ(counters.names, 8u);  // Of two targets, IPv4 and IPv6, twice.
  EXPECT_EQ(counters.codes[0], 10u);
  EXPECT_EQ(counters.codes[3], 1u);  // There is no such service.
}

TEST(DnsSimTest, TheNextServerIsAskedWhenOneIsOfNoUse) {
  const std::vector<std::function<void(Zone&)>> ways = {
      [](Zone& zone) { zone.mood = Zone::Mood::kSilent; },
      [](Zone& zone) { zone.mood = Zone::Mood::kFails; },
      [](Zone& zone) { zone.mood = Zone::Mood::kLies; },
      [](Zone& zone) { zone.tcp_closes = zone.udp_truncates = true; }};
  for (const bool over_tcp : {false, true}) {
    for (const auto& way : ways) {
      Scene scene(1);
      scene.Both([&](Zone& zone) {
        zone.addresses["pods.x"] = {"10.0.0.1"};
        zone.udp_truncates = over_tcp;
      });
      way(scene.servers_[0]->zone);
      EXPECT_EQ(scene.LookUp({"pods.x.", 80, "", true}), "10.0.0.1:80");
      EXPECT_GT(scene.servers_[0]->zone.asked, 0);
      way(scene.servers_[1]->zone);
      EXPECT_THAT(scene.LookUp({"pods.x.", 80, "", true}), HasSubstr("asking 10.0.0.53:54 for"));
      // Two questions (A and AAAA) to the first of no use and the second; then to two of no use.
      const DnsCounters& counters = scene.client_->counters();
      EXPECT_EQ(counters.names, 8u);
      EXPECT_EQ(counters.codes[0], 2u);
      EXPECT_TRUE(&way != &ways.front() || counters.timed_out == 6u);
    }
  }
}

TEST(DnsSimTest, AWatchedNameIsFollowedAndNeverEmptied) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene(seed);
    scene.Both([](Zone& zone) { zone.addresses["pods.x"] = {"10.0.0.1"}; });
    std::vector<std::string> changes;
    uint64_t number = 0;
    scene.loop_->Post([&] {
      number = scene.watch_->Add({"pods.x.", 80, "", true}, [&](const DnsFound& found) {
        changes.push_back(Scene::Text(found));
      });
    });
    scene.world_.RunFor(3s);
    EXPECT_THAT(changes, ::testing::ElementsAre("10.0.0.1:80"));
    scene.Both([](Zone& zone) { zone.addresses["pods.x"].push_back("10.0.0.2"); });
    scene.world_.RunFor(6s);  // Its records are good for 5 s.
    ASSERT_EQ(changes.size(), 2u) << "seed " << seed;
    EXPECT_EQ(changes.back(), "10.0.0.1:80 10.0.0.2:80");

    for (const Zone::Mood mood : {Zone::Mood::kSilent, Zone::Mood::kFails, Zone::Mood::kLies}) {
      scene.Both([&](Zone& zone) { zone.mood = mood; });
      scene.world_.RunFor(30s);
    }
    scene.Both([](Zone& zone) {
      zone.mood = Zone::Mood::kAnswers;
      zone.addresses.clear();  // There is no such name any more.
    });
    scene.world_.RunFor(30s);
    EXPECT_EQ(changes.size(), 2u) << "seed " << seed;
    EXPECT_THAT(scene.watch_->Read()[0].second.last_error, HasSubstr("has no address"));

    scene.Both([](Zone& zone) { zone.addresses["pods.x"] = {"10.0.0.3"}; });
    scene.world_.RunFor(6s);
    EXPECT_EQ(changes.back(), "10.0.0.3:80");
    scene.loop_->Post([&] { scene.watch_->Remove(number); });
    scene.world_.RunFor(1s);
    const int asked = scene.servers_[0]->zone.asked;
    scene.world_.RunFor(60s);
    EXPECT_EQ(scene.servers_[0]->zone.asked, asked);
  }
}

TEST(RefreshTest, WaitsAsLongAsTheRecordsSayWithinBounds) {
  Refresh refresh({});
  EXPECT_EQ(refresh.OnFound(3s), 3s);
  EXPECT_EQ(refresh.OnFound(0s), 1s);
  EXPECT_EQ(refresh.OnFound(300s), 5s);
  EXPECT_EQ(refresh.OnFailed(), 500ms);
  EXPECT_EQ(refresh.OnFailed(), 1s);
  for (int i = 0; i < 100; ++i) (void)refresh.OnFailed();
  EXPECT_EQ(refresh.OnFailed(), 5s);
  EXPECT_EQ(refresh.OnFound(2s), 2s);
  EXPECT_EQ(refresh.OnFailed(), 500ms);
  Refresh::Options options;
  options.valid = 7s;
  EXPECT_EQ(Refresh(options).OnFound(1s), 7s);
}

}  // namespace
}  // namespace tepal::discovery
