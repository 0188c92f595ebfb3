// Servers and clients against each other in the simulated world: every request is answered exactly
// once or fails with a reason, what is answered is right, and nothing hangs.

#include <gtest/gtest.h>

#include <charconv>
#include <map>
#include <set>

#include "core/base/text.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::net {
namespace {

const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 8000};

// What the server does with a request is in its path: "/<behaviour>/<id>".
constexpr std::string_view kBehaviours[] = {"echo", "later", "stream", "early", "breakoff"};

std::string BodyOf(uint64_t id, size_t size) {
  std::string body(size, ' ');
  uint64_t word = id * 0x9e3779b97f4a7c15;
  for (char& byte : body) {
    word = word * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>('a' + (word >> 59));
  }
  return body;
}

struct Books {
  std::map<uint64_t, int> taken;  // Requests that reached a handler, by id.
  int receivers_alive = 0;
  std::set<std::string> problems;
};

class SimReceiver final : public http::RequestReceiver {
 public:
  SimReceiver(env::EventLoop& loop, env::Random& random, Books& books, std::string behaviour,
              http::ResponseSender& sender)
      : loop_(loop),
        random_(random),
        books_(books),
        behaviour_(std::move(behaviour)),
        sender_(&sender) {
    ++books_.receivers_alive;
    if (behaviour_ == "early") Answer("early");
    if (behaviour_ == "breakoff") timer_ = loop_.RunAfter(100us, [this] { BreakOff(); });
  }
  ~SimReceiver() override {
    --books_.receivers_alive;
    if (timer_ != 0) loop_.Cancel(timer_);
  }

  std::span<std::byte> BodyRoom(size_t) override {
    // Now and then the application has no room for a while.
    if (paused_) return {};
    if (random_.Below(8) == 0) {
      paused_ = true;
      pause_timer_.emplace(loop_, loop_.RunAfter(300us, [this] {
        paused_ = false;
        pause_timer_->id = 0;
        sender_->ResumeBody();
      }));
      return {};
    }
    room_.resize(1 + random_.Below(5000));
    return std::as_writable_bytes(std::span(room_));
  }
  void OnBody(size_t bytes) override { body_.append(room_.data(), bytes); }
  void OnRequestEnd(const http::Headers&) override {
    if (ended_ || reset_) books_.problems.insert("the request ended twice");
    ended_ = true;
    if (behaviour_ == "echo") Answer(std::move(body_));
    if (behaviour_ == "later") {
      timer_ = loop_.RunAfter(Duration(static_cast<int64_t>(random_.Below(5'000'000))), [this] {
        timer_ = 0;
        Answer(std::move(body_));
      });
    }
    if (behaviour_ == "stream") {
      sender_->Start({});
      Stream();
    }
  }
  void OnReset(const Status& why) override {
    if (reset_) books_.problems.insert("reset twice");
    if (why.ok() || why.message().empty()) books_.problems.insert("reset without a reason");
    reset_ = true;
    if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
    pause_timer_.reset();
  }

 private:
  struct Timer {
    Timer(env::EventLoop& on, env::EventLoop::TimerId with) : loop(on), id(with) {}
    ~Timer() {
      if (id != 0) loop.Cancel(id);
    }
    Timer(const Timer&) = delete;
    env::EventLoop& loop;
    env::EventLoop::TimerId id;
  };

  void Answer(std::string body) {
    BufferList list;
    list.push_back(Buffer::Copy(body));
    sender_->Respond({}, std::move(list));
  }
  void BreakOff() {
    timer_ = 0;
    sender_->Reset(2);
  }
  void Stream() {
    timer_ = 0;
    const size_t size = std::min<size_t>(body_.size() - streamed_, 1 + random_.Below(3000));
    if (size == 0) return sender_->Finish();
    BufferList piece;
    piece.push_back(Buffer::Copy(std::string_view(body_).substr(streamed_, size)));
    streamed_ += size;
    sender_->Write(std::move(piece));
    timer_ = loop_.RunAfter(20us, [this] { Stream(); });
  }

  env::EventLoop& loop_;
  env::Random& random_;
  Books& books_;
  const std::string behaviour_;
  http::ResponseSender* const sender_;
  std::vector<char> room_;
  std::string body_;
  size_t streamed_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  bool reset_ = false;
  env::EventLoop::TimerId timer_ = 0;
  std::optional<Timer> pause_timer_;
};

class SimHandler final : public http::RequestHandler {
 public:
  SimHandler(env::EventLoop& loop, env::Random& random, Books& books)
      : loop_(loop), random_(random), books_(books) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    const auto parts = Split(head.path(), '/');
    ++books_.taken[*ParseNumber<uint64_t>(parts[2])];
    return std::make_unique<SimReceiver>(loop_, random_, books_, std::string(parts[1]), sender);
  }

 private:
  env::EventLoop& loop_;
  env::Random& random_;
  Books& books_;
};

// One request as the client sees it.
struct Asked {
  std::string behaviour;
  std::string body;
  std::unique_ptr<HttpClient::Exchange> exchange;
  bool ended = false;
  bool abandoned = false;
  Status failure;
  bool unprocessed = false;
  int status = 0;
  std::string answer;
};

class SimResponse final : public http::ResponseReceiver {
 public:
  SimResponse(Asked& asked, env::Random& random, Books& books, int& ended)
      : asked_(asked), random_(random), books_(books), ended_(ended) {}
  void OnResponse(http::ResponseHead head) override { asked_.status = head.status; }
  std::span<std::byte> BodyRoom(size_t) override {
    room_.resize(1 + random_.Below(5000));
    return std::as_writable_bytes(std::span(room_));
  }
  void OnBody(size_t bytes) override { asked_.answer.append(room_.data(), bytes); }
  void OnResponseEnd(const http::Headers&) override { End(); }
  void OnFailure(const Failure& failure) override {
    asked_.failure = failure.why;
    asked_.unprocessed = failure.unprocessed;
    if (failure.why.ok()) books_.problems.insert("failed without a reason");
    End();
  }

 private:
  void End() {
    if (asked_.ended) books_.problems.insert("a request ended twice");
    if (asked_.abandoned) books_.problems.insert("an abandoned request was told its end");
    asked_.ended = true;
    ++ended_;
  }
  Asked& asked_;
  env::Random& random_;
  Books& books_;
  int& ended_;
  std::vector<char> room_;
};

struct Scenario {
  explicit Scenario(uint64_t seed_value, bool with_faults, bool over_http2,
                    const http::Limits& limits = {})
      : seed(seed_value), faults(with_faults), world(seed_value, Network(with_faults)) {
    for (int i = 0; i < 3; ++i) server_loops.push_back(&world.AddLoop());
    client_loop = &world.AddLoop();
    server = std::make_unique<HttpServer>(
        server_loops, ServerOptions(limits), [this](env::EventLoop& loop) {
          return std::make_unique<SimHandler>(loop, world.random(), books);
        });
    EXPECT_TRUE(server->Listen(kAddress).ok());
    HttpClient::Options options;
    options.limits = limits;
    options.http2 = over_http2;
    options.connect_time_max = 50ms;
    client = std::make_unique<HttpClient>(*client_loop, options);
  }
  // The end of everything, in the order a program has it.
  ~Scenario() {
    asked.clear();
    client.reset();
    server.reset();
  }

  static HttpServer::Options ServerOptions(const http::Limits& limits) {
    HttpServer::Options options;
    options.limits = limits;
    return options;
  }
  static sim::NetworkOptions Network(bool faults) {
    sim::NetworkOptions options;
    if (faults) {
      options.reset = 0.3;
      options.connect_timeout = 0.05;
    }
    return options;
  }

  void Ask(uint64_t id) {
    env::Random& random = world.random();
    // Breaking off closes the connection under others' requests too: only among the faults.
    const size_t kinds = std::size(kBehaviours) - (faults ? 0 : 1);
    Asked& one = asked[id];
    one.behaviour = kBehaviours[random.Below(kinds)];
    one.body = BodyOf(id, random.Below(3) == 0 ? 0 : random.Below(40'000));
    http::RequestHead head;
    head.method = one.body.empty() ? "GET" : "POST";
    head.target = Concat("/", one.behaviour, "/", id);
    const bool knows_length = random.Below(2) == 0;
    if (knows_length && !one.body.empty()) head.content_length = one.body.size();
    one.exchange = client->Send(kAddress, std::move(head), one.body.empty(),
                                std::make_unique<SimResponse>(one, random, books, ended));
    if (!one.body.empty()) {
      const size_t half = random.Below(one.body.size());
      for (const std::string_view part :
           {std::string_view(one.body).substr(0, half), std::string_view(one.body).substr(half)}) {
        BufferList list;
        list.push_back(Buffer::Copy(part));
        one.exchange->sender().Write(std::move(list));
      }
      one.exchange->sender().Finish();
    }
    if (faults && random.Below(10) == 0) {
      client_loop->RunAfter(Duration(static_cast<int64_t>(random.Below(3'000'000))), [this, id] {
        Asked& given_up = asked[id];
        if (given_up.ended) return;
        given_up.abandoned = true;
        given_up.exchange.reset();
        ++ended;
      });
    }
  }

  void AskAll(int count) {
    for (int i = 0; i < count; ++i) {
      const auto after = Duration(static_cast<int64_t>(world.random().Below(20'000'000)));
      client_loop->RunAfter(after, [this, i] { Ask(static_cast<uint64_t>(i)); });
    }
  }

  void CheckAnswers() {
    for (const std::string& problem : books.problems) ADD_FAILURE() << problem;
    for (const auto& [id, one] : asked) {
      SCOPED_TRACE(testing::Message() << "request " << id << " " << one.behaviour);
      const auto taken = books.taken.find(id);
      const int times = taken == books.taken.end() ? 0 : taken->second;
      EXPECT_LE(times, 1) << "sent twice";
      if (one.abandoned) continue;
      if (!one.failure.ok()) {
        EXPECT_TRUE(faults) << one.failure.ToString();
        EXPECT_FALSE(one.unprocessed && times > 0) << one.failure.ToString();
        continue;
      }
      EXPECT_EQ(times, 1);
      EXPECT_EQ(one.status, 200);
      EXPECT_EQ(one.answer, one.behaviour == "early" ? "early" : one.body);
    }
  }

  const uint64_t seed;
  const bool faults;
  sim::World world;
  Books books;
  std::vector<env::EventLoop*> server_loops;
  env::EventLoop* client_loop;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  std::map<uint64_t, Asked> asked;
  int ended = 0;
};

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
