// The token and the certificates of a client, read again as they rotate on disk.
//
// Reads files on the loop's thread: they are small and, in a pod, in memory. One loop.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/env/clock.h"
#include "core/env/file_system.h"
#include "network/kube/cluster_access.h"
#include "network/net/tls.h"

namespace tepal::kube {

inline constexpr uint64_t kTokenBytesMax = 64 << 10;

class Credentials {
 public:
  struct Options {
    Duration token_age_max = 60s;
    Duration tls_reload_interval = 10s;
  };
  static Result<std::unique_ptr<Credentials>> New(env::FileSystem& files, const env::Clock& clock,
                                                  const ClusterAccess& access, Options options);

  // Empty: no token. While its file cannot be read the last token is used on.
  const std::string& Token(Instant now);
  // The server said 401: whether the file now has another token.
  bool RefreshToken(Instant now);
  // No connection could be made: the CA or our certificate may have been replaced.
  void OnConnectFailure(Instant now);

  const std::shared_ptr<net::TlsSource>& tls() const { return tls_; }  // Null without TLS.

 private:
  Credentials(env::FileSystem& files, std::string token_path, std::string token, Options options)
      : files_(files),
        token_path_(std::move(token_path)),
        token_(std::move(token)),
        options_(options) {}

  env::FileSystem& files_;
  const std::string token_path_;  // Empty: the token never changes.
  std::string token_;
  std::optional<Instant> token_read_;
  std::optional<Instant> tls_read_;
  const Options options_;
  std::shared_ptr<net::TlsSource> tls_;
};

}  // namespace tepal::kube
