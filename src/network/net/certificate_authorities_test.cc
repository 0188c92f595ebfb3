// Certificates that were taken in the handshake, checked afterwards; and those that sign
// themselves.

#include "network/net/certificate_authorities.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/net/http_client.h"
#include "network/net/http_server.h"
#include "network/net/self_signed.h"
#include "network/net/tls_test_support.h"
#include "sim/world.h"

namespace tepal::net {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

// DER out of PEM, as the handshake brings it.
PeerCertificates Shown(const std::vector<Pem>& chain) {
  PeerCertificates shown;
  for (const Pem& pem : chain) {
    BIO* const bio = BIO_new_mem_buf(pem.text.data(), static_cast<int>(pem.text.size()));
    X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    shown.chain.emplace_back(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    X509_free(certificate);
    BIO_free(bio);
  }
  return shown;
}

std::shared_ptr<const CertificateAuthorities> Trusting(const std::vector<Pem>& bundle) {
  Pem all{"", "bundle"};
  for (const Pem& one : bundle) all.text += one.text;
  return CertificateAuthorities::New(all).value();
}

TEST(CertificateAuthoritiesTest, SaysWhomACertificateIsFor) {
  const TestAuthority ours("ours");
  const TestAuthority theirs("theirs");
  const auto trusted = Trusting({theirs.certificate(), ours.certificate()});
  const auto issued = ours.IssueFor("hpa", {"system:nodes", "b"});
  const auto peer = trusted->Check(Shown({issued.certificate}), kNow);
  ASSERT_TRUE(peer.ok()) << peer.status().ToString();
  EXPECT_EQ(peer->common_name, "hpa");
  EXPECT_EQ(peer->organizations, (std::vector<std::string>{"system:nodes", "b"}));
  EXPECT_LT(peer->not_before, kNow);
  EXPECT_GT(peer->not_after, kNow);
  // The authority itself may be in what is shown.
  EXPECT_TRUE(trusted->Check(Shown({issued.certificate, ours.certificate()}), kNow).ok());
}

TEST(CertificateAuthoritiesTest, RefusesWhatItMust) {
  const TestAuthority ours("ours");
  const TestAuthority impostor("ours");
  const auto trusted = Trusting({ours.certificate()});
  const auto why = [&](const PeerCertificates& shown, WallTime now = kNow) {
    const auto peer = trusted->Check(shown, now);
    EXPECT_FALSE(peer.ok());
    EXPECT_EQ(peer.status().code(), StatusCode::kUnauthenticated);
    return peer.status().message();
  };
  EXPECT_NE(why({}).find("none was shown"), std::string::npos);
  EXPECT_NE(why({{"rubbish"}}).find("cannot be read"), std::string::npos);
  why(Shown({impostor.IssueFor("hpa", {}).certificate}));
  why(Shown({impostor.IssueFor("hpa", {}).certificate, impostor.certificate()}));
  const auto brief = ours.IssueFor("hpa", {}, "", 1'800'000'000);
  EXPECT_TRUE(trusted->Check(Shown({brief.certificate}), kNow - 1s).ok());
  EXPECT_NE(why(Shown({brief.certificate}), kNow + 10s).find("expired"), std::string::npos);
  // A server's certificate is no client's.
  why(Shown({ours.IssueFor("hpa", {}, "", TestAuthority::kLongFromNow, "serverAuth").certificate}));
  EXPECT_TRUE(
      trusted
          ->Check(Shown({ours.IssueFor("hpa", {}, "", TestAuthority::kLongFromNow, "clientAuth")
                             .certificate}),
                  kNow)
          .ok());
}

TEST(CertificateAuthoritiesTest, ReadsTheAlternativeNames) {
  const TestAuthority ours("ours");
  const std::vector<std::string> names = {"a.example", "spiffe://cluster/ops", "ann@example.com"};
  const auto issued = ours.IssueFor(
      "hpa", {},
      "DNS:a.example,IP:127.0.0.1,URI:spiffe://cluster/ops,email:ann@example.com,DNS:a b",
      1'900'000'000);
  const auto checked = Trusting({ours.certificate()})->Check(Shown({issued.certificate}), kNow);
  ASSERT_TRUE(checked.ok()) << checked.status().ToString();
  EXPECT_EQ(checked->alternative_names, names);
  const auto read = ReadCheckedPeer(Shown({issued.certificate}));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->common_name, "hpa");
  EXPECT_EQ(read->alternative_names, names);
  EXPECT_EQ(read->not_after, WallTime(std::chrono::seconds(1'900'000'000)));
  EXPECT_EQ(ReadCheckedPeer({{"rubbish"}}).status().code(), StatusCode::kUnauthenticated);
  EXPECT_FALSE(ReadCheckedPeer({}).ok());
}

TEST(CertificateAuthoritiesTest, WantsABundleWithCertificates) {
  for (const std::string& text :
       {std::string(), std::string("nothing"),
        TestAuthority("a").certificate().text + "-----BEGIN CERTIFICATE-----\nxx\n"}) {
    const auto made = CertificateAuthorities::New({text, "the bundle"});
    ASSERT_FALSE(made.ok()) << text;
    EXPECT_NE(made.status().message().find("the bundle"), std::string::npos);
  }
}

TEST(SelfSignedTest, IsTrustedByWhoKnowsIt) {
  const auto made = MakeSelfSigned({"api.ns.svc", "localhost"}, {"127.0.0.1"}, kNow).value();
  const auto again = MakeSelfSigned({"api.ns.svc"}, {}, kNow).value();
  EXPECT_NE(made.key.text, again.key.text);
  EXPECT_FALSE(MakeSelfSigned({}, {}, kNow).ok());
  EXPECT_FALSE(MakeSelfSigned({"a,IP:1.2.3.4"}, {}, kNow).ok());
  TlsContext::ServerOptions server;
  server.certificate_chain = made.certificate;
  server.key = made.key;
  EXPECT_TRUE(TlsContext::NewServer(server, kNow).ok());
}

// Says who has connected: the subjects of what they have shown.
class WhoHandler final : public PeerAwareHandler {
 public:
  explicit WhoHandler(std::shared_ptr<const PeerCertificates> shown = nullptr)
      : shown_(std::move(shown)) {}
  std::unique_ptr<http::RequestHandler> ForPeer(
      std::shared_ptr<const PeerCertificates> shown) override {
    return std::make_unique<WhoHandler>(std::move(shown));
  }
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    std::string who = "nobody";
    if (shown_ != nullptr) who = Concat(shown_->chain.size(), " certificates");
    return std::make_unique<http::CollectingRequest>(head, 0, sender, [&sender, who](Buffer) {
      BufferList body;
      body.push_back(Buffer::Copy(who));
      sender.Respond({}, std::move(body));
    });
  }

 private:
  const std::shared_ptr<const PeerCertificates> shown_;
};

class AskedForCertificateTest : public testing::TestWithParam<bool> {
 protected:
  AskedForCertificateTest() : loop(world.AddLoop()) {
    const auto issued =
        MakeSelfSigned({"api.test"}, {"10.0.0.1"}, WallTime{} + std::chrono::hours(9000)).value();
    TlsContext::ServerOptions server_options;
    server_options.certificate_chain = issued.certificate;
    server_options.key = issued.key;
    trusted = issued.certificate;
    HttpServer::Options options;
    options.tls = TestTls::Always(NewAskingServer(server_options, WallTime{}).value());
    server.emplace(std::vector<env::EventLoop*>{&loop}, options,
                   [](env::EventLoop&) { return std::make_unique<WhoHandler>(); });
    EXPECT_TRUE(server->Listen(address).ok());
  }

  std::string Ask(const TestAuthority::Issued* certificate, bool with_chain = false) {
    TlsContext::ClientOptions tls;
    tls.verify_server = false;
    if (certificate != nullptr) {
      tls.certificate_chain = certificate->certificate;
      if (with_chain) tls.certificate_chain.text += authority.certificate().text;
      tls.key = certificate->key;
    }
    HttpClient::Options options;
    options.http2 = GetParam();
    options.tls = TestTls::Always(TestTls::Context(tls));
    HttpClient client(loop, options);
    std::optional<std::string> got;
    http::RequestHead head;
    head.method = "GET";
    head.target = "/";
    client.Fetch(address, head, {}, 30s, [&](Result<HttpClient::Response> answer) {
      got = answer.ok() ? std::string(answer->body.text()) : answer.status().message();
    });
    world.RunUntil([&] { return got.has_value(); }, 60s);
    return got.value_or("no answer");
  }

  const env::Address address{env::Address::Family::kIp4, "10.0.0.1", 443};
  const TestAuthority authority{"whoever"};
  Pem trusted;
  sim::World world{1};
  env::EventLoop& loop;
  std::optional<HttpServer> server;
};

TEST_P(AskedForCertificateTest, AnyIsTakenOrNone) {
  EXPECT_EQ(Ask(nullptr), "nobody");
  const auto good = authority.IssueFor("a", {});
  EXPECT_EQ(Ask(&good), "1 certificates");
  EXPECT_EQ(Ask(&good, true), "2 certificates");
  const auto expired = authority.IssueFor("a", {}, "", 1);
  EXPECT_EQ(Ask(&expired), "1 certificates");
}

INSTANTIATE_TEST_SUITE_P(Versions, AskedForCertificateTest, testing::Bool(),
                         [](const auto& which) { return which.param ? "Http2" : "Http1"; });

}  // namespace
}  // namespace tepal::net
