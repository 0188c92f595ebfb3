// Name servers and those who ask them, in the simulated world: answers in pieces, servers that are
// silent, refuse, answer something else or go away.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "balancing/discovery/dns_watch.h"
#include "balancing/discovery/testing/dns_answers.h"
#include "core/base/text.h"
#include "sim/world.h"

namespace tepal::discovery {
namespace {

using testing::AnswerWriter;
using ::testing::HasSubstr;

struct Zone {
  std::map<std::string, std::vector<std::string>> addresses;  // By name.
  struct Target {
    uint16_t priority, weight, port;
    std::string name;
  };
  std::map<std::string, std::vector<Target>> services;
  uint32_t ttl_s = 5;
  enum class Mood { kAnswers, kSilent, kFails, kLies, kCloses } mood = Mood::kAnswers;
  int asked = 0;
};

// One connection of a name server over TCP.
class ServerConnection final : public env::StreamEvents {
 public:
  ServerConnection(env::EventLoop& loop, std::unique_ptr<env::Stream> stream, Zone& zone)
      : stream_(std::move(stream)), zone_(zone) {
    stream_->Attach(loop, *this);
    stream_->Watch(true, false);
  }

 private:
  void OnReadable() override {
    std::byte room[512];
    const env::IoResult result = stream_->Read(room);
    if (result.outcome == env::IoResult::Outcome::kWouldBlock) return;
    if (result.outcome != env::IoResult::Outcome::kDone) return stream_->Watch(false, false);
    in_.insert(in_.end(), room, room + result.bytes);
    if (in_.size() < 2) return;
    const size_t size = static_cast<size_t>(in_[0]) << 8 | static_cast<size_t>(in_[1]);
    if (in_.size() < size + 2 || !out_.empty()) return;
    Answer(std::vector<std::byte>(in_.begin() + 2, in_.end()));
  }
  void OnWritable() override {
    while (sent_ < out_.size()) {
      const env::ConstBytes piece{out_.data() + sent_, out_.size() - sent_};
      const env::IoResult result = stream_->Write({&piece, 1});
      if (result.outcome != env::IoResult::Outcome::kDone) break;
      sent_ += result.bytes;
    }
    stream_->Watch(false, sent_ < out_.size());
  }

  void Answer(const std::vector<std::byte>& question) {
    ++zone_.asked;
    if (zone_.mood == Zone::Mood::kSilent) return;
    if (zone_.mood == Zone::Mood::kCloses) return stream_->ShutdownWrite();
    // The question's own name, read back by the reader that is tested.
    std::vector<std::byte> echo = question;
    echo[2] |= std::byte{0x80};
    const DnsAnswer asked = *ReadDnsAnswer(echo);
    const bool known =
        zone_.addresses.count(asked.question) > 0 || zone_.services.count(asked.question) > 0;
    AnswerWriter writer(question, zone_.mood == Zone::Mood::kFails ? 2 : known ? 0 : 3);
    for (const std::string& address : zone_.addresses[asked.question]) {
      const bool ip6 = address.find(':') != std::string::npos;
      if (asked.question_type == (ip6 ? 28 : 1)) writer.Address("", address, zone_.ttl_s);
    }
    for (const Zone::Target& target : zone_.services[asked.question]) {
      if (asked.question_type != 33) break;
      writer.Srv("", target.priority, target.weight, target.port, target.name, zone_.ttl_s);
    }
    std::vector<std::byte> bytes = writer.bytes();
    if (zone_.mood == Zone::Mood::kLies) bytes[0] ^= std::byte{1};
    out_ = {static_cast<std::byte>(bytes.size() >> 8), static_cast<std::byte>(bytes.size() & 0xff)};
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    OnWritable();
  }

  std::unique_ptr<env::Stream> stream_;
  Zone& zone_;
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
  size_t sent_ = 0;
};

class Scene {
 public:
  explicit Scene(uint64_t seed, Refresh::Options refresh = {}) : world_(seed) {
    server_loop_ = &world_.AddLoop();
    loop_ = &world_.AddLoop();
    for (uint16_t i = 0; i < 2; ++i) {
      addresses_.push_back(
          {env::Address::Family::kIp4, "10.0.0.53", static_cast<uint16_t>(53 + i)});
      listeners_.push_back(*server_loop_->Listen(
          addresses_.back(), {}, [this, i](std::unique_ptr<env::Stream> stream) {
            connections_.push_back(
                std::make_unique<ServerConnection>(*server_loop_, std::move(stream), zones_[i]));
          }));
    }
    client_ = std::make_unique<DnsClient>(*loop_, DnsClient::Options{addresses_, 1s}, seed);
    lookup_ = std::make_unique<DnsLookup>(*client_, ParseResolvConf("search a.svc svc\n"
                                                                    "options ndots:2\n"));
    watch_ = std::make_unique<DnsWatch>(*loop_, *lookup_, refresh);
  }
  ~Scene() {
    watch_.reset();
    client_.reset();
    connections_.clear();
    listeners_.clear();
  }

  void Both(const std::function<void(Zone&)>& change) {
    for (Zone& zone : zones_) change(zone);
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
  Zone zones_[2];
  std::vector<env::Address> addresses_;
  std::vector<std::unique_ptr<env::Listener>> listeners_;
  std::vector<std::unique_ptr<ServerConnection>> connections_;
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
  for (const Zone::Mood mood :
       {Zone::Mood::kSilent, Zone::Mood::kFails, Zone::Mood::kLies, Zone::Mood::kCloses}) {
    Scene scene(1);
    scene.Both([](Zone& zone) { zone.addresses["pods.x"] = {"10.0.0.1"}; });
    scene.zones_[0].mood = mood;
    EXPECT_EQ(scene.LookUp({"pods.x.", 80, "", true}), "10.0.0.1:80");
    EXPECT_GT(scene.zones_[0].asked, 0);
    scene.zones_[1].mood = mood;
    EXPECT_THAT(scene.LookUp({"pods.x.", 80, "", true}), HasSubstr("asking 10.0.0.53:54 for"));
    // Two questions (A and AAAA) to the first of no use and the second; then to two of no use.
    const DnsCounters& counters = scene.client_->counters();
    EXPECT_EQ(counters.names, 8u);
    EXPECT_EQ(counters.codes[0], 2u);
    const bool fails = mood == Zone::Mood::kFails;
    const bool silent = mood == Zone::Mood::kSilent;
    EXPECT_EQ(counters.codes[2], fails ? 6u : 0u);
    EXPECT_EQ(counters.timed_out, silent ? 6u : 0u);
    EXPECT_EQ(counters.unknown, fails || silent ? 0u : 6u);
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
    const int asked = scene.zones_[0].asked;
    scene.world_.RunFor(60s);
    EXPECT_EQ(scene.zones_[0].asked, asked);
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
