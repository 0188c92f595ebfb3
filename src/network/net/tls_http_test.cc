// HTTP servers and clients over TLS, on real loops, threads and sockets, and in the simulated
// world.

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "network/http/body_collector.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "network/net/tls_test_support.h"
#include "sim/world.h"

namespace tepal::net {
namespace {

// Answers with the request's body.
class EchoHandler final : public http::RequestHandler {
 public:
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    return std::make_unique<http::CollectingRequest>(
        head, 64 << 20, sender,
        [&sender, scheme = head.scheme](Buffer body) {
          BufferList list;
          list.push_back(std::move(body));
          http::ResponseHead answer;
          answer.headers.Add("scheme", scheme);
          sender.Respond(std::move(answer), std::move(list));
        },
        [](const Status&) {});
  }
};

const TestAuthority& Authority() {
  static const TestAuthority authority("a CA");
  return authority;
}

std::shared_ptr<const TlsContext> NewServerContext() {
  return TestTls::Server(Authority().Issue("DNS:localhost,IP:127.0.0.1,IP:10.0.0.1"));
}

HttpServer::HandlerFactory Echo() {
  return [](env::EventLoop&) { return std::make_unique<EchoHandler>(); };
}

http::RequestHead Post() {
  http::RequestHead head;
  head.method = "POST";
  head.target = "/";
  return head;
}

BufferList BodyOf(std::string_view text) {
  BufferList body;
  body.push_back(Buffer::Copy(text));
  return body;
}

class TlsSocketTest : public testing::TestWithParam<bool> {
 protected:
  TlsSocketTest() {
    home = runtime::EpollLoop::New().value();
    threads = runtime::LoopThreads::Start("test", 2).value();
    std::vector<env::EventLoop*> loops = threads->loops();
    loops.insert(loops.begin(), home.get());
    source = TlsSource::New([] { return NewServerContext(); }).value();
    HttpServer::Options server_options;
    server_options.tls = source;
    server = std::make_unique<HttpServer>(loops, server_options, Echo());
    address = server->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}).value();
    client = NewClient(TestTls::Client(Authority()));
    home->RunAfter(60s, [this] {
      ADD_FAILURE() << "the test took too long";
      home->Stop();
    });
  }
  std::unique_ptr<HttpClient> NewClient(std::shared_ptr<const TlsContext> context) {
    HttpClient::Options options;
    options.http2 = GetParam();
    options.tls = TestTls::Always(std::move(context));
    return std::make_unique<HttpClient>(*home, options);
  }
  // The outcome of one request.
  Result<HttpClient::Response> FetchOne(HttpClient& with, std::string_view body) {
    std::optional<Result<HttpClient::Response>> got;
    with.Fetch(address, Post(), BodyOf(body), 30s, [&](Result<HttpClient::Response> answer) {
      got = std::move(answer);
      home->Stop();
    });
    home->Run();
    return std::move(*got);
  }

  std::unique_ptr<runtime::EpollLoop> home;
  std::unique_ptr<runtime::LoopThreads> threads;
  std::shared_ptr<TlsSource> source;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  env::Address address;
};

TEST_P(TlsSocketTest, BigBodiesComeBackAsTheyWent) {
  std::string body(20'000'000, ' ');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);
  for (int i = 0; i < 2; ++i) {
    const auto answer = FetchOne(*client, body);
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_TRUE(answer->body.text() == body);
    EXPECT_EQ(answer->head.headers.Get("scheme"), "https");
  }
  EXPECT_EQ(client->counters().tls_handshakes, 1u);
  EXPECT_EQ(server->counters().tls_handshakes.load(), 1u);
  EXPECT_EQ(server->counters().tls_handshake_failures.load(), 0u);
}

// The certificate changes all the time while requests run, and connections come and go.
TEST_P(TlsSocketTest, ReloadingUnderLoadFailsNoRequest) {
  constexpr int kLanes = 8;
  constexpr int kRequests = 600;
  int begun = 0;
  int ended = 0;
  int reloads = 0;
  std::vector<std::unique_ptr<HttpClient>> clients;
  clients.push_back(NewClient(TestTls::Client(Authority())));
  clients.push_back(NewClient(TestTls::Client(Authority())));
  Function<void()> next = [&] {
    if (begun == kRequests) return;
    const size_t size = begun % 20 == 0 ? 300'000 : static_cast<size_t>(1 + begun % 3000);
    if (++begun % 10 == 0) {
      ASSERT_TRUE(source->Reload().ok());
      ++reloads;
      clients.push_back(NewClient(TestTls::Client(Authority())));
    }
    // The latest client opens connections while those of the others stand.
    HttpClient& asking = *clients[clients.size() - 1 - static_cast<size_t>(begun % 3 == 0)];
    asking.Fetch(address, Post(), BodyOf(std::string(size, 'x')), 30s,
                 [&, size](Result<HttpClient::Response> answer) {
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
  EXPECT_EQ(reloads, kRequests / 10);
  EXPECT_GE(server->counters().tls_handshakes.load(), static_cast<uint64_t>(reloads));
  EXPECT_EQ(server->counters().tls_handshake_failures.load(), 0u);
  server->Drain([&] { home->Stop(); });
  home->Run();
  EXPECT_EQ(server->counters().connections_open.load(), 0);
}

TEST_P(TlsSocketTest, NewConnectionsGetTheNewCertificateAndOldOnesGoOn) {
  ASSERT_TRUE(FetchOne(*client, "a").ok());
  // From now on the server's certificate comes from an authority that the client does not know.
  const TestAuthority other("another CA");
  auto context = TestTls::Server(other.Issue("IP:127.0.0.1"));
  server->Stop();
  bool swapped = false;
  const auto changing = TlsSource::New([&]() -> Result<std::shared_ptr<const TlsContext>> {
                          return swapped ? context : NewServerContext();
                        }).value();
  HttpServer::Options options;
  options.tls = changing;
  server = std::make_unique<HttpServer>(std::vector<env::EventLoop*>{home.get()}, options, Echo());
  address = server->Listen({env::Address::Family::kIp4, "127.0.0.1", 0}).value();
  ASSERT_TRUE(FetchOne(*client, "b").ok());
  swapped = true;
  ASSERT_TRUE(changing->Reload().ok());
  EXPECT_TRUE(FetchOne(*client, "c").ok());
  const auto fresh = NewClient(TestTls::Client(Authority()));
  const auto refused = FetchOne(*fresh, "d");
  EXPECT_EQ(refused.status().code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(FetchOne(*NewClient(TestTls::Client(other)), "e").ok());
}

TEST_P(TlsSocketTest, WrongNamesAndAuthoritiesFailTheRequest) {
  const TestAuthority other("another CA");
  const auto stranger = FetchOne(*NewClient(TestTls::Client(other)), "a");
  EXPECT_EQ(stranger.status().message(),
            Concat("TLS with ", address.ToString(),
                   ": the peer's certificate is not accepted: unable to get local issuer "
                   "certificate"));
  const auto misnamed = NewClient(TestTls::Client(Authority(), "elsewhere.test"));
  EXPECT_EQ(FetchOne(*misnamed, "a").status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(misnamed->counters().tls_handshake_failures, 1u);
  EXPECT_EQ(misnamed->counters().connect_failures, 1u);
  EXPECT_TRUE(FetchOne(*NewClient(TestTls::Client(Authority(), "localhost")), "a").ok());
}

TEST_P(TlsSocketTest, PlainHttpToATlsPortFailsAndIsCounted) {
  HttpClient::Options options;
  options.http2 = GetParam();
  HttpClient plain(*home, options);
  EXPECT_FALSE(FetchOne(plain, "a").ok());
  server->Drain([&] { home->Stop(); });
  home->Run();
  EXPECT_EQ(server->counters().tls_handshake_failures.load(), 1u);
  EXPECT_EQ(server->counters().tls_handshakes.load(), 0u);
}

std::string NameOf(const testing::TestParamInfo<bool>& http2) {
  return http2.param ? "Http2" : "Http1";
}
INSTANTIATE_TEST_SUITE_P(Protocols, TlsSocketTest, testing::Bool(), NameOf);

// A server and a client in the simulated world.
struct Scenario {
  Scenario(uint64_t seed, bool http2, std::shared_ptr<const TlsContext> server_context,
           std::shared_ptr<const TlsContext> client_context, sim::NetworkOptions network = {})
      : world(seed, network), client_loop(world.AddLoop()) {
    HttpServer::Options server_options;
    server_options.tls = TestTls::Always(std::move(server_context));
    server = std::make_unique<HttpServer>(
        std::vector<env::EventLoop*>{&world.AddLoop(), &world.AddLoop()}, server_options, Echo());
    EXPECT_TRUE(server->Listen(address).ok());
    HttpClient::Options options;
    options.http2 = http2;
    options.tls = TestTls::Always(std::move(client_context));
    client = std::make_unique<HttpClient>(client_loop, options);
  }
  void Ask(size_t size) {
    const std::string body(size, static_cast<char>('a' + asked % 26));
    ++asked;
    client->Fetch(address, Post(), BodyOf(body), 60s,
                  [this, body](Result<HttpClient::Response> answer) {
                    ++ended;
                    if (!answer.ok()) {
                      ++failed;
                      last_error = answer.status();
                    } else {
                      EXPECT_TRUE(answer->body.text() == body);
                    }
                  });
  }
  bool AllEnd() {
    return world.RunUntil([this] { return ended == asked; }, 300s);
  }

  const env::Address address{env::Address::Family::kIp4, "10.0.0.1", 443};
  sim::World world;
  env::EventLoop& client_loop;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
  int asked = 0;
  int ended = 0;
  int failed = 0;
  Status last_error;
};

TEST(TlsSimTest, EverythingIsAnsweredHoweverTheNetworkCutsIt) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, seed % 2 == 0, NewServerContext(), TestTls::Client(Authority()));
    for (int i = 0; i < 12; ++i) {
      scenario.client_loop.RunAfter(
          Duration(static_cast<int64_t>(scenario.world.random().Below(5'000'000))),
          [&] { scenario.Ask(scenario.world.random().Below(60'000)); });
    }
    scenario.world.RunFor(5ms);
    ASSERT_TRUE(scenario.AllEnd());
    ASSERT_EQ(scenario.asked, 12);
    ASSERT_EQ(scenario.failed, 0) << scenario.last_error.ToString();
    bool drained = false;
    scenario.server->Drain([&] { drained = true; });
    ASSERT_TRUE(scenario.world.RunUntil([&] { return drained; }, 300s));
    ASSERT_EQ(scenario.server->counters().tls_handshake_failures.load(), 0u);
  }
}

TEST(TlsSimTest, ResetsEndEveryRequestAndTheServerDrains) {
  sim::NetworkOptions network;
  network.reset = 0.5;
  network.reset_after_max = 6ms;
  int failures = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, seed % 2 == 0, NewServerContext(), TestTls::Client(Authority()),
                      network);
    for (int i = 0; i < 12; ++i) {
      scenario.client_loop.RunAfter(Duration(i * 500'000),
                                    [&] { scenario.Ask(scenario.world.random().Below(60'000)); });
    }
    scenario.world.RunFor(7ms);
    ASSERT_TRUE(scenario.AllEnd());
    failures += scenario.failed;
    bool drained = false;
    scenario.server->Drain([&] { drained = true; });
    ASSERT_TRUE(scenario.world.RunUntil([&] { return drained; }, 300s));
    ASSERT_EQ(scenario.client->counters().requests_active, 0u);
  }
  EXPECT_GT(failures, 0);
}

TEST(TlsSimTest, StoppingDuringHandshakesLeavesNothingOpen) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Scenario scenario(seed, false, NewServerContext(), TestTls::Client(Authority()));
    for (int i = 0; i < 10; ++i) scenario.Ask(1000);
    scenario.world.RunFor(Duration(static_cast<int64_t>(scenario.world.random().Below(3'000'000))));
    scenario.server->Stop();
    ASSERT_TRUE(scenario.AllEnd());
    // One may still have been on its way to its loop.
    ASSERT_TRUE(scenario.world.RunUntil(
        [&] { return scenario.server->counters().connections_open.load() == 0; }, 1s));
  }
}

TEST(TlsSimTest, WithoutAClientCertificateMutualTlsAnswersNothing) {
  const TestAuthority::Issued issued = Authority().Issue("IP:10.0.0.1");
  for (const bool http2 : {false, true}) {
    Scenario scenario(1, http2, TestTls::Server(issued, Authority().certificate()),
                      TestTls::Client(Authority()));
    scenario.Ask(100);
    ASSERT_TRUE(scenario.AllEnd());
    EXPECT_EQ(scenario.failed, 1);
    EXPECT_EQ(scenario.server->counters().tls_handshakes.load(), 0u);
    EXPECT_EQ(scenario.server->counters().tls_handshake_failures.load(), 1u);

    TlsContext::ClientOptions with;
    with.ca = Authority().certificate();
    with.certificate_chain = issued.certificate;
    with.key = issued.key;
    Scenario known(1, http2, TestTls::Server(issued, Authority().certificate()),
                   TestTls::Context(with));
    known.Ask(100);
    ASSERT_TRUE(known.AllEnd());
    EXPECT_EQ(known.failed, 0) << known.last_error.ToString();
  }
}

TEST(TlsSimTest, ASilentClientIsCutOffAfterTheHandshakeTime) {
  struct Silent final : env::StreamEvents {
    void OnReadable() override {
      std::array<std::byte, 100> room;
      over = stream->Read(room).outcome != env::IoResult::Outcome::kWouldBlock;
      stream->Watch(false, false);
    }
    void OnWritable() override {}
    std::unique_ptr<env::Stream> stream;
    bool over = false;
  };
  Scenario scenario(1, false, NewServerContext(), TestTls::Client(Authority()));
  Silent client;
  const auto connecting = scenario.client_loop.Connect(
      scenario.address, [&](Result<std::unique_ptr<env::Stream>> stream) {
        client.stream = std::move(stream).value();
        client.stream->Attach(scenario.client_loop, client);
        client.stream->Watch(true, false);
      });
  const Instant start = scenario.world.now();
  ASSERT_TRUE(scenario.world.RunUntil([&] { return client.over; }, 60s));
  EXPECT_GE(scenario.world.now() - start, 10s);
  EXPECT_LE(scenario.world.now() - start, 11s);
  EXPECT_EQ(scenario.server->counters().tls_handshake_failures.load(), 1u);
  EXPECT_EQ(scenario.server->counters().connections_open.load(), 0);
}

}  // namespace
}  // namespace tepal::net
