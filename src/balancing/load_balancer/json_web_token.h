// JSON Web Tokens (RFC 7519) as callers show them: verified with the keys of a JWK set.
//
// Signed tokens (compact JWS) of RS256, ES256 and HS256. The key says which algorithm it is for; a
// token that names another one, "none", or an extension that must be understood is refused. Errors
// say what is wrong with a token, and hold nothing of it. Pure: `now` comes in.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "network/net/signature_key.h"

namespace tepal::lb {

class JwtKeys {
 public:
  static constexpr size_t kKeysMax = 100;
  struct Key {
    std::string id;  // "kid"; may be empty.
    net::SignatureKey key;
  };

  // {"keys": […]}. Keys for encryption and of kinds that are not known are passed over; none that
  // is left, or one that is broken, is an error. `file` is for messages.
  static Result<JwtKeys> Parse(std::string_view text, const std::string& file);

  const std::vector<Key>& keys() const { return keys_; }

 private:
  std::vector<Key> keys_;
};

struct JwtRules {
  std::string issuer;     // "iss" must be that; empty: any.
  std::string audience;   // "aud" must be that or have it; empty: any.
  Duration leeway = 30s;  // Clocks differ.
  bool operator==(const JwtRules&) const = default;
};

struct JwtClaims {
  std::string subject;  // "sub"; may be empty.
  WallTime expires{};   // "exp", which every token must have.
};

inline constexpr size_t kJwtBytesMax = 16 * 1024;

// kUnauthenticated says why.
Result<JwtClaims> VerifyJwt(std::string_view token, const JwtKeys& keys, const JwtRules& rules,
                            WallTime now);

}  // namespace tepal::lb
