// Questions over a network that loses, repeats and delays, and on which strangers speak.

#include "balancing/discovery/dns_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "balancing/discovery/testing/fake_name_server.h"
#include "core/base/text.h"

namespace tepal::discovery {
namespace {

using testing::AnswerWriter;
using testing::Bytes;
using testing::FakeNameServer;
using ::testing::HasSubstr;
using testing::Text;

env::Address Server(uint16_t port) { return {env::Address::Family::kIp4, "10.0.0.53", port}; }

class Scene {
 public:
  explicit Scene(uint64_t seed = 1, sim::NetworkOptions network = {}, Duration time_max = 2s)
      : world_(seed, network) {
    env::EventLoop& server_loop = world_.AddLoop();
    loop_ = &world_.AddLoop();
    for (const uint16_t port : {uint16_t{53}, uint16_t{54}}) {
      servers_.push_back(std::make_unique<FakeNameServer>(world_, server_loop, Server(port)));
      servers_.back()->zone.addresses["pods.x"] = {Concat("10.0.0.", port)};
    }
    Use({Server(53), Server(54)}, time_max);
  }
  ~Scene() { client_.reset(); }

  void Use(std::vector<env::Address> servers, Duration time_max) {
    client_ = std::make_unique<DnsClient>(*loop_, DnsClient::Options{std::move(servers), time_max},
                                          world_.random().Next());
  }

  // The addresses that are found, or the error; and how long it took.
  std::string Ask(const std::string& name = "pods.x") {
    std::string text;
    int calls = 0;
    const Instant begun = world_.now();
    loop_->Post([&] {
      client_->Ask(name, DnsType::kA, [&](Result<DnsAnswer> answer) {
        ++calls;
        text = answer.ok() ? Concat("code ", answer->code) : answer.status().message();
        if (!answer.ok()) return;
        for (const DnsRecord& record : RecordsFor(*answer, name, DnsType::kA)) {
          text += Concat(" ", record.value);
        }
      });
    });
    EXPECT_TRUE(world_.RunUntil([&] { return calls > 0; }, 60s));
    took_ = world_.now() - begun;
    world_.RunFor(10s);  // Whatever comes later.
    EXPECT_EQ(calls, 1);
    return text;
  }
  testing::Zone& zone(size_t i) { return servers_[i]->zone; }

  sim::World world_;
  env::EventLoop* loop_;
  std::vector<std::unique_ptr<FakeNameServer>> servers_;
  std::unique_ptr<DnsClient> client_;
  Duration took_{};
};

TEST(DnsClientSimTest, OneDatagramEachWay) {
  Scene scene;
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.53");
  EXPECT_EQ(scene.zone(0).asked, 1);
  EXPECT_EQ(scene.zone(0).asked_tcp, 0);
  EXPECT_EQ(scene.zone(1).asked, 0);
  EXPECT_EQ(scene.Ask("nope.x"), "code 3");
  EXPECT_THAT(scene.Ask("a..b"), HasSubstr("'a..b' is no name"));
}

TEST(DnsClientSimTest, LossIsMadeUpFor) {
  sim::NetworkOptions network;
  network.datagram_loss = 0.3;
  int asked = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Scene scene(seed, network, 10s);
    EXPECT_THAT(scene.Ask(), HasSubstr("code 0 10.0.0.")) << "seed " << seed;
    asked += scene.zone(0).asked;
  }
  EXPECT_GT(asked, 50);
}

TEST(DnsClientSimTest, WhatComesTwiceCountsOnce) {
  sim::NetworkOptions network;
  network.datagram_twice = 1.0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scene scene(seed, network);
    EXPECT_EQ(scene.Ask(), "code 0 10.0.0.53") << "seed " << seed;
    EXPECT_EQ(scene.zone(0).asked, 2);
  }
}

TEST(DnsClientSimTest, ALateAnswerToAnEarlierTryCounts) {
  Scene scene;
  scene.zone(0).udp_delay = 700ms;
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.53");
  EXPECT_EQ(scene.zone(0).asked, 2);
  EXPECT_LT(scene.took_, 750ms);  // Not the second one's, which comes after 1.2 s.
}

TEST(DnsClientSimTest, ALateAnswerOfTheServerBeforeIsNotHeard) {
  Scene scene;
  scene.zone(0).udp_delay = 2100ms;
  scene.zone(1).udp_delay = 300ms;
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.54");
}

// What a stranger sends before the server answers.
struct Forgery {
  const char* what;
  bool from_server, right_id, right_name, right_type;
  bool is_believed;
};

TEST(DnsClientSimTest, StrangersAreNotBelieved) {
  const std::vector<Forgery> forgeries = {
      {"another source", false, true, true, true, false},
      {"another id", true, false, true, true, false},
      {"another name", true, true, false, true, false},
      {"another type", true, true, true, false, false},
      // Who knows all of it is believed, so that the above are refused for what is wrong with them.
      {"nothing wrong", true, true, true, true, true}};
  for (const Forgery& forgery : forgeries) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      Scene scene(seed);
      scene.zone(0).udp_delay = 10ms;
      scene.servers_[0]->on_question = [&](const env::Address& from,
                                           const std::vector<std::byte>& question) {
        DnsQuestion asked{0, forgery.right_name ? "pods.x" : "pods.y",
                          forgery.right_type ? DnsType::kA : DnsType::kAaaa};
        std::vector<std::byte> right = *WriteDnsQuestion(asked);
        right[0] = question[0];
        right[1] = question[1] ^ std::byte(forgery.right_id ? 0 : 1);
        AnswerWriter writer(right, 0);
        writer.Address("pods.x", "6.6.6.6", 5);
        const env::Address stranger{env::Address::Family::kIp4, "10.0.0.66", 53};
        scene.world_.SendDatagram(forgery.from_server ? Server(53) : stranger, from,
                                  Text(writer.bytes()));
      };
      EXPECT_EQ(scene.Ask(), forgery.is_believed ? "code 0 6.6.6.6" : "code 0 10.0.0.53")
          << forgery.what << ", seed " << seed;
    }
  }
}

TEST(DnsClientSimTest, WhatIsTruncatedIsAskedForOverTcp) {
  Scene scene;
  for (int i = 0; i < 300; ++i) {
    scene.zone(0).addresses["many.x"].push_back(Concat("10.1.", i / 250, ".", i % 250));
  }
  const std::string found = scene.Ask("many.x");
  EXPECT_EQ(std::count(found.begin(), found.end(), '.'), 900);
  EXPECT_EQ(scene.zone(0).asked, 2);
  EXPECT_EQ(scene.zone(0).asked_tcp, 1);
  // 70 fit into what EDNS allows, and not into 512 bytes.
  auto& more = scene.zone(0).addresses["more.x"];
  for (int i = 0; i < 70; ++i) more.push_back(Concat("10.2.0.", i));
  EXPECT_THAT(scene.Ask("more.x"), HasSubstr("10.2.0.69"));
  EXPECT_EQ(scene.zone(0).asked_tcp, 1);
}

TEST(DnsClientSimTest, AServerWithoutEdns) {
  Scene scene;
  scene.zone(0).knows_edns = false;
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.53");
  EXPECT_EQ(scene.zone(0).asked, 2);
  EXPECT_EQ(scene.zone(0).asked_tcp, 0);
  EXPECT_LT(scene.took_, 100ms);
}

TEST(DnsClientSimTest, TheNextServerIsAskedAtOnceWhenAPortIsClosed) {
  Scene scene;
  scene.Use({Server(99), Server(54)}, 2s);
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.54");
  EXPECT_LT(scene.took_, 100ms);
  scene.Use({Server(99), Server(98)}, 2s);
  EXPECT_THAT(scene.Ask(), HasSubstr("asking 10.0.0.53:98 for 'pods.x': nobody answers"));
}

TEST(DnsClientSimTest, TheNextServerIsAskedInTimeWhenOneIsSilent) {
  Scene scene;
  scene.zone(0).mood = testing::Zone::Mood::kSilent;
  EXPECT_EQ(scene.Ask(), "code 0 10.0.0.54");
  EXPECT_EQ(scene.zone(0).asked, 3);
  EXPECT_GE(scene.took_, 2s);
  EXPECT_LT(scene.took_, 2100ms);
}

TEST(DnsClientSimTest, IdsAndPortsAreDrawn) {
  Scene scene;
  std::set<int> ids;
  std::set<uint16_t> ports;
  scene.servers_[0]->on_question = [&](const env::Address& from,
                                       const std::vector<std::byte>& question) {
    ids.insert(static_cast<int>(question[0]) << 8 | static_cast<int>(question[1]));
    ports.insert(from.port);
  };
  for (int i = 0; i < 100; ++i) (void)scene.Ask();
  EXPECT_GT(ids.size(), 95u);
  EXPECT_GT(ports.size(), 95u);
}

TEST(DnsClientSimTest, SoManyQuestionsAtATime) {
  Scene scene;
  scene.Use({Server(53)}, 1s);
  scene.zone(0).mood = testing::Zone::Mood::kSilent;
  std::set<uint16_t> ports;
  scene.servers_[0]->on_question = [&](const env::Address& from, const std::vector<std::byte>&) {
    ports.insert(from.port);
  };
  size_t answered = 0;
  scene.loop_->Post([&] {
    for (size_t i = 0; i < 3 * kDnsQuestionsMax; ++i) {
      scene.client_->Ask("pods.x", DnsType::kA, [&](const Result<DnsAnswer>&) { ++answered; });
    }
  });
  scene.world_.RunFor(900ms);
  EXPECT_EQ(ports.size(), kDnsQuestionsMax);
  EXPECT_EQ(answered, 0u);
  scene.zone(0).mood = testing::Zone::Mood::kAnswers;
  scene.world_.RunFor(2s);
  EXPECT_EQ(answered, 3 * kDnsQuestionsMax);
}

TEST(DnsClientSimTest, AClientThatGoesCallsNobody) {
  Scene scene;
  int calls = 0;
  scene.loop_->Post([&] {
    for (size_t i = 0; i < 2 * kDnsQuestionsMax; ++i) {
      scene.client_->Ask("pods.x", DnsType::kA, [&](const Result<DnsAnswer>&) { ++calls; });
    }
    scene.client_->Ask("a..b", DnsType::kA, [&](const Result<DnsAnswer>&) { ++calls; });
    scene.client_.reset();
  });
  scene.world_.RunFor(10s);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace tepal::discovery
