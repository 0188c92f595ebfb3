// Tokens and key sets of any bytes: read, or refused.

#include <cstdint>

#include "balancing/load_balancer/json_web_token.h"

using tepal::lb::JwtKeys;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const JwtKeys keys =
      JwtKeys::Parse(
          R"({"keys": [{"kty": "oct", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]})",
          "keys")
          .value();
  (void)tepal::lb::VerifyJwt(text, keys, {"i", "a"}, tepal::WallTime(tepal::Duration(1)));
  (void)JwtKeys::Parse(text, "keys");
  return 0;
}
