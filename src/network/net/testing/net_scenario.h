// For tests: a server on three loops and a client against each other in the simulated world. Both
// keep books, so that every request is answered exactly once or fails with a reason.

#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::net {

inline const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 8000};

// What the server does with a request is in its path: "/<behaviour>/<id>".
inline constexpr std::string_view kBehaviours[] = {"echo", "later", "stream", "early", "breakoff"};

inline std::string BodyOf(uint64_t id, size_t size) {
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

}  // namespace tepal::net
