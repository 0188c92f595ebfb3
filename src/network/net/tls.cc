#include "network/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>

#include "core/base/text.h"
#include "core/telemetry/log.h"

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
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

// RFC 9113 section 9.2.2 forbids the others of TLS 1.2 for HTTP/2, and nobody needs them.
constexpr const char* kCiphersOfTls12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// What OpenSSL said last on this thread.
std::string LastReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown error";
}

BioPtr BioOf(const Pem& pem) {
  return BioPtr(BIO_new_mem_buf(pem.text.data(), static_cast<int>(pem.text.size())));
}

Status Bad(std::string_view what, const Pem& pem, std::string_view why) {
  return InvalidArgument(Concat(what, " '", pem.from, "': ", why));
}

Result<std::vector<CertificatePtr>> ReadCertificates(std::string_view what, const Pem& pem) {
  ERR_clear_error();
  const BioPtr bio = BioOf(pem);
  std::vector<CertificatePtr> list;
  while (X509* one = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)) {
    list.emplace_back(one);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return Bad(what, pem, LastReason());
  ERR_clear_error();
  if (list.empty()) return Bad(what, pem, "no certificate in PEM format is in it");
  return list;
}

Result<KeyPtr> ReadKey(const Pem& pem) {
  ERR_clear_error();
  const BioPtr bio = BioOf(pem);
  bool encrypted = false;
  // Without a callback OpenSSL would ask on the terminal.
  const auto refuse = [](char*, int, int, void* user) {
    *static_cast<bool*>(user) = true;
    return -1;
  };
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse, &encrypted));
  if (encrypted) return Bad("key", pem, "it is encrypted, and keys with a passphrase are not read");
  if (key != nullptr) return key;
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  const bool nothing = reason == PEM_R_NO_START_LINE || reason == ERR_R_UNSUPPORTED;
  const std::string why = LastReason();
  return Bad("key", pem, nothing ? "no readable private key in PEM format is in it" : why);
}

void WarnOfDates(const X509& leaf, const Pem& pem, WallTime now) {
  time_t time = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
  if (X509_cmp_time(X509_get0_notAfter(&leaf), &time) < 0) {
    telemetry::LogWarning(Concat("certificate '", pem.from, "' has expired"));
  }
  if (X509_cmp_time(X509_get0_notBefore(&leaf), &time) > 0) {
    telemetry::LogWarning(Concat("certificate '", pem.from, "' is not valid yet"));
  }
}

Result<std::string> WireFormatOfAlpn(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) {
      return InvalidArgument(Concat("ALPN protocol '", protocol, "': a name has 1 to 255 bytes"));
    }
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

// Ours in order of preference; a client that speaks none of them is refused (RFC 7301 section 3.2).
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned offered_size, void* user) {
  const auto& ours = *static_cast<const std::string*>(user);
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(
      &found, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
      static_cast<unsigned>(ours.size()), offered, offered_size);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

Result<Pem> ReadPem(env::FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, files.Read(path, kPemBytesMax));
  if (text.empty()) return InvalidArgument(Concat("'", path, "' is empty"));
  return Pem{std::move(text), path};
}

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<std::shared_ptr<TlsContext>> TlsContext::New(bool is_server) {
  ERR_clear_error();
  const std::shared_ptr<TlsContext> made(new TlsContext);
  made->is_server_ = is_server;
  made->context_.reset(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* const context = made->get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, kCiphersOfTls12) != 1) {
    return Internal(Concat("making a TLS context: ", LastReason()));
  }
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection holds no buffer, and a record costs one read of the socket.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return made;
}

Status TlsContext::UseCertificate(const Pem& chain, const Pem& key, WallTime now) {
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> certificates,
                   ReadCertificates("certificate", chain));
  X509* const leaf = certificates.front().get();
  if (SSL_CTX_use_certificate(get(), leaf) != 1) return Bad("certificate", chain, LastReason());
  for (size_t i = 1; i < certificates.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(get(), certificates[i].get()) != 1) {
      return Bad("certificate", chain, LastReason());
    }
  }
  ASSIGN_OR_RETURN(const KeyPtr private_key, ReadKey(key));
  if (X509_check_private_key(leaf, private_key.get()) != 1) {
    ERR_clear_error();
    return Bad("key", key, Concat("it does not belong to certificate '", chain.from, "'"));
  }
  if (SSL_CTX_use_PrivateKey(get(), private_key.get()) != 1) return Bad("key", key, LastReason());
  WarnOfDates(*leaf, chain, now);
  return {};
}

Status TlsContext::Trust(const Pem& ca) {
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> certificates, ReadCertificates("CA", ca));
  X509_STORE* const store = SSL_CTX_get_cert_store(get());
  for (const CertificatePtr& one : certificates) {
    if (X509_STORE_add_cert(store, one.get()) != 1) return Bad("CA", ca, LastReason());
    // Names whom a client certificate should come from.
    if (is_server_ && SSL_CTX_add_client_CA(get(), one.get()) != 1) {
      return Bad("CA", ca, LastReason());
    }
  }
  return {};
}

Result<std::shared_ptr<const TlsContext>> TlsContext::NewServer(const ServerOptions& options,
                                                                WallTime now) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TlsContext> made, New(true));
  RETURN_IF_ERROR(made->UseCertificate(options.certificate_chain, options.key, now));
  SSL_CTX* const context = made->get();
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Tickets of clients that have shown a certificate are taken only with this set.
  constexpr unsigned char kSessionScope[] = "tepal";
  SSL_CTX_set_session_id_context(context, kSessionScope, sizeof(kSessionScope) - 1);
  if (!options.client_ca.empty()) {
    RETURN_IF_ERROR(made->Trust(options.client_ca));
    const int none_shown = options.client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | none_shown, nullptr);
  }
  ASSIGN_OR_RETURN(made->alpn_, WireFormatOfAlpn(options.alpn));
  if (!made->alpn_.empty()) SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, &made->alpn_);
  return std::shared_ptr<const TlsContext>(made);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::NewClient(const ClientOptions& options,
                                                                WallTime now) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TlsContext> made, New(false));
  SSL_CTX* const context = made->get();
  made->server_name_ = options.server_name;
  if (!options.certificate_chain.empty() || !options.key.empty()) {
    if (options.certificate_chain.empty() || options.key.empty()) {
      return InvalidArgument("a client certificate and its key are given together or not at all");
    }
    RETURN_IF_ERROR(made->UseCertificate(options.certificate_chain, options.key, now));
  }
  if (!options.ca.empty()) {
    RETURN_IF_ERROR(made->Trust(options.ca));
  } else if (options.verify_server && SSL_CTX_set_default_verify_paths(context) != 1) {
    return Internal(Concat("reading the CAs that the system trusts: ", LastReason()));
  }
  SSL_CTX_set_verify(context, options.verify_server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  return std::shared_ptr<const TlsContext>(made);
}

Result<std::shared_ptr<TlsSource>> TlsSource::New(Load load) {
  const std::shared_ptr<TlsSource> made(new TlsSource);
  *made->load_.Lock() = std::move(load);
  RETURN_IF_ERROR(made->Reload());
  return made;
}

Status TlsSource::Reload() {
  // The lock is held while loading, so that of two reloads the later one wins.
  auto load = load_.Lock();
  ASSIGN_OR_RETURN(*current_.Lock(), (*load)());
  return {};
}

std::shared_ptr<const TlsContext> TlsSource::Get() const { return *current_.Lock(); }

Result<std::shared_ptr<TlsSource>> TlsSource::ForServer(env::FileSystem& files,
                                                        const env::Clock& clock,
                                                        ServerFiles paths) {
  return New([&files, &clock, paths]() -> Result<std::shared_ptr<const TlsContext>> {
    TlsContext::ServerOptions options;
    ASSIGN_OR_RETURN(options.certificate_chain, ReadPem(files, paths.certificate_chain));
    ASSIGN_OR_RETURN(options.key, ReadPem(files, paths.key));
    if (!paths.client_ca.empty()) {
      ASSIGN_OR_RETURN(options.client_ca, ReadPem(files, paths.client_ca));
    }
    options.client_required = paths.client_required;
    return TlsContext::NewServer(options, clock.WallNow());
  });
}

Result<std::shared_ptr<TlsSource>> TlsSource::ForClient(env::FileSystem& files,
                                                        const env::Clock& clock,
                                                        ClientFiles paths) {
  return New([&files, &clock, paths]() -> Result<std::shared_ptr<const TlsContext>> {
    TlsContext::ClientOptions options;
    options.verify_server = paths.verify_server;
    options.server_name = paths.server_name;
    if (!paths.ca.empty()) {
      ASSIGN_OR_RETURN(options.ca, ReadPem(files, paths.ca));
    }
    if (!paths.certificate_chain.empty()) {
      ASSIGN_OR_RETURN(options.certificate_chain, ReadPem(files, paths.certificate_chain));
    }
    if (!paths.key.empty()) {
      ASSIGN_OR_RETURN(options.key, ReadPem(files, paths.key));
    }
    return TlsContext::NewClient(options, clock.WallNow());
  });
}

}  // namespace tepal::net
