// Who may send requests through the balancer, where that is switched on: callers with a bearer
// token of a list, or with a JSON Web Token that verifies.
//
// Immutable; AccessSource holds the one that counts now and is swapped when files change. A list is
// a file of lines "NAME TOKEN"; '#' begins a comment. Tokens appear in no message.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "balancing/load_balancer/json_web_token.h"
#include "core/base/guarded.h"
#include "core/base/result.h"

namespace tepal::lb {

class InferenceAccess {
 public:
  static constexpr size_t kTokensMax = 10'000;
  static constexpr size_t kTokenBytesMin = 16;

  struct Jwt {
    JwtKeys keys;
    JwtRules rules;
  };
  struct Caller {
    std::string name;                  // A token's, or the claim "sub".
    WallTime until = WallTime::max();  // The answer holds until then.
  };

  // Nobody but those; neither given: nobody at all. `seed` should be hard to guess.
  InferenceAccess(std::optional<Jwt> jwt, uint64_t seed) : jwt_(std::move(jwt)), seed_(seed) {}

  // kInvalidArgument "FILE:LINE: what", without what stands there.
  Status AddTokens(std::string_view text, const std::string& file);

  // `authorization` is the header's value, or empty. kUnauthenticated says why not.
  Result<Caller> Check(std::string_view authorization, WallTime now) const;

 private:
  struct Token {
    std::string name;
    std::string text;
  };
  std::unordered_map<uint64_t, Token> tokens_;  // By their hash.
  std::optional<Jwt> jwt_;
  uint64_t seed_;
};

// Thread-safe.
class AccessSource {
 public:
  void Set(std::shared_ptr<const InferenceAccess> access) { *access_.Lock() = std::move(access); }
  // Never null once it was set.
  std::shared_ptr<const InferenceAccess> Get() const { return *access_.Lock(); }

 private:
  mutable Guarded<std::shared_ptr<const InferenceAccess>> access_;
};

// What one loop has verified before: checking a signature takes longer than balancing a request.
class AccessCache {
 public:
  static constexpr size_t kEntriesMax = 4096;
  Result<InferenceAccess::Caller> Check(const AccessSource& source, std::string_view authorization,
                                        WallTime now);

 private:
  std::shared_ptr<const InferenceAccess> of_;  // Whose answers these are.
  std::unordered_map<std::string, InferenceAccess::Caller> callers_;
};

}  // namespace tepal::lb
