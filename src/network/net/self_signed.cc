#include "network/net/self_signed.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

#include "core/base/text.h"

namespace tepal::net {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr auto kBefore = std::chrono::hours(1);
constexpr auto kValid = std::chrono::hours(24) * 3650;

Status Failed() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return Internal(Concat("making a certificate: ", reason != nullptr ? reason : "unknown error"));
}

time_t SecondsOf(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

bool Extend(X509& certificate, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()), X509_EXTENSION_free);
  return extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509& certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);  // Positive, never 0.
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_bin2bn(bytes, sizeof(bytes), nullptr),
                                                           BN_free);
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

template <typename Write>
std::string TextOf(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (bio == nullptr || write(bio.get()) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

// Names and addresses come from flags: a comma would begin another one.
Result<std::string> AlternativeNames(const std::vector<std::string>& names,
                                     const std::vector<std::string>& addresses) {
  std::string text;
  for (const auto* list : {&names, &addresses}) {
    for (const std::string& one : *list) {
      if (one.empty() || one.find_first_of(", \n") != std::string::npos) {
        return InvalidArgument(Concat("'", one, "' cannot be the name of a TLS server"));
      }
      text += Concat(text.empty() ? "" : ",", list == &names ? "DNS:" : "IP:", one);
    }
  }
  return text;
}

}  // namespace

Result<SelfSigned> MakeSelfSigned(const std::vector<std::string>& names,
                                  const std::vector<std::string>& addresses, WallTime now) {
  ASSIGN_OR_RETURN(const std::string alternatives, AlternativeNames(names, addresses));
  if (names.empty()) return InvalidArgument("a certificate needs a name");
  ERR_clear_error();
  const KeyPtr key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const CertificatePtr made(X509_new(), X509_free);
  if (key == nullptr || made == nullptr) return Failed();
  // A common name has at most 64 characters; clients look at the alternative names.
  const std::string common = names.front().substr(0, 64);
  X509_NAME* const subject = X509_get_subject_name(made.get());
  const bool built =
      X509_set_version(made.get(), X509_VERSION_3) == 1 && SetSerial(*made) &&
      ASN1_TIME_set(X509_getm_notBefore(made.get()), SecondsOf(now - kBefore)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(made.get()), SecondsOf(now + kValid)) != nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1,
                                 0) == 1 &&
      X509_set_issuer_name(made.get(), subject) == 1 &&
      X509_set_pubkey(made.get(), key.get()) == 1 &&
      Extend(*made, NID_basic_constraints, "critical,CA:TRUE") &&
      Extend(*made, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
      Extend(*made, NID_ext_key_usage, "serverAuth") &&
      Extend(*made, NID_subject_key_identifier, "hash") &&
      Extend(*made, NID_subject_alt_name, alternatives) &&
      X509_sign(made.get(), key.get(), EVP_sha256()) > 0;
  if (!built) return Failed();
  SelfSigned result;
  result.certificate = {TextOf([&](BIO* bio) { return PEM_write_bio_X509(bio, made.get()); }),
                        "self-signed certificate"};
  result.key = {TextOf([&](BIO* bio) {
                  return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr,
                                                  nullptr);
                }),
                "key of the self-signed certificate"};
  if (result.certificate.empty() || result.key.empty()) return Failed();
  return result;
}

}  // namespace tepal::net
