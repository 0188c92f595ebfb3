#include "balancing/load_balancer/json_web_token.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::lb {

namespace {

using Algorithm = net::SignatureKey::Algorithm;
using json::Value;

constexpr int kDepthMax = 16;
constexpr double kSecondsMax = 9e9;  // What a Duration can count.

Status Refused(std::string_view why) {
  return {StatusCode::kUnauthenticated, Concat("the token ", why)};
}

// RFC 4648 section 5, without padding.
std::optional<std::string> DecodeBase64Url(std::string_view text) {
  std::string plain(text);
  for (char& c : plain) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  if (plain.size() % 4 == 1) return std::nullopt;
  while (plain.size() % 4 != 0) plain.push_back('=');
  return DecodeBase64(plain);
}

std::string_view TextOf(const Value& object, std::string_view key) {
  const Value* value = object.Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  return text == nullptr ? std::string_view() : *text;
}

std::optional<std::string> BytesOf(const Value& object, std::string_view key) {
  const std::string_view text = TextOf(object, key);
  return text.empty() ? std::nullopt : DecodeBase64Url(text);
}

std::optional<Value> ObjectOf(std::string_view part) {
  const auto text = DecodeBase64Url(part);
  if (!text.has_value()) return std::nullopt;
  Result<Value> parsed = json::Parse(*text, kDepthMax);
  if (!parsed.ok() || parsed->AsObject() == nullptr) return std::nullopt;
  return *std::move(parsed);
}

// With a name twice one reader may take the first and another the last.
bool HasTwice(const Value& object) {
  const Value::Object& members = *object.AsObject();
  for (size_t i = 0; i < members.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (members[i].first == members[j].first) return true;
    }
  }
  return false;
}

std::string_view NameOf(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
      return "RS256";
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kHs256:
      return "HS256";
  }
  return "";
}

// Nothing: it is of a kind that is passed over.
std::optional<Result<net::SignatureKey>> KeyOf(const Value& jwk) {
  const std::string_view kind = TextOf(jwk, "kty");
  const auto pair = [&](std::string_view first, std::string_view second,
                        auto make) -> Result<net::SignatureKey> {
    const auto a = BytesOf(jwk, first);
    const auto b = BytesOf(jwk, second);
    if (!a.has_value() || !b.has_value()) {
      return InvalidArgument(Concat("'", first, "' and '", second, "' are not both base64url"));
    }
    return make(*a, *b);
  };
  if (kind == "RSA") return pair("n", "e", &net::SignatureKey::Rsa);
  if (kind == "EC" && TextOf(jwk, "crv") == "P-256")
    return pair("x", "y", &net::SignatureKey::P256);
  if (kind == "oct") {
    const auto secret = BytesOf(jwk, "k");
    if (!secret.has_value()) return InvalidArgument("'k' is not base64url");
    return net::SignatureKey::Secret(*secret);
  }
  return std::nullopt;
}

std::optional<double> Seconds(const Value& claims, std::string_view key) {
  const Value* value = claims.Find(key);
  return value == nullptr ? std::nullopt : value->AsNumber();
}

bool IsTime(double seconds) { return seconds >= 0; }

bool HasAudience(const Value& claims, std::string_view wanted) {
  const Value* value = claims.Find("aud");
  if (value == nullptr) return false;
  if (const std::string* one = value->AsString()) return *one == wanted;
  const Value::Array* several = value->AsArray();
  return several != nullptr && std::any_of(several->begin(), several->end(), [&](const Value& v) {
           return v.AsString() != nullptr && *v.AsString() == wanted;
         });
}

Result<JwtClaims> ReadClaims(const Value& claims, const JwtRules& rules, WallTime now) {
  const double seconds = ToSeconds(now.time_since_epoch());
  const double leeway = ToSeconds(rules.leeway);
  const auto expires = Seconds(claims, "exp");
  if (!expires.has_value() || !IsTime(*expires)) return Refused("says not when it expires");
  if (seconds >= *expires + leeway) return Refused("has expired");
  if (claims.Find("nbf") != nullptr) {
    const auto begins = Seconds(claims, "nbf");
    if (!begins.has_value() || !IsTime(*begins)) return Refused("has an 'nbf' that is no time");
    if (seconds < *begins - leeway) return Refused("is not valid yet");
  }
  if (!rules.issuer.empty() && TextOf(claims, "iss") != rules.issuer) {
    return Refused("is from another issuer");
  }
  if (!rules.audience.empty() && !HasAudience(claims, rules.audience)) {
    return Refused("is for another audience");
  }
  JwtClaims read;
  read.subject = TextOf(claims, "sub");
  read.expires = WallTime(FromSeconds(std::min(*expires + leeway, kSecondsMax)));
  return read;
}

// Whether any key of the header's algorithm, and of its id if it names one, has signed it.
Status CheckSignature(const Value& header, std::string_view signed_text, std::string_view signature,
                      const JwtKeys& keys) {
  const std::string_view algorithm = TextOf(header, "alg");
  const std::string_view id = TextOf(header, "kid");
  bool any = false;
  for (const JwtKeys::Key& key : keys.keys()) {
    if (NameOf(key.key.algorithm()) != algorithm) continue;
    if (!id.empty() && key.id != id) continue;
    any = true;
    if (key.key.Verify(signed_text, signature)) return {};
  }
  return Refused(any ? "has a wrong signature" : "is signed with a key that is not known");
}

}  // namespace

Result<JwtKeys> JwtKeys::Parse(std::string_view text, const std::string& file) {
  const auto error = [&](std::string_view what) {
    return InvalidArgument(Concat(file, ": ", what));
  };
  const Result<Value> parsed = json::Parse(text, kDepthMax);
  if (!parsed.ok()) return error("no JSON");
  const Value* list = parsed->Find("keys");
  if (list == nullptr || list->AsArray() == nullptr) return error("no JWK set: 'keys' is no list");
  if (list->AsArray()->size() > kKeysMax) return error(Concat("more than ", kKeysMax, " keys"));
  JwtKeys keys;
  size_t number = 0;
  for (const Value& jwk : *list->AsArray()) {
    ++number;
    if (TextOf(jwk, "use") == "enc") continue;
    auto key = KeyOf(jwk);
    if (!key.has_value()) continue;
    if (!key->ok()) return error(Concat("key ", number, ": ", key->status().message()));
    const std::string_view algorithm = TextOf(jwk, "alg");
    if (!algorithm.empty() && algorithm != NameOf((*key)->algorithm())) continue;
    keys.keys_.push_back({std::string(TextOf(jwk, "kid")), **key});
  }
  if (keys.keys_.empty()) return error("no key for RS256, ES256 or HS256");
  return keys;
}

Result<JwtClaims> VerifyJwt(std::string_view token, const JwtKeys& keys, const JwtRules& rules,
                            WallTime now) {
  if (token.size() > kJwtBytesMax) return Refused("is too long");
  const std::vector<std::string_view> parts = Split(token, '.');
  if (parts.size() != 3) return Refused("is no signed JSON Web Token");
  const auto header = ObjectOf(parts[0]);
  if (!header.has_value() || HasTwice(*header)) return Refused("has a header that is none");
  if (header->Find("crit") != nullptr) return Refused("wants an extension to be understood");
  const auto signature = DecodeBase64Url(parts[2]);
  if (!signature.has_value()) return Refused("has a signature that is none");
  RETURN_IF_ERROR(CheckSignature(*header, token.substr(0, parts[0].size() + 1 + parts[1].size()),
                                 *signature, keys));
  const auto claims = ObjectOf(parts[1]);
  if (!claims.has_value() || HasTwice(*claims)) return Refused("has claims that are none");
  return ReadClaims(*claims, rules, now);
}

}  // namespace tepal::lb
