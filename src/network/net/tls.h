// What a TLS connection is made with: certificates, keys and whom to trust.
//
// A TlsContext never changes; a TlsSource holds the one that new connections get and swaps it on
// Reload, so connections that stand keep theirs. TLS 1.2 and 1.3; no renegotiation, no early data,
// no compression. Session tickets are those of one context: after a reload clients do a whole
// handshake again. The handshake and the stream are in net/tls_stream.h.
//
// Contexts are built from PEM text, so that nothing here reads files but through env::FileSystem.
// A certificate that has expired is used all the same, with a warning: it is for the peer to refuse
// it, and a server that does not start is the worse outage. Encrypted keys are refused.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/env/clock.h"
#include "core/env/file_system.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.

namespace tepal::net {

struct Pem {
  std::string text;
  std::string from;  // The file's name, for messages.
  bool empty() const { return text.empty(); }
};

constexpr uint64_t kPemBytesMax = 1 << 20;

// The error names the path.
Result<Pem> ReadPem(env::FileSystem& files, const std::string& path);

// Any thread, immutable.
class TlsContext {
 public:
  struct ServerOptions {
    Pem certificate_chain;  // The server's own certificate first.
    Pem key;
    Pem client_ca;  // Given: mutual TLS, a client must show a certificate that this one signed.
    bool client_required = true;  // False: or none; a wrong one is still refused.
    std::vector<std::string> alpn = {"h2", "http/1.1"};  // In order of preference.
  };
  struct ClientOptions {
    Pem ca;                      // Empty: those that the system trusts.
    bool verify_server = true;   // False: any certificate will do, as `curl -k`.
    std::string server_name;     // Empty: the host that is connected to.
    Pem certificate_chain, key;  // For servers that ask for a client certificate.
  };

  // kInvalidArgument names the file and what is wrong with it. `now`: for the warning above.
  static Result<std::shared_ptr<const TlsContext>> NewServer(const ServerOptions& options,
                                                             WallTime now);
  static Result<std::shared_ptr<const TlsContext>> NewClient(const ClientOptions& options,
                                                             WallTime now);

  ssl_ctx_st* get() const { return context_.get(); }
  bool is_server() const { return is_server_; }
  const std::string& server_name() const { return server_name_; }

 private:
  TlsContext() = default;
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  static Result<std::shared_ptr<TlsContext>> New(bool is_server);
  Status UseCertificate(const Pem& chain, const Pem& key, WallTime now);
  Status Trust(const Pem& ca);

  std::unique_ptr<ssl_ctx_st, Free> context_;
  bool is_server_ = false;
  std::string alpn_;  // In wire format.
  std::string server_name_;
};

// The context for new connections. Thread-safe.
class TlsSource {
 public:
  using Load = Function<Result<std::shared_ptr<const TlsContext>>()>;
  struct ServerFiles {
    std::string certificate_chain, key, client_ca;  // `client_ca` may be empty.
    bool client_required = true;
    bool operator==(const ServerFiles&) const = default;
  };
  struct ClientFiles {
    std::string ca, certificate_chain, key;  // Each may be empty.
    bool verify_server = true;
    std::string server_name;
  };

  // Loads once; an error when that fails.
  static Result<std::shared_ptr<TlsSource>> New(Load load);
  // `files` and `clock` outlive the source.
  static Result<std::shared_ptr<TlsSource>> ForServer(env::FileSystem& files,
                                                      const env::Clock& clock, ServerFiles paths);
  static Result<std::shared_ptr<TlsSource>> ForClient(env::FileSystem& files,
                                                      const env::Clock& clock, ClientFiles paths);

  // Loads again, for connections from now on. After an error the old context stays. May block: not
  // for a loop's thread when files may be slow.
  Status Reload();

  std::shared_ptr<const TlsContext> Get() const;

 private:
  TlsSource() = default;
  Guarded<Load> load_;
  mutable Guarded<std::shared_ptr<const TlsContext>> current_;
};

}  // namespace tepal::net
