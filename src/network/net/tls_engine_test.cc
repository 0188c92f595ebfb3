// The engine against a client of OpenSSL's own, byte by byte: what a peer may make it hold.

#include "network/net/tls_engine.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>

#include "network/net/tls_test_support.h"

namespace tepal::net {
namespace {

using Outcome = env::IoResult::Outcome;

struct Wire {
  std::string to_engine;
  std::string from_engine;
  bool blocked = false;  // Takes nothing.
  int write_error = 0;
  bool shut = false;
};

class WireStream final : public env::Stream {
 public:
  explicit WireStream(Wire& wire) : wire_(wire) {}
  void Attach(env::EventLoop&, env::StreamEvents&) override {}
  void Watch(bool, bool) override {}
  env::IoResult Read(std::span<std::byte> into) override {
    if (wire_.to_engine.empty()) return {};
    const size_t size = std::min(into.size(), wire_.to_engine.size());
    std::memcpy(into.data(), wire_.to_engine.data(), size);
    wire_.to_engine.erase(0, size);
    return {Outcome::kDone, size, 0};
  }
  env::IoResult Write(std::span<const env::ConstBytes> pieces) override {
    if (wire_.write_error != 0) return {Outcome::kFailed, 0, wire_.write_error};
    if (wire_.blocked) return {};
    wire_.from_engine.append(reinterpret_cast<const char*>(pieces[0].data), pieces[0].size);
    return {Outcome::kDone, pieces[0].size, 0};
  }
  void ShutdownWrite() override { wire_.shut = true; }
  void AbortOnClose() override {}
  env::Address local_address() const override { return {}; }
  env::Address peer_address() const override { return {}; }

 private:
  Wire& wire_;
};

class TlsEngineTest : public testing::Test {
 protected:
  TlsEngineTest() {
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    for (int i = 0; i < 10 && step != TlsEngine::Step::kDone; ++i) {
      SSL_do_handshake(client);
      Carry();
      step = engine.Handshake();
      Carry();
    }
    EXPECT_EQ(step, TlsEngine::Step::kDone);
  }
  ~TlsEngineTest() override { SSL_free(client); }

  // What the client has written to the engine's wire, and the other way round.
  void Carry() {
    char bytes[4096];
    int size;
    while ((size = BIO_read(SSL_get_wbio(client), bytes, sizeof(bytes))) > 0) {
      wire.to_engine.append(bytes, static_cast<size_t>(size));
    }
    BIO_write(SSL_get_rbio(client), wire.from_engine.data(),
              static_cast<int>(wire.from_engine.size()));
    wire.from_engine.clear();
  }
  env::IoResult ReadOnce() {
    std::array<std::byte, 1000> room;
    return engine.Read(room);
  }

  const TestAuthority authority{"a CA"};
  const std::shared_ptr<const TlsContext> context = TestTls::Server(authority.Issue("DNS:a"));
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> client_context{
      SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  SSL* const client = SSL_new(client_context.get());
  Wire wire;
  TlsEngine engine{context, std::make_unique<WireStream>(wire)};
  TlsEngine::Step step = TlsEngine::Step::kWait;
};

TEST_F(TlsEngineTest, APeerThatMakesItAnswerAndDoesNotReadIsNotReadFrom) {
  wire.blocked = true;
  int updates = 0;
  for (; updates < 100'000 && !engine.read_waits(); ++updates) {
    ASSERT_EQ(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client), 1);
    Carry();
    ASSERT_EQ(ReadOnce().outcome, Outcome::kWouldBlock);
  }
  ASSERT_TRUE(engine.read_waits()) << "after " << updates << " updates";
  SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
  SSL_do_handshake(client);
  Carry();
  const size_t waiting = wire.to_engine.size();
  EXPECT_EQ(ReadOnce().outcome, Outcome::kWouldBlock);
  EXPECT_EQ(wire.to_engine.size(), waiting);

  wire.blocked = false;
  engine.Flush();
  EXPECT_FALSE(engine.read_waits());
  EXPECT_TRUE(engine.ReadReady());
  EXPECT_LT(wire.from_engine.size(), 300u * 1024);
  ASSERT_EQ(SSL_write(client, "hello", 5), 5);
  Carry();
  EXPECT_EQ(ReadOnce().bytes, 5u);
}

TEST_F(TlsEngineTest, WhatIsTakenIsBoundedAndReportedOnlyWhenItHasGone) {
  wire.blocked = true;
  const std::string big(10'000'000, 'x');
  const env::ConstBytes piece{reinterpret_cast<const std::byte*>(big.data()), big.size()};
  EXPECT_EQ(engine.Write({&piece, 1}).outcome, Outcome::kWouldBlock);
  EXPECT_EQ(engine.Write({&piece, 1}).outcome, Outcome::kWouldBlock);
  EXPECT_FALSE(engine.WriteReady());
  EXPECT_EQ(ReadOnce().outcome, Outcome::kWouldBlock);
  EXPECT_FALSE(engine.read_waits()) << "an answer that waits must not stop the reading";
  wire.blocked = false;
  const env::IoResult result = engine.Write({&piece, 1});
  EXPECT_EQ(result.outcome, Outcome::kDone);
  EXPECT_GE(wire.from_engine.size(), result.bytes);
  EXPECT_GE(result.bytes, 128u * 1024);
  EXPECT_LE(result.bytes, 160u * 1024);
}

TEST_F(TlsEngineTest, AFailedWriteLeavesReadingAlone) {
  ASSERT_EQ(SSL_write(client, "answer", 6), 6);
  Carry();
  wire.write_error = EPIPE;
  const env::ConstBytes piece{reinterpret_cast<const std::byte*>("x"), 1};
  const env::IoResult written = engine.Write({&piece, 1});
  EXPECT_EQ(written.outcome, Outcome::kFailed);
  EXPECT_EQ(written.error, EPIPE);
  EXPECT_EQ(ReadOnce().bytes, 6u);
}

TEST_F(TlsEngineTest, ATamperedRecordFailsTheStream) {
  ASSERT_EQ(SSL_write(client, "hello", 5), 5);
  Carry();
  wire.to_engine.back() ^= 1;
  const env::IoResult result = ReadOnce();
  EXPECT_EQ(result.outcome, Outcome::kFailed);
  EXPECT_EQ(result.error, EPROTO);
}

TEST_F(TlsEngineTest, TheLowerEndFollowsTheCloseNotify) {
  wire.blocked = true;
  engine.CloseWriting();
  EXPECT_FALSE(wire.shut);
  wire.blocked = false;
  engine.Flush();
  EXPECT_TRUE(wire.shut);
  Carry();
  char byte;
  EXPECT_EQ(SSL_get_error(client, SSL_read(client, &byte, 1)), SSL_ERROR_ZERO_RETURN);
  // The other direction goes on.
  ASSERT_EQ(SSL_write(client, "late", 4), 4);
  Carry();
  EXPECT_EQ(ReadOnce().bytes, 4u);
}

}  // namespace
}  // namespace tepal::net
