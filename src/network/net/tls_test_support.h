// Certificates for tests, made on the spot.

#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "network/net/tls.h"

namespace tepal::net {

// A certificate authority and what it signs. Everything is valid from 1970 to 2100 unless said.
class TestAuthority {
 public:
  struct Issued {
    Pem certificate;
    Pem key;
  };
  static constexpr time_t kLongFromNow = 4'102'444'800;  // 2100-01-01.

  explicit TestAuthority(const std::string& name)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free),
        certificate_(Make(name, *key_, "critical,CA:TRUE", "", kLongFromNow), X509_free) {
    Sign(*certificate_);
  }

  Pem certificate() const { return {PemOf(*certificate_), "ca.pem"}; }

  // `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
  Issued Issue(const std::string& names, time_t not_after = kLongFromNow) const {
    return IssueFor("leaf", {}, names, not_after);
  }
  // For a client of that name in those organizations.
  Issued IssueFor(const std::string& name, const std::vector<std::string>& organizations,
                  const std::string& names = {}, time_t not_after = kLongFromNow,
                  const char* usage = nullptr) const {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                  EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(
        Make(name, *key, "critical,CA:FALSE", names, not_after), X509_free);
    for (const std::string& one : organizations) {
      X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "O", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(one.c_str()), -1, -1, 0);
    }
    if (usage != nullptr) Extend(*made, NID_ext_key_usage, usage);
    Sign(*made);
    return {{PemOf(*made), "server.pem"}, {PemOf(*key), "server.key"}};
  }

 private:
  static X509* Make(const std::string& name, EVP_PKEY& key, const char* constraints,
                    const std::string& names, time_t not_after) {
    X509* const made = X509_new();
    TEPAL_CHECK(made != nullptr && X509_set_version(made, X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    ASN1_TIME_set(X509_getm_notBefore(made), 0);
    ASN1_TIME_set(X509_getm_notAfter(made), not_after);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_pubkey(made, &key);
    Extend(*made, NID_basic_constraints, constraints);
    if (!names.empty()) Extend(*made, NID_subject_alt_name, names.c_str());
    return made;
  }
  static void Extend(X509& certificate, int what, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value);
    TEPAL_CHECK(extension != nullptr && X509_add_ext(&certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }
  void Sign(X509& certificate) const {
    X509_set_issuer_name(&certificate,
                         X509_get_subject_name(certificate_ ? certificate_.get() : &certificate));
    TEPAL_CHECK(X509_sign(&certificate, key_.get(), EVP_sha256()) > 0);
  }
  static std::string TextOf(BIO* bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    std::string copy(text, static_cast<size_t>(size));
    BIO_free(bio);
    return copy;
  }
  static std::string PemOf(X509& certificate) {
    BIO* const bio = BIO_new(BIO_s_mem());
    TEPAL_CHECK(PEM_write_bio_X509(bio, &certificate) == 1);
    return TextOf(bio);
  }
  static std::string PemOf(EVP_PKEY& key) {
    BIO* const bio = BIO_new(BIO_s_mem());
    TEPAL_CHECK(PEM_write_bio_PrivateKey(bio, &key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return TextOf(bio);
  }

  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  const std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

// A source whose context can be replaced by the next Reload.
struct TestTls {
  template <typename Options>
  static std::shared_ptr<const TlsContext> Context(const Options& options) {
    if constexpr (std::is_same_v<Options, TlsContext::ServerOptions>) {
      return TlsContext::NewServer(options, WallTime{}).value();
    } else {
      return TlsContext::NewClient(options, WallTime{}).value();
    }
  }
  static std::shared_ptr<const TlsContext> Server(const TestAuthority::Issued& issued,
                                                  const Pem& client_ca = {}) {
    TlsContext::ServerOptions options;
    options.certificate_chain = issued.certificate;
    options.key = issued.key;
    options.client_ca = client_ca;
    return Context(options);
  }
  static std::shared_ptr<const TlsContext> Client(const TestAuthority& trusted,
                                                  const std::string& server_name = {}) {
    TlsContext::ClientOptions options;
    options.ca = trusted.certificate();
    options.server_name = server_name;
    return Context(options);
  }
  static std::shared_ptr<TlsSource> Always(std::shared_ptr<const TlsContext> context) {
    return TlsSource::New(
               [context]() -> Result<std::shared_ptr<const TlsContext>> { return context; })
        .value();
  }
};

}  // namespace tepal::net
