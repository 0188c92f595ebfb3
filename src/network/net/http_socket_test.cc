// Servers and clients on real loops, threads and sockets.

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "network/http/body_collector.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"

namespace tepal::net {
namespace {

// Answers with the request's body, from another turn for every second one.
class EchoHandler final : public http::RequestHandler {
 public:
  explicit EchoHandler(env::EventLoop& loop) : loop_(loop) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    EXPECT_TRUE(loop_.InLoopThread());
    auto alive = std::make_shared<bool>(true);
    const bool later = ++count_ % 2 == 0;
    return std::make_unique<http::CollectingRequest>(
        head, 64 << 20, sender,
        [this, &sender, later, alive](Buffer body) {
          if (!later) return Answer(sender, std::move(body));
          loop_.Post([&sender, alive, body = std::move(body)]() mutable {
            if (*alive) Answer(sender, std::move(body));
          });
        },
        [alive](const Status&) { *alive = false; });
  }

 private:
  static void Answer(http::ResponseSender& sender, Buffer body) {
    BufferList list;
    list.push_back(std::move(body));
    sender.Respond({}, std::move(list));
  }
  env::EventLoop& loop_;
  int count_ = 0;
};

class HttpSocketTest : public testing::TestWithParam<bool> {
 protected:
  HttpSocketTest() {
    home = runtime::EpollLoop::New().value();
    threads = runtime::LoopThreads::Start("test", 2).value();
    std::vector<env::EventLoop*> loops = threads->loops();
    loops.insert(loops.begin(), home.get());
    server = std::make_unique<HttpServer>(loops, HttpServer::Options{}, [](env::EventLoop& loop) {
      return std::make_unique<EchoHandler>(loop);
    });
    address = server->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}).value();
    HttpClient::Options options;
    options.http2 = GetParam();
    client = std::make_unique<HttpClient>(*home, options);
    home->RunAfter(60s, [this] {
      ADD_FAILURE() << "the test took too long";
      home->Stop();
    });
  }
  void Fetch(size_t size, Function<void(Result<HttpClient::Response>)> done) {
    http::RequestHead head;
    head.method = "POST";
    head.target = "/";
    BufferList body;
    body.push_back(Buffer::Copy(std::string(size, 'x')));
    client->Fetch(address, std::move(head), std::move(body), 30s, std::move(done));
  }

  std::unique_ptr<runtime::EpollLoop> home;
  std::unique_ptr<runtime::LoopThreads> threads;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  env::Address address;
};

TEST_P(HttpSocketTest, EverythingIsAnsweredOverSeveralThreads) {
  constexpr int kLanes = 32;
  constexpr int kRequests = 2000;
  int begun = 0;
  int ended = 0;
  Function<void()> next = [&] {
    if (begun == kRequests) return;
    const size_t size = begun % 50 == 0 ? 3'000'000 : static_cast<size_t>(1 + begun % 3000);
    ++begun;
    Fetch(size, [&, size](Result<HttpClient::Response> answer) {
      EXPECT_TRUE(answer.ok()) << answer.status().ToString();
      if (answer.ok()) {
        EXPECT_EQ(answer->body.size(), size);
      }
      if (++ended == kRequests) home->Stop();
      next();
    });
  };
  for (int i = 0; i < kLanes; ++i) next();
  home->Run();
  EXPECT_EQ(ended, kRequests);
  EXPECT_EQ(client->counters().requests_active, 0u);
  EXPECT_LE(server->counters().connections_accepted.load(), uint64_t{kLanes});

  server->Drain([&] { home->Stop(); });
  home->Run();
  EXPECT_EQ(server->counters().connections_open.load(), 0);
}

TEST_P(HttpSocketTest, StoppingWithRequestsInProgressTellsTheClient) {
  constexpr int kRequests = 40;
  int ended = 0;
  for (int i = 0; i < kRequests; ++i) {
    Fetch(1'000'000, [&](Result<HttpClient::Response>) {
      if (++ended == kRequests / 4) server->Stop();
      if (ended == kRequests) home->Stop();
    });
  }
  home->Run();
  EXPECT_EQ(ended, kRequests);
  EXPECT_EQ(server->counters().connections_open.load(), 0);
}

// The client has no address there, and no name to ask for.
TEST_P(HttpSocketTest, UnixSocketsCarryRequestsToo) {
  const std::string path = Concat(testing::TempDir(), "/http_socket_test.", getpid());
  const Result<env::Address> at = env::Address::Parse(Concat("unix:", path));
  ASSERT_TRUE(at.ok());
  address = server->Listen(*at).value();
  EXPECT_EQ(address, *at);
  int ended = 0;
  for (const size_t size : {size_t{1}, size_t{3'000'000}}) {
    Fetch(size, [&, size](Result<HttpClient::Response> answer) {
      ASSERT_TRUE(answer.ok()) << answer.status().ToString();
      EXPECT_EQ(answer->body.size(), size);
      if (++ended == 2) home->Stop();
    });
  }
  home->Run();
  EXPECT_EQ(ended, 2);
  server->StopAccepting();
  Fetch(1, [&](Result<HttpClient::Response> answer) {
    EXPECT_TRUE(answer.ok()) << "connections go on";
    home->Stop();
  });
  home->Run();
}

std::string NameOf(const testing::TestParamInfo<bool>& http2) {
  return http2.param ? "Http2" : "Http1";
}
INSTANTIATE_TEST_SUITE_P(Protocols, HttpSocketTest, testing::Bool(), NameOf);

}  // namespace
}  // namespace tepal::net
