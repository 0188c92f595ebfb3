// Servers and clients against each other in the simulated world: every request is answered exactly
// once or fails with a reason, what is answered is right, and nothing hangs.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>

#include "network/net/testing/net_scenario.h"

namespace tepal::net {
namespace {

constexpr int kRequests = 30;

void RunSeeds(uint64_t first, uint64_t count, bool faults, bool http2,
              const http::Limits& limits = {}) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, faults, http2, limits);
    scenario.AskAll(kRequests);
    const bool all_ended =
        scenario.world.RunUntil([&] { return scenario.ended == kRequests; }, 300s);
    EXPECT_TRUE(all_ended) << "only " << scenario.ended << " requests ended";
    scenario.CheckAnswers();
    EXPECT_EQ(scenario.client->counters().requests_active, 0u);

    bool drained = false;
    scenario.server->Drain([&] { drained = true; });
    EXPECT_TRUE(scenario.world.RunUntil([&] { return drained; }, 300s)) << "never drained";
    EXPECT_EQ(scenario.books.receivers_alive, 0);
    EXPECT_EQ(scenario.server->counters().connections_open.load(), 0);
    scenario.world.RunFor(1s);
    EXPECT_EQ(scenario.client->counters().connections_open, 0u);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(NetSimTest, Http1WithoutFaultsEverythingIsAnswered) { RunSeeds(1, 150, false, false); }
TEST(NetSimTest, Http1WithFaultsNothingHangs) { RunSeeds(10'000, 150, true, false); }
TEST(NetSimTest, Http2WithoutFaultsEverythingIsAnswered) { RunSeeds(20'000, 150, false, true); }
TEST(NetSimTest, Http2WithFaultsNothingHangs) { RunSeeds(30'000, 150, true, true); }

// Connections grow old all the time, and both sides send pings into every silence: no request may
// notice, whatever crosses a GOAWAY on its way.
TEST(NetSimTest, AgeAndKeepaliveFailNoRequest) {
  http::Limits limits;
  limits.keepalive_time = 50us;
  limits.keepalive_timeout = 100ms;
  limits.keepalive_without_streams = true;
  limits.ping_interval_min = Duration(0);
  limits.connection_age_max = 2ms;
  limits.control_frames_burst_max = 1'000'000;
  RunSeeds(40'000, 150, false, true, limits);
}

// In the middle of it: requests that cross the GOAWAYs are answered, and the client's next ones
// come over connections that are told to go, too.
TEST(NetSimTest, Http2ADrainUnderLoadFailsNoRequest) {
  for (uint64_t seed = 50'000; seed < 50'300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, false, true);
    scenario.AskAll(kRequests);
    scenario.world.RunFor(
        Duration(static_cast<int64_t>(scenario.world.random().Below(25'000'000))));
    bool drained = false;
    scenario.server->Drain([&] { drained = true; });
    ASSERT_TRUE(scenario.world.RunUntil([&] { return scenario.ended == kRequests; }, 300s))
        << "only " << scenario.ended << " requests ended";
    const auto over = [&] { return drained && scenario.books.receivers_alive == 0; };
    ASSERT_TRUE(scenario.world.RunUntil(over, 300s)) << "never drained";
    scenario.CheckAnswers();
    if (testing::Test::HasFailure()) return;
  }
}

// The client goes in the middle: whoever waits is told.
TEST(NetSimTest, ADestroyedClientFailsWhatIsInProgress) {
  for (uint64_t seed = 1; seed < 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, false, false);
    for (uint64_t id = 0; id < 10; ++id) scenario.Ask(id);
    scenario.world.RunFor(Duration(static_cast<int64_t>(scenario.world.random().Below(5'000'000))));
    scenario.client.reset();
    ASSERT_EQ(scenario.ended, 10);
    for (const auto& [id, one] : scenario.asked) {
      if (!one.failure.ok()) {
        ASSERT_EQ(one.failure.code(), StatusCode::kCancelled);
      }
    }
    ASSERT_TRUE(scenario.world.RunUntil([&] { return scenario.books.receivers_alive == 0; }, 300s));
  }
}

// The server stops at once: whoever waits is told.
TEST(NetSimTest, AStoppedServerEndsEverything) {
  for (uint64_t seed = 1; seed < 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, true, false);
    scenario.AskAll(kRequests);
    scenario.world.RunFor(
        Duration(static_cast<int64_t>(scenario.world.random().Below(30'000'000))));
    scenario.server->Stop();
    ASSERT_EQ(scenario.books.receivers_alive, 0);
    ASSERT_TRUE(scenario.world.RunUntil([&] { return scenario.ended == kRequests; }, 300s));
    ASSERT_EQ(scenario.server->counters().connections_open.load(), 0);
    scenario.CheckAnswers();
    if (testing::Test::HasFailure()) return;
  }
}

// The last connections may go at the very moment the server begins to drain.
TEST(NetSimTest, DrainingEndsThoughConnectionsGoMeanwhile) {
  for (uint64_t seed = 1; seed < 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, false, false);
    scenario.AskAll(4);
    ASSERT_TRUE(scenario.world.RunUntil([&] { return scenario.ended == 4; }, 300s));
    scenario.client.reset();
    scenario.world.RunFor(Duration(static_cast<int64_t>(scenario.world.random().Below(600'000))));
    bool drained = false;
    scenario.server->Drain([&] { drained = true; });
    ASSERT_TRUE(scenario.world.RunUntil([&] { return drained; }, 300s));
  }
}

TEST(NetSimTest, ASilentClientIsCutOffAfterTheHeaderTime) {
  struct Silent final : env::StreamEvents {
    void OnReadable() override {
      std::array<std::byte, 1000> room;
      const env::IoResult result = stream->Read(room);
      received.append(reinterpret_cast<const char*>(room.data()), result.bytes);
      if (result.outcome == env::IoResult::Outcome::kEnd) {
        ended = true;
        stream->Watch(false, false);
      }
    }
    void OnWritable() override {}
    std::unique_ptr<env::Stream> stream;
    std::string received;
    bool ended = false;
  };
  Scenario scenario(1, false, false);
  Silent client;
  const auto connecting =
      scenario.client_loop->Connect(kAddress, [&](Result<std::unique_ptr<env::Stream>> stream) {
        client.stream = std::move(stream).value();
        client.stream->Attach(*scenario.client_loop, client);
        client.stream->Watch(true, false);
      });
  Function<void()> drip = [&] {
    const std::byte byte{'A'};
    const env::ConstBytes piece{&byte, 1};
    if (client.stream && !client.ended) client.stream->Write({&piece, 1});
    scenario.client_loop->RunAfter(1s, [&] { drip(); });
  };
  drip();
  const Instant start = scenario.world.now();
  ASSERT_TRUE(scenario.world.RunUntil([&] { return client.ended; }, 60s));
  EXPECT_NE(client.received.find("408"), std::string::npos) << client.received;
  EXPECT_GE(scenario.world.now() - start, http::Limits().header_time_max);
  EXPECT_LE(scenario.world.now() - start, http::Limits().header_time_max + 3s);
}

TEST(NetSimTest, FetchHasOneLimitOnTheTime) {
  Scenario scenario(1, false, false);
  http::RequestHead head;
  head.method = "POST";
  head.target = "/echo/1";
  BufferList body;
  body.push_back(Buffer::Copy("hello"));
  std::optional<Result<HttpClient::Response>> got;
  scenario.client->Fetch(kAddress, head, body, 1s, [&](auto result) { got = std::move(result); });
  EXPECT_FALSE(got);
  ASSERT_TRUE(scenario.world.RunUntil([&] { return got.has_value(); }, 2s));
  ASSERT_TRUE(got->ok()) << got->status().ToString();
  EXPECT_EQ((*got)->body.text(), "hello");
  got.reset();
  head.target = "/never/2";
  scenario.client->Fetch(kAddress, head, {}, 1s, [&](auto result) { got = std::move(result); });
  const Instant start = scenario.world.now();
  ASSERT_TRUE(scenario.world.RunUntil([&] { return got.has_value(); }, 10s));
  EXPECT_EQ(got->status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_LE(scenario.world.now() - start, 1100ms);
  EXPECT_EQ(scenario.client->counters().requests_active, 0u);
  // A request given up breaks its connection off, so the server's side ends too.
  EXPECT_TRUE(scenario.world.RunUntil([&] { return scenario.books.receivers_alive == 0; }, 1s));
}

TEST(NetSimTest, ConnectionsGoToTheLoopWithFewestAndTheirNumberIsLimited) {
  sim::World world(1);
  Books books;
  std::vector<env::EventLoop*> loops{&world.AddLoop(), &world.AddLoop(), &world.AddLoop()};
  env::EventLoop& client_loop = world.AddLoop();
  HttpServer::Options options;
  options.connections_max = 9;
  std::map<env::EventLoop*, int> asked_on;
  struct Counting final : http::RequestHandler {
    explicit Counting(Function<void()> with) : count(std::move(with)) {}
    std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead,
                                                     http::ResponseSender& sender) override {
      count();
      struct Silence final : http::RequestReceiver {
        std::span<std::byte> BodyRoom(size_t) override { return {}; }
        void OnBody(size_t) override {}
        void OnRequestEnd(const http::Headers&) override {}
        void OnReset(const Status&) override {}
      };
      static_cast<void>(sender);
      return std::make_unique<Silence>();
    }
    Function<void()> count;
  };
  HttpServer server(loops, options, [&](env::EventLoop& loop) {
    return std::make_unique<Counting>([&asked_on, &loop] { ++asked_on[&loop]; });
  });
  ASSERT_TRUE(server.Listen(kAddress).ok());
  HttpClient client(client_loop, {});
  int failed = 0;
  for (int i = 0; i < 12; ++i) {
    http::RequestHead head;
    head.method = "GET";
    head.target = "/";
    client.Fetch(kAddress, head, {}, 10s, [&](auto result) { failed += result.ok() ? 0 : 1; });
  }
  world.RunFor(1s);
  EXPECT_EQ(failed, 3);
  EXPECT_EQ(server.counters().connections_open.load(), 9);
  EXPECT_EQ(server.counters().connections_refused.load(), 3u);
  EXPECT_EQ(server.counters().connections_accepted.load(), 12u);
  for (env::EventLoop* loop : loops) EXPECT_EQ(asked_on[loop], 3);
}

}  // namespace
}  // namespace tepal::net
