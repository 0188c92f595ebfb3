#include "network/net/signature_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

#include "core/base/text.h"

namespace tepal::net {

namespace {

constexpr size_t kRsaBytesMin = 2048 / 8;
constexpr size_t kRsaBytesMax = 8192 / 8;
constexpr size_t kExponentBytesMax = 8;
constexpr size_t kP256Bytes = 32;
constexpr size_t kSecretBytesMin = 32;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BigNumber = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
BigNumber Number(std::string_view bytes) {
  return BigNumber(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}
// Leading zeros say nothing.
std::string_view WithoutZeros(std::string_view bytes) {
  while (bytes.starts_with('\0')) bytes.remove_prefix(1);
  return bytes;
}

std::shared_ptr<EVP_PKEY> MakeKey(const char* type, const Builder& builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  const bool made =
      parameters != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  if (!made) ERR_clear_error();
  return made ? std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free) : nullptr;
}

// JWS writes r and s one after the other, OpenSSL wants them as DER. Empty: they are none.
std::string DerOf(std::string_view signature) {
  if (signature.size() != 2 * kP256Bytes) return {};
  const Signature pair(ECDSA_SIG_new());
  BigNumber r = Number(signature.substr(0, kP256Bytes));
  BigNumber s = Number(signature.substr(kP256Bytes));
  if (pair == nullptr || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

}  // namespace

Result<SignatureKey> SignatureKey::Rsa(std::string_view modulus, std::string_view exponent) {
  modulus = WithoutZeros(modulus);
  exponent = WithoutZeros(exponent);
  if (modulus.size() < kRsaBytesMin || modulus.size() > kRsaBytesMax) {
    return InvalidArgument(
        Concat("an RSA modulus of ", modulus.size() * 8, " bits, expected 2048 to 8192"));
  }
  // An even one, or 1, would let anybody sign.
  const bool odd = !exponent.empty() && (exponent.back() & 1) == 1;
  const bool one = exponent.size() == 1 && exponent[0] == 1;
  if (!odd || one || exponent.size() > kExponentBytesMax) {
    return InvalidArgument("an RSA exponent that is none");
  }
  const BigNumber n = Number(modulus);
  const BigNumber e = Number(exponent);
  const Builder builder(OSSL_PARAM_BLD_new());
  SignatureKey key(Algorithm::kRs256);
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1) {
    key.key_ = MakeKey("RSA", builder);
  }
  if (key.key_ == nullptr) return InvalidArgument("an RSA key that OpenSSL does not take");
  return key;
}

Result<SignatureKey> SignatureKey::P256(std::string_view x, std::string_view y) {
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
    return InvalidArgument(
        Concat("coordinates of ", x.size(), " and ", y.size(), " bytes, expected 32 each"));
  }
  const std::string point = Concat('\x04', x, y);  // Uncompressed.
  const Builder builder(OSSL_PARAM_BLD_new());
  SignatureKey key(Algorithm::kEs256);
  if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ==
          1 &&
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) == 1) {
    key.key_ = MakeKey("EC", builder);  // Fails for a point that is not on the curve.
  }
  if (key.key_ == nullptr) return InvalidArgument("a point that is not on the curve P-256");
  return key;
}

Result<SignatureKey> SignatureKey::Secret(std::string_view secret) {
  if (secret.size() < kSecretBytesMin) {
    return InvalidArgument(Concat("a secret of ", secret.size(), " bytes, expected at least 32"));
  }
  SignatureKey key(Algorithm::kHs256);
  key.secret_ = secret;
  return key;
}

bool SignatureKey::VerifyHmac(std::string_view message, std::string_view signature) const {
  unsigned char expected[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), Bytes(message),
           message.size(), expected, &size) == nullptr) {
    return false;
  }
  return signature.size() == size && CRYPTO_memcmp(expected, signature.data(), size) == 0;
}

bool SignatureKey::Verify(std::string_view message, std::string_view signature) const {
  if (algorithm_ == Algorithm::kHs256) return VerifyHmac(message, signature);
  std::string der;
  if (algorithm_ == Algorithm::kEs256) {
    der = DerOf(signature);
    if (der.empty()) return false;
    signature = der;
  }
  const DigestContext context(EVP_MD_CTX_new());
  const bool right =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message),
                       message.size()) == 1;
  if (!right) ERR_clear_error();
  return right;
}

}  // namespace tepal::net
