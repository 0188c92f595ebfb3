// Who may use a pool, from files that are read again when they change: a list of tokens, keys for
// JSON Web Tokens. A file that is wrong later leaves everything as it was. Used on the control
// loop.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "balancing/discovery/file_watch.h"
#include "balancing/gateway/config.h"

namespace tepal::gateway {

class AuthFiles {
 public:
  // Reads the files now: an error names the one that is wrong. `seed` should be hard to guess.
  static Result<std::unique_ptr<AuthFiles>> New(const discovery::FileWatch::World& world,
                                                const AuthConfig& config, uint64_t seed);

  const std::shared_ptr<lb::AccessSource>& source() const { return source_; }

 private:
  AuthFiles(AuthConfig config, uint64_t seed) : config_(std::move(config)), seed_(seed) {}
  Status Apply();
  std::unique_ptr<discovery::FileWatch> Watch(const discovery::FileWatch::World& world,
                                              const std::string& path, std::string& into);

  const AuthConfig config_;
  const uint64_t seed_;
  std::string tokens_;  // The files' texts.
  std::string keys_;
  const std::shared_ptr<lb::AccessSource> source_ = std::make_shared<lb::AccessSource>();
  std::unique_ptr<discovery::FileWatch> tokens_watch_;
  std::unique_ptr<discovery::FileWatch> keys_watch_;
};

}  // namespace tepal::gateway
