// gRPC calls in the simulated world, unary and streaming, compressed or not, with pauses on both
// sides, deadlines, cancellation and connections that break: every call ends once, what it brought
// is right, and the server lets go of those that were given up.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/base/text.h"
#include "network/http/grpc.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::net {
namespace {

const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 8001};
constexpr size_t kMessageMax = 100'000;

Duration Below(env::Random& random, Duration most) {
  return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(most.count()))));
}

BufferList Bytes(std::string_view text) {
  BufferList list;
  list.push_back(Buffer::Copy(text));
  return list;
}

struct Books {
  std::map<std::string, int> taken;  // Calls that reached the service, by path.
  int receivers_alive = 0;
  std::set<std::string> problems;
};

// "/echo/N" sends every message back, now and then after a pause; "/sleep/N" never answers.
class EchoCall final : public http::RequestReceiver {
 public:
  EchoCall(env::EventLoop& loop, env::Random& random, Books& books, const http::RequestHead& head,
           http::ResponseSender& sender)
      : loop_(loop),
        random_(random),
        books_(books),
        sender_(sender),
        sleeps_(head.target.starts_with("/sleep")),
        compression_(http::GrpcAnswerCompression(head.headers, http::Effort::kLow)),
        request_(head, sender, kMessageMax, MakeCalls()) {
    ++books_.receivers_alive;
    ++books_.taken[head.target];
    if (!sleeps_) http::GrpcStart(sender_, nullptr, compression_);
  }
  ~EchoCall() override {
    --books_.receivers_alive;
    if (pause_ != 0) loop_.Cancel(pause_);
  }

  std::span<std::byte> BodyRoom(size_t expected) override { return request_.BodyRoom(expected); }
  void OnBody(size_t bytes) override { request_.OnBody(bytes); }
  void OnRequestEnd(const http::Headers& trailers) override { request_.OnRequestEnd(trailers); }
  void OnReset(const Status& why) override { request_.OnReset(why); }

 private:
  http::GrpcStreamRequest::Calls MakeCalls() {
    http::GrpcStreamRequest::Calls calls;
    calls.on_message = [this](Buffer message) {
      if (reset_) books_.problems.insert("a message after the reset");
      if (sleeps_) return;
      http::GrpcWrite(sender_, {std::move(message)},
                      random_.Below(2) == 0 ? compression_ : http::GrpcCompression());
      if (random_.Below(4) == 0) Pause();
    };
    calls.on_end = [this] {
      if (!sleeps_) http::GrpcFinish(sender_, Status());
    };
    calls.on_reset = [this](const Status& why) {
      if (reset_) books_.problems.insert("reset twice");
      if (why.ok()) books_.problems.insert("reset without a reason");
      reset_ = true;
    };
    return calls;
  }
  void Pause() {
    request_.Pause();
    if (pause_ != 0) return;
    pause_ = loop_.RunAfter(Below(random_, 2ms), [this] {
      pause_ = 0;
      request_.Resume();
    });
  }

  env::EventLoop& loop_;
  env::Random& random_;
  Books& books_;
  http::ResponseSender& sender_;
  const bool sleeps_;
  const http::GrpcCompression compression_;
  env::EventLoop::TimerId pause_ = 0;
  bool reset_ = false;
  http::GrpcStreamRequest request_;
};

class EchoService final : public http::RequestHandler {
 public:
  EchoService(env::EventLoop& loop, env::Random& random, Books& books)
      : loop_(loop), random_(random), books_(books) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    return std::make_unique<EchoCall>(loop_, random_, books_, head, sender);
  }

 private:
  env::EventLoop& loop_;
  env::Random& random_;
  Books& books_;
};

// One call as the client sees it.
struct Asked {
  std::string path;
  std::vector<std::string> sent;
  std::unique_ptr<HttpClient::Exchange> exchange;
  http::GrpcStreamResponse* receiver = nullptr;
  bool given_up = false;
  bool paused = false;
  std::vector<std::string> messages;
  std::optional<http::GrpcEnd> end;
};

class Scenario {
 public:
  Scenario(uint64_t seed, bool faults) : faults_(faults), world_(seed, Network(faults)) {
    std::vector<env::EventLoop*> loops{&world_.AddLoop(), &world_.AddLoop()};
    loop_ = &world_.AddLoop();
    server_ = std::make_unique<HttpServer>(loops, HttpServer::Options(), [this](auto& loop) {
      return std::make_unique<EchoService>(loop, world_.random(), books_);
    });
    EXPECT_TRUE(server_->Listen(kAddress).ok());
    HttpClient::Options options;
    options.http2 = true;
    options.connect_time_max = 50ms;
    client_ = std::make_unique<HttpClient>(*loop_, options);
  }
  ~Scenario() {
    asked_.clear();
    client_.reset();
    server_.reset();
  }

  void Run(int calls) {
    for (int i = 0; i < calls; ++i) {
      loop_->RunAfter(Below(world_.random(), 20ms), [this, i] { Ask(i); });
    }
    EXPECT_TRUE(world_.RunUntil([&] { return over_ == calls; }, 300s)) << over_ << " calls ended";
    for (const std::string& problem : books_.problems) ADD_FAILURE() << problem;
    for (const auto& [number, one] : asked_) Check(one);
    // Whoever was given up is forgotten on the server, though it never answered.
    EXPECT_TRUE(world_.RunUntil([&] { return books_.receivers_alive == 0; }, 300s))
        << books_.receivers_alive << " calls are still on the server";
  }

 private:
  static sim::NetworkOptions Network(bool faults) {
    sim::NetworkOptions options;
    if (faults) options.reset = 0.3;
    return options;
  }

  void Ask(int number) {
    env::Random& random = world_.random();
    Asked& one = asked_[number];
    const bool sleeps = random.Below(5) == 0;
    one.path = Concat(sleeps ? "/sleep/" : "/echo/", number);
    http::GrpcCompression compression;
    if (random.Below(2) == 0) compression.encoding = http::Encoding::kGzip;
    auto receiver = std::make_unique<http::GrpcStreamResponse>(kMessageMax, CallsOf(one));
    one.receiver = receiver.get();
    one.exchange =
        client_->Send(kAddress, http::MakeGrpcRequest("", one.path, std::nullopt, compression),
                      false, std::move(receiver));
    for (uint64_t left = random.Below(6); left > 0; --left) {
      const size_t size = random.Below(4) == 0 ? 0 : random.Below(40'000);
      one.sent.emplace_back(size, static_cast<char>('a' + random.Below(26)));
      http::GrpcWrite(one.exchange->sender(), Bytes(one.sent.back()), compression);
    }
    one.exchange->sender().Finish();
    // A deadline, or a caller who changes his mind.
    if (sleeps || random.Below(8) == 0) {
      loop_->RunAfter(Below(random, 5ms), [this, &one] {
        if (one.end.has_value()) return;
        one.given_up = true;
        one.exchange.reset();
        ++over_;
      });
    }
  }

  http::GrpcStreamResponse::Calls CallsOf(Asked& one) {
    http::GrpcStreamResponse::Calls calls;
    calls.on_message = [this, &one](Buffer message) {
      if (one.given_up) books_.problems.insert("a message for nobody");
      if (one.paused) books_.problems.insert("a message during a pause");
      one.messages.emplace_back(message.text());
      if (world_.random().Below(4) != 0) return;
      one.paused = true;
      one.receiver->Pause();
      loop_->RunAfter(Below(world_.random(), 2ms), [&one] {
        one.paused = false;
        if (!one.given_up && !one.end) one.receiver->Resume(one.exchange->sender());
      });
    };
    calls.on_end = [this, &one](http::GrpcEnd end) {
      if (one.end.has_value()) books_.problems.insert("a call ended twice");
      if (one.given_up) books_.problems.insert("an end for nobody");
      one.end = std::move(end);
      ++over_;
    };
    return calls;
  }

  void Check(const Asked& one) {
    SCOPED_TRACE(one.path);
    const auto taken = books_.taken.find(one.path);
    const int times = taken == books_.taken.end() ? 0 : taken->second;
    EXPECT_LE(times, 1);
    EXPECT_LE(one.messages.size(), one.sent.size());
    if (one.given_up) return;
    if (one.end->status.ok()) {
      EXPECT_EQ(one.messages, one.sent);
      EXPECT_EQ(times, 1);
      return;
    }
    EXPECT_TRUE(faults_) << one.end->status.ToString();
    EXPECT_EQ(one.end->status.code(), StatusCode::kUnavailable) << one.end->status.ToString();
    EXPECT_FALSE(one.end->unprocessed && times > 0);
  }

  const bool faults_;
  sim::World world_;
  Books books_;
  env::EventLoop* loop_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
  std::map<int, Asked> asked_;
  int over_ = 0;
};

void RunSeeds(bool faults) {
  constexpr uint64_t kSeeds = 40;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario(seed, faults).Run(30);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(GrpcSimTest, EveryCallIsAnswered) { RunSeeds(false); }
TEST(GrpcSimTest, ConnectionsBreak) { RunSeeds(true); }

}  // namespace
}  // namespace tepal::net
