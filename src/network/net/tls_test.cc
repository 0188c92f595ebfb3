// What certificates and keys are refused, with which words, and what a reload does.

#include "network/net/tls.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/text.h"
#include "network/net/tls_test_support.h"

namespace tepal::net {
namespace {

class TextFiles final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t size_max) override {
    const auto found = texts.find(path);
    if (found == texts.end()) return NotFound(Concat("reading '", path, "': no such file"));
    if (found->second.size() > size_max) return ResourceExhausted("too large");
    return found->second;
  }
  Result<std::vector<Entry>> List(const std::string&) override { return Refused(); }
  Result<Facts> Stat(const std::string&) override { return Refused(); }
  Status Replace(const std::string&, std::string_view) override { return Refused(); }
  Status MakeDirectories(const std::string&) override { return Refused(); }
  Status Remove(const std::string&) override { return Refused(); }

  std::map<std::string, std::string> texts;

 private:
  static Status Refused() { return Unimplemented("not in this test"); }
};

class FixedClock final : public env::Clock {
 public:
  Instant Now() const override { return {}; }
  WallTime WallNow() const override { return WallTime(1'800'000'000s); }
};

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    files.texts["server.pem"] = issued.certificate.text;
    files.texts["server.key"] = issued.key.text;
    files.texts["ca.pem"] = authority.certificate().text;
  }
  std::string ServerError(TlsSource::ServerFiles paths) {
    const auto made = TlsSource::ForServer(files, clock, std::move(paths));
    return made.ok() ? "" : made.status().message();
  }

  TextFiles files;
  FixedClock clock;
  const TestAuthority authority{"a CA"};
  const TestAuthority::Issued issued = authority.Issue("DNS:tepal.test");
};

TEST_F(TlsTest, GoodFilesMakeAContext) {
  EXPECT_EQ(ServerError({"server.pem", "server.key", ""}), "");
  EXPECT_EQ(ServerError({"server.pem", "server.key", "ca.pem"}), "");
  EXPECT_TRUE(TlsSource::ForClient(files, clock, {"ca.pem", "", "", true, ""}).ok());
  EXPECT_TRUE(
      TlsSource::ForClient(files, clock, {"ca.pem", "server.pem", "server.key", true, ""}).ok());
}

TEST_F(TlsTest, ExpiredCertificatesAreOnlyWarnedOf) {
  const TestAuthority::Issued old = authority.Issue("DNS:tepal.test", 86400);
  files.texts["old.pem"] = old.certificate.text;
  files.texts["old.key"] = old.key.text;
  testing::internal::CaptureStderr();
  EXPECT_EQ(ServerError({"old.pem", "old.key", ""}), "");
  EXPECT_NE(testing::internal::GetCapturedStderr().find("certificate 'old.pem' has expired"),
            std::string::npos);
}

TEST_F(TlsTest, ErrorsNameTheFileAndTheReason) {
  files.texts["empty.pem"] = "";
  files.texts["text.pem"] = "no certificate at all\n";
  files.texts["broken.pem"] = issued.certificate.text;
  files.texts["broken.pem"].replace(100, 8, "!!!!!!!!");
  files.texts["other.key"] = authority.Issue("DNS:tepal.test").key.text;
  EXPECT_EQ(ServerError({"gone.pem", "server.key", ""}), "reading 'gone.pem': no such file");
  EXPECT_EQ(ServerError({"server.pem", "gone.key", ""}), "reading 'gone.key': no such file");
  EXPECT_EQ(ServerError({"server.pem", "server.key", "gone.ca"}),
            "reading 'gone.ca': no such file");
  EXPECT_EQ(ServerError({"empty.pem", "server.key", ""}), "'empty.pem' is empty");
  EXPECT_EQ(ServerError({"text.pem", "server.key", ""}),
            "certificate 'text.pem': no certificate in PEM format is in it");
  EXPECT_EQ(ServerError({"server.key", "server.key", ""}),
            "certificate 'server.key': no certificate in PEM format is in it");
  EXPECT_EQ(ServerError({"broken.pem", "server.key", ""}),
            "certificate 'broken.pem': bad base64 decode");
  EXPECT_EQ(ServerError({"server.pem", "server.pem", ""}),
            "key 'server.pem': no readable private key in PEM format is in it");
  EXPECT_EQ(ServerError({"server.pem", "other.key", ""}),
            "key 'other.key': it does not belong to certificate 'server.pem'");
  EXPECT_EQ(ServerError({"server.pem", "server.key", "text.pem"}),
            "CA 'text.pem': no certificate in PEM format is in it");
  const auto alone = TlsSource::ForClient(files, clock, {"ca.pem", "server.pem", "", true, ""});
  EXPECT_EQ(alone.status().message(),
            "a client certificate and its key are given together or not at all");
}

TEST_F(TlsTest, EncryptedKeysAreRefusedWithoutAskingAnybody) {
  BIO* const bio = BIO_new_mem_buf(issued.key.text.data(), -1);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO* const out = BIO_new(BIO_s_mem());
  const unsigned char phrase[] = "secret";
  ASSERT_EQ(PEM_write_bio_PrivateKey(out, key, EVP_aes_128_cbc(), phrase, 6, nullptr, nullptr), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  files.texts["locked.key"] = std::string(text, static_cast<size_t>(size));
  BIO_free(out);
  EVP_PKEY_free(key);
  BIO_free(bio);
  EXPECT_EQ(ServerError({"server.pem", "locked.key", ""}),
            "key 'locked.key': it is encrypted, and keys with a passphrase are not read");
}

TEST_F(TlsTest, ReloadSwapsTheContextAndKeepsTheOldOneAfterAnError) {
  const auto source = TlsSource::ForServer(files, clock, {"server.pem", "server.key", ""}).value();
  const auto first = source->Get();
  EXPECT_EQ(source->Get(), first);
  const TestAuthority::Issued next = authority.Issue("DNS:tepal.test");
  files.texts["server.pem"] = next.certificate.text;
  EXPECT_EQ(source->Reload().message(),
            "key 'server.key': it does not belong to certificate 'server.pem'");
  EXPECT_EQ(source->Get(), first);
  files.texts["server.key"] = next.key.text;
  EXPECT_TRUE(source->Reload().ok());
  EXPECT_NE(source->Get(), first);
}

}  // namespace
}  // namespace tepal::net
