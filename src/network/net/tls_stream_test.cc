// TLS streams over the simulated network: bytes come out as they went in, however the network cuts
// them; what is not TLS, or stops in the middle, is refused.

#include "network/net/tls_stream.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "network/net/tls_test_support.h"
#include "sim/world.h"

namespace tepal::net {
namespace {

using Outcome = env::IoResult::Outcome;
const env::Address kAddress{env::Address::Family::kIp4, "10.0.0.1", 443};

std::string RandomText(env::Random& random, size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>(random.Below(256));
  return text;
}

// One end: sends a text in random pieces and half-closes, reads until the end.
struct End final : env::StreamEvents {
  explicit End(env::Random& with) : random(with) {}

  void Adopt(env::EventLoop& loop, std::unique_ptr<env::Stream> with) {
    stream = std::move(with);
    stream->Attach(loop, *this);
    stream->Watch(true, true);
  }
  void OnReadable() override {
    ++events;
    if (random.Below(5) == 0) return;  // It will be told again.
    std::vector<std::byte> room(1 + random.Below(random.Below(2) == 0 ? 100 : 50'000));
    const env::IoResult result = stream->Read(room);
    got.append(reinterpret_cast<const char*>(room.data()), result.bytes);
    if (result.outcome == Outcome::kDone) {
      EXPECT_GT(result.bytes, 0u);
    }
    ended = ended || result.outcome == Outcome::kEnd;
    if (result.outcome == Outcome::kFailed) read_error = result.error;
    Watch();
  }
  void OnWritable() override {
    ++events;
    if (random.Below(5) == 0) return;
    std::vector<env::ConstBytes> pieces;
    size_t offered = sent;
    for (uint64_t i = random.Below(6) + 1; i > 0 && offered < to_send.size(); --i) {
      const size_t part = std::min<size_t>(to_send.size() - offered,
                                           1 + random.Below(random.Below(2) ? 300 : 60'000));
      pieces.push_back({reinterpret_cast<const std::byte*>(to_send.data()) + offered, part});
      offered += part;
    }
    const env::IoResult result = stream->Write(pieces);
    if (result.outcome == Outcome::kFailed) write_error = result.error;
    sent += result.bytes;
    EXPECT_LE(sent, offered);
    if (sent == to_send.size() && !shut) {
      shut = true;
      stream->ShutdownWrite();
    }
    Watch();
  }
  void Watch() {
    stream->Watch(!ended && read_error == 0, sent < to_send.size() && write_error == 0);
  }

  env::Random& random;
  std::unique_ptr<env::Stream> stream;
  std::string to_send;
  size_t sent = 0;
  bool shut = false;
  std::string got;
  bool ended = false;
  int read_error = 0;
  int write_error = 0;
  int events = 0;
};

// A client and a server in a world of their own.
struct Pair {
  explicit Pair(uint64_t seed, sim::NetworkOptions network = {})
      : world(seed, network),
        server_loop(world.AddLoop()),
        client_loop(world.AddLoop()),
        server(world.random()),
        client(world.random()) {}

  void Listen(std::shared_ptr<const TlsContext> context, Duration time_max = 10s) {
    listener = server_loop
                   .Listen(kAddress, {},
                           [this, context, time_max](std::unique_ptr<env::Stream> stream) {
                             server_handshake = TlsHandshake::StartServer(
                                 server_loop, context, std::move(stream), time_max,
                                 [this](Result<TlsConnection> made) {
                                   Done(server_loop, server, server_status, std::move(made));
                                   server_handshake.reset();
                                 });
                           })
                   .value();
  }
  void Connect(Function<void(std::unique_ptr<env::Stream>)> then) {
    connecting = client_loop.Connect(
        kAddress, [then = std::move(then)](Result<std::unique_ptr<env::Stream>> stream) mutable {
          then(std::move(stream).value());
        });
  }
  void ConnectTls(std::shared_ptr<const TlsContext> context, const std::string& host) {
    Connect([this, context, host](std::unique_ptr<env::Stream> stream) {
      client_handshake =
          TlsHandshake::StartClient(client_loop, context, std::move(stream), host, {"h2"}, 10s,
                                    [this](Result<TlsConnection> made) {
                                      Done(client_loop, client, client_status, std::move(made));
                                      client_handshake.reset();
                                    });
    });
  }
  void Done(env::EventLoop& loop, End& end, std::optional<Status>& status,
            Result<TlsConnection> made) {
    EXPECT_FALSE(status) << "told twice";
    status = made.status();
    if (!made.ok()) return;
    protocol = made->protocol;
    end.Adopt(loop, std::move(made->stream));
  }
  bool RunUntil(Function<bool()> done, Duration time_max = 60s) {
    return world.RunUntil(std::move(done), time_max);
  }

  sim::World world;
  env::EventLoop& server_loop;
  env::EventLoop& client_loop;
  End server;
  End client;
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::EventLoop::Connecting> connecting;
  std::unique_ptr<TlsHandshake> server_handshake;
  std::unique_ptr<TlsHandshake> client_handshake;
  std::optional<Status> server_status;
  std::optional<Status> client_status;
  std::string protocol;
};

class TlsStreamTest : public testing::Test {
 protected:
  const TestAuthority authority{"a CA"};
  const TestAuthority other_authority{"another CA"};
  const TestAuthority::Issued issued = authority.Issue("DNS:tepal.test,IP:10.0.0.1");
  const std::shared_ptr<const TlsContext> server_context = TestTls::Server(issued);
  const std::shared_ptr<const TlsContext> client_context = TestTls::Client(authority);
};

TEST_F(TlsStreamTest, BytesComeOutAsTheyWentInAndEachSideHalfCloses) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Pair pair(seed);
    const size_t scale = seed % 3 == 0 ? 600'000 : 3'000;
    pair.client.to_send = RandomText(pair.world.random(), 1 + pair.world.random().Below(scale));
    pair.server.to_send = RandomText(pair.world.random(), 1 + pair.world.random().Below(scale));
    pair.Listen(server_context);
    pair.ConnectTls(client_context, seed % 2 == 0 ? "tepal.test" : "10.0.0.1");
    ASSERT_TRUE(pair.RunUntil([&] { return pair.client.ended && pair.server.ended; }))
        << pair.client.got.size() << " of " << pair.server.to_send.size() << " and "
        << pair.server.got.size() << " of " << pair.client.to_send.size() << " bytes came";
    ASSERT_TRUE(pair.client.got == pair.server.to_send);
    ASSERT_TRUE(pair.server.got == pair.client.to_send);
    ASSERT_EQ(pair.protocol, "h2");
    // Nothing goes on when nothing is left to report.
    const int events = pair.client.events + pair.server.events;
    pair.world.RunFor(1s);
    ASSERT_EQ(pair.client.events + pair.server.events, events);
  }
}

TEST_F(TlsStreamTest, ClosingAfterEverythingWasTakenLosesNothing) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Pair pair(seed);
    pair.server.to_send = RandomText(pair.world.random(), pair.world.random().Below(300'000));
    pair.client.shut = true;  // The client only reads.
    pair.Listen(server_context);
    pair.ConnectTls(client_context, "tepal.test");
    ASSERT_TRUE(pair.RunUntil([&] {
      if (pair.server.stream && pair.server.shut) pair.server.stream.reset();
      // The close_notify itself is lost when it does not fit at once.
      return pair.client.ended || pair.client.read_error == ECONNRESET;
    }));
    ASSERT_TRUE(pair.client.got == pair.server.to_send);
  }
}

// A record is decrypted whole; what was not read of it is reported though the network is silent.
TEST_F(TlsStreamTest, DecryptedBytesAreReportedUntilTheyAreRead) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Pair pair(seed);
    pair.server.to_send = RandomText(pair.world.random(), 5000);
    pair.server.shut = pair.client.shut = true;  // Neither ends.
    pair.Listen(server_context);
    pair.ConnectTls(client_context, "tepal.test");
    ASSERT_TRUE(pair.RunUntil([&] { return pair.client.got.size() == 5000; }))
        << "only " << pair.client.got.size() << " bytes came";
    ASSERT_TRUE(pair.client.got == pair.server.to_send);
  }
}

TEST_F(TlsStreamTest, DestroyingAStreamTellsThePeerOfTheEnd) {
  Pair pair(3);
  pair.Listen(server_context);
  pair.ConnectTls(client_context, "tepal.test");
  ASSERT_TRUE(pair.RunUntil([&] { return pair.client.stream && pair.server.stream; }));
  pair.server.shut = pair.client.shut = true;
  pair.client_loop.Post([&] { pair.client.stream.reset(); });
  ASSERT_TRUE(pair.RunUntil([&] { return pair.server.ended || pair.server.read_error != 0; }));
  EXPECT_TRUE(pair.server.ended);
}

TEST_F(TlsStreamTest, CertificatesThatDoNotFitAreRefused) {
  const auto ends_with = [](std::shared_ptr<const TlsContext> at_server,
                            std::shared_ptr<const TlsContext> at_client, const std::string& host) {
    Pair pair(7);
    pair.Listen(std::move(at_server));
    pair.ConnectTls(std::move(at_client), host);
    EXPECT_TRUE(pair.RunUntil([&] { return pair.client_status && pair.server_status; }));
    EXPECT_FALSE(pair.server_status->ok());
    EXPECT_EQ(pair.client_status->code(), StatusCode::kUnauthenticated);
    return pair.client_status->message();
  };
  const std::string why = "the peer's certificate is not accepted: ";
  EXPECT_EQ(ends_with(server_context, TestTls::Client(other_authority), "tepal.test"),
            why + "unable to get local issuer certificate");
  EXPECT_EQ(ends_with(server_context, client_context, "elsewhere.test"), why + "hostname mismatch");
  EXPECT_EQ(ends_with(server_context, client_context, "10.0.0.2"), why + "IP address mismatch");
  EXPECT_EQ(ends_with(server_context, TestTls::Client(authority, "named.test"), "tepal.test"),
            why + "hostname mismatch");
  EXPECT_EQ(ends_with(TestTls::Server(authority.Issue("DNS:tepal.test", 86400)), client_context,
                      "tepal.test"),
            why + "certificate has expired");
}

TEST_F(TlsStreamTest, WhoDoesNotVerifyTakesAnyCertificate) {
  TlsContext::ClientOptions options;
  options.verify_server = false;
  Pair pair(8);
  pair.Listen(TestTls::Server(other_authority.Issue("DNS:x.test", 86400)));
  pair.ConnectTls(TestTls::Context(options), "tepal.test");
  ASSERT_TRUE(pair.RunUntil([&] { return pair.client_status && pair.server_status; }));
  EXPECT_TRUE(pair.client_status->ok()) << pair.client_status->ToString();
  EXPECT_TRUE(pair.server_status->ok()) << pair.server_status->ToString();
}

TEST_F(TlsStreamTest, MutualTlsWantsACertificateOfTheRightAuthority) {
  const auto server_says = [&](const TestAuthority::Issued* shown) {
    TlsContext::ClientOptions options;
    options.ca = authority.certificate();
    if (shown != nullptr) {
      options.certificate_chain = shown->certificate;
      options.key = shown->key;
    }
    Pair pair(9);
    pair.Listen(TestTls::Server(issued, authority.certificate()));
    pair.ConnectTls(TestTls::Context(options), "tepal.test");
    EXPECT_TRUE(pair.RunUntil([&] { return pair.client_status && pair.server_status; }));
    // In TLS 1.3 the client has finished before the server has looked.
    if (!pair.server_status->ok()) {
      EXPECT_TRUE(pair.RunUntil([&] { return pair.client.read_error != 0; }));
    }
    return *pair.server_status;
  };
  const TestAuthority::Issued good = authority.Issue("DNS:client.test");
  const TestAuthority::Issued bad = other_authority.Issue("DNS:client.test");
  EXPECT_TRUE(server_says(&good).ok()) << server_says(&good).ToString();
  EXPECT_EQ(server_says(&bad).code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(server_says(nullptr).message(), "peer did not return a certificate");
}

// Sends bytes as they are and reads until the connection ends.
struct RawEnd final : env::StreamEvents {
  void OnReadable() override {
    std::array<std::byte, 1000> room;
    const env::IoResult result = stream->Read(room);
    over = result.outcome == Outcome::kEnd || result.outcome == Outcome::kFailed;
    if (over) stream->Watch(false, false);
  }
  void OnWritable() override {
    if (to_send.empty()) return stream->Watch(true, false);
    const env::ConstBytes piece{reinterpret_cast<const std::byte*>(to_send.data()), to_send.size()};
    to_send.erase(0, stream->Write({&piece, 1}).bytes);
  }
  std::unique_ptr<env::Stream> stream;
  std::string to_send;
  bool over = false;
};

TEST_F(TlsStreamTest, GarbageInsteadOfAClientHelloIsRefused) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Pair pair(seed);
    RawEnd raw;
    raw.to_send = seed == 1 ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                            : RandomText(pair.world.random(), 5 + pair.world.random().Below(3000));
    // Some look like a record of the handshake at first.
    if (seed % 3 == 0) raw.to_send.replace(0, 5, std::string("\x16\x03\x01\x02\x00", 5));
    pair.Listen(server_context, 1s);
    pair.Connect([&](std::unique_ptr<env::Stream> stream) {
      raw.stream = std::move(stream);
      raw.stream->Attach(pair.client_loop, raw);
      raw.stream->Watch(true, true);
    });
    ASSERT_TRUE(pair.RunUntil([&] { return pair.server_status.has_value(); }));
    EXPECT_FALSE(pair.server_status->ok());
    EXPECT_FALSE(pair.server_status->message().empty());
    ASSERT_TRUE(pair.RunUntil([&] { return raw.over; }));
    if (seed == 1) {
      EXPECT_EQ(pair.server_status->message(), "http request");
    }
  }
}

TEST_F(TlsStreamTest, AHandshakeHasALimitOnItsTime) {
  Pair pair(5);
  RawEnd raw;
  raw.to_send = std::string("\x16\x03\x01\x02\x00", 5);
  pair.Listen(server_context, 3s);
  pair.Connect([&](std::unique_ptr<env::Stream> stream) {
    raw.stream = std::move(stream);
    raw.stream->Attach(pair.client_loop, raw);
    raw.stream->Watch(true, true);
  });
  ASSERT_TRUE(pair.RunUntil([&] { return pair.server_status.has_value(); }));
  EXPECT_EQ(pair.server_status->code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(pair.server_status->message(), "the TLS handshake takes longer than 3000 ms");
  EXPECT_GE(pair.world.now().time_since_epoch(), 3s);
}

// Somebody between the two ends the connection below: no close_notify.
TEST_F(TlsStreamTest, ACutConnectionReadsAsAReset) {
  struct Cut final : env::Stream {
    explicit Cut(std::unique_ptr<env::Stream> with) : below(std::move(with)) {}
    void Attach(env::EventLoop& loop, env::StreamEvents& events) override {
      below->Attach(loop, events);
    }
    void Watch(bool readable, bool writable) override { below->Watch(readable, writable); }
    env::IoResult Read(std::span<std::byte> into) override { return below->Read(into); }
    env::IoResult Write(std::span<const env::ConstBytes> pieces) override {
      if (!cut) return below->Write(pieces);
      below->ShutdownWrite();
      return {};
    }
    void ShutdownWrite() override { below->ShutdownWrite(); }
    void AbortOnClose() override { below->AbortOnClose(); }
    env::Address local_address() const override { return below->local_address(); }
    env::Address peer_address() const override { return below->peer_address(); }
    std::unique_ptr<env::Stream> below;
    bool cut = false;
  };
  Pair pair(6);
  Cut* between = nullptr;
  pair.Listen(server_context);
  pair.server.shut = true;
  pair.client.shut = true;
  pair.Connect([&](std::unique_ptr<env::Stream> stream) {
    auto cut = std::make_unique<Cut>(std::move(stream));
    between = cut.get();
    pair.client_handshake = TlsHandshake::StartClient(
        pair.client_loop, client_context, std::move(cut), "tepal.test", {"h2"}, 10s,
        [&](Result<TlsConnection> made) {
          pair.Done(pair.client_loop, pair.client, pair.client_status, std::move(made));
          pair.client_handshake.reset();
        });
  });
  ASSERT_TRUE(pair.RunUntil([&] { return pair.client.stream && pair.server.stream; }));
  pair.client_loop.Post([&] {
    between->cut = true;
    pair.client.stream.reset();
  });
  ASSERT_TRUE(pair.RunUntil([&] { return pair.server.ended || pair.server.read_error != 0; }));
  EXPECT_FALSE(pair.server.ended);
  EXPECT_EQ(pair.server.read_error, ECONNRESET);
}

TEST_F(TlsStreamTest, ResetsAnywhereEndTheHandshakeOrTheStream) {
  sim::NetworkOptions network;
  network.reset = 1;
  network.reset_after_max = 5ms;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Pair pair(seed, network);
    pair.client.to_send = pair.server.to_send = std::string(2'000'000, 'x');
    pair.Listen(server_context);
    pair.ConnectTls(client_context, "tepal.test");
    const auto over = [](const std::optional<Status>& status, const End& end) {
      return status && (!status->ok() || end.read_error != 0);
    };
    ASSERT_TRUE(pair.RunUntil([&] {
      return over(pair.client_status, pair.client) &&
             (!pair.server_status || over(pair.server_status, pair.server));
    }));
  }
}

}  // namespace
}  // namespace tepal::net
