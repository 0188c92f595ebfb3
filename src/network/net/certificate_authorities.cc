#include "network/net/certificate_authorities.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "core/base/text.h"

namespace tepal::net {
namespace {

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<X509_free>>;
using CheckPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), FreeStack>;

Status Refused(std::string_view why) {
  return {StatusCode::kUnauthenticated, Concat("the client's certificate: ", why)};
}

CertificatePtr Decode(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  CertificatePtr made(d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
  ERR_clear_error();
  return made;
}

std::vector<std::string> SubjectValues(const X509& certificate, int what) {
  std::vector<std::string> values;
  const X509_NAME* const name = X509_get_subject_name(&certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, what, at)) >= 0;) {
    unsigned char* text = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) continue;
    values.emplace_back(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
  }
  ERR_clear_error();
  return values;
}

std::vector<std::string> AlternativeNames(const X509& certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    int kind = 0;
    const void* const value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all.get(), i), &kind);
    if (kind != GEN_DNS && kind != GEN_URI && kind != GEN_EMAIL) continue;
    const auto* const text = static_cast<const ASN1_IA5STRING*>(value);
    std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
    const bool visible =
        std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (!name.empty() && visible) names.push_back(std::move(name));
  }
  ERR_clear_error();
  return names;
}

// Times further away than a WallTime can say are as far as it can.
WallTime TimeOf(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>> epoch(ASN1_TIME_set(nullptr, 0));
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    ERR_clear_error();
    return WallTime{};
  }
  constexpr int kDaysMax = 100'000;  // A WallTime ends in the year 2262.
  days = std::clamp(days, -kDaysMax, kDaysMax);
  return WallTime(std::chrono::hours(24) * days + std::chrono::seconds(seconds));
}

CertifiedPeer PeerOf(const X509& leaf, const STACK_OF(X509) * chain) {
  CertifiedPeer peer;
  const std::vector<std::string> names = SubjectValues(leaf, NID_commonName);
  if (!names.empty()) peer.common_name = names.back();
  peer.organizations = SubjectValues(leaf, NID_organizationName);
  peer.alternative_names = AlternativeNames(leaf);
  peer.not_before = TimeOf(X509_get0_notBefore(&leaf));
  peer.not_after = TimeOf(X509_get0_notAfter(&leaf));
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const X509* const one = sk_X509_value(chain, i);
    peer.not_before = std::max(peer.not_before, TimeOf(X509_get0_notBefore(one)));
    peer.not_after = std::min(peer.not_after, TimeOf(X509_get0_notAfter(one)));
  }
  return peer;
}

}  // namespace

Result<CertifiedPeer> ReadCheckedPeer(const PeerCertificates& shown) {
  const CertificatePtr leaf = shown.chain.empty() ? nullptr : Decode(shown.chain.front());
  if (leaf == nullptr) return Refused("it cannot be read");
  return PeerOf(*leaf, nullptr);
}

void CertificateAuthorities::Free::operator()(x509_store_st* store) const {
  X509_STORE_free(store);
}

CertificateAuthorities::~CertificateAuthorities() = default;

Result<std::shared_ptr<const CertificateAuthorities>> CertificateAuthorities::New(
    const Pem& bundle) {
  ERR_clear_error();
  const std::shared_ptr<CertificateAuthorities> made(new CertificateAuthorities);
  made->store_.reset(X509_STORE_new());
  const BioPtr bio(BIO_new_mem_buf(bundle.text.data(), static_cast<int>(bundle.text.size())));
  if (made->store_ == nullptr || bio == nullptr) return Internal("no memory for certificates");
  // As in Go, what is in the bundle is trusted even when it is not at the top of its chain.
  X509_STORE_set_flags(made->store_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  int count = 0;
  while (const auto one =
             CertificatePtr(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr))) {
    X509_STORE_add_cert(made->store_.get(), one.get());
    ++count;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  const std::string why =
      at_end || reason == nullptr ? "no certificate in PEM format is in it" : std::string(reason);
  ERR_clear_error();
  if (count == 0 || !at_end) return InvalidArgument(Concat("CA '", bundle.from, "': ", why));
  return std::shared_ptr<const CertificateAuthorities>(made);
}

Result<CertifiedPeer> CertificateAuthorities::Check(const PeerCertificates& shown,
                                                    WallTime now) const {
  if (shown.chain.empty()) return Refused("none was shown");
  const CertificatePtr leaf = Decode(shown.chain.front());
  if (leaf == nullptr) return Refused("it cannot be read");
  const StackPtr others(sk_X509_new_null());
  for (size_t i = 1; i < shown.chain.size(); ++i) {
    CertificatePtr one = Decode(shown.chain[i]);
    if (one != nullptr && sk_X509_push(others.get(), one.get()) > 0) one.release();
  }
  const CheckPtr check(X509_STORE_CTX_new());
  if (check == nullptr || others == nullptr ||
      X509_STORE_CTX_init(check.get(), store_.get(), leaf.get(), others.get()) != 1) {
    ERR_clear_error();
    return Internal("checking a certificate: no memory");
  }
  X509_STORE_CTX_set_purpose(check.get(), X509_PURPOSE_SSL_CLIENT);
  X509_STORE_CTX_set_time(
      check.get(), 0,
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  const int good = X509_verify_cert(check.get());
  ERR_clear_error();
  if (good != 1) {
    return Refused(X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())));
  }
  return PeerOf(*leaf, X509_STORE_CTX_get0_chain(check.get()));
}

}  // namespace tepal::net
