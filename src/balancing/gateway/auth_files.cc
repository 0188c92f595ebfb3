#include "balancing/gateway/auth_files.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::gateway {

namespace {

constexpr Duration kInterval = 1s;

}  // namespace

Result<std::unique_ptr<AuthFiles>> AuthFiles::New(const discovery::FileWatch::World& world,
                                                  const AuthConfig& config, uint64_t seed) {
  std::unique_ptr<AuthFiles> auth(new AuthFiles(config, seed));
  if (!config.tokens_file.empty()) {
    ASSIGN_OR_RETURN(auth->tokens_,
                     world.files.Read(config.tokens_file, discovery::kWatchedFileBytesMax));
  }
  if (!config.jwt_keys_file.empty()) {
    ASSIGN_OR_RETURN(auth->keys_,
                     world.files.Read(config.jwt_keys_file, discovery::kWatchedFileBytesMax));
  }
  RETURN_IF_ERROR(auth->Apply());
  auth->tokens_watch_ = auth->Watch(world, config.tokens_file, auth->tokens_);
  auth->keys_watch_ = auth->Watch(world, config.jwt_keys_file, auth->keys_);
  return auth;
}

Status AuthFiles::Apply() {
  std::optional<lb::InferenceAccess::Jwt> jwt;
  if (!config_.jwt_keys_file.empty()) {
    ASSIGN_OR_RETURN(lb::JwtKeys keys, lb::JwtKeys::Parse(keys_, config_.jwt_keys_file));
    jwt = lb::InferenceAccess::Jwt{std::move(keys), config_.jwt_rules};
  }
  auto access = std::make_shared<lb::InferenceAccess>(std::move(jwt), seed_);
  if (!config_.tokens_file.empty()) {
    RETURN_IF_ERROR(access->AddTokens(tokens_, config_.tokens_file));
  }
  source_->Set(std::move(access));
  return {};
}

std::unique_ptr<discovery::FileWatch> AuthFiles::Watch(const discovery::FileWatch::World& world,
                                                       const std::string& path, std::string& into) {
  if (path.empty()) return nullptr;
  return std::make_unique<discovery::FileWatch>(
      world, path, kInterval, [this, &into](const Result<std::string>& text) {
        Status status = text.status();
        if (text.ok()) {
          std::string before = std::exchange(into, *text);
          status = Apply();
          if (!status.ok()) into = std::move(before);
        }
        if (!status.ok()) {
          telemetry::LogError(
              Concat("Who may use the balancer stays as it was: ", status.message()));
        }
      });
}

}  // namespace tepal::gateway
