// A key that says whether a signature is right: what JSON Web Tokens are verified with.
//
// A key is for one algorithm and no other, so that nobody can have a public key taken for a secret.
// RS256 (RSA of 2,048 to 8,192 bits, PKCS #1 v1.5, SHA-256), ES256 (P-256, the signature as r and
// s), HS256 (a secret of at least 32 bytes). Any thread, immutable.

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY.

namespace tepal::net {

class SignatureKey {
 public:
  enum class Algorithm { kRs256, kEs256, kHs256 };

  // Big-endian numbers. kInvalidArgument says what is wrong with them, never what they are.
  static Result<SignatureKey> Rsa(std::string_view modulus, std::string_view exponent);
  static Result<SignatureKey> P256(std::string_view x, std::string_view y);
  static Result<SignatureKey> Secret(std::string_view secret);

  Algorithm algorithm() const { return algorithm_; }
  bool Verify(std::string_view message, std::string_view signature) const;

 private:
  explicit SignatureKey(Algorithm algorithm) : algorithm_(algorithm) {}
  bool VerifyHmac(std::string_view message, std::string_view signature) const;

  Algorithm algorithm_;
  std::shared_ptr<evp_pkey_st> key_;  // Of the public ones.
  std::string secret_;
};

}  // namespace tepal::net
