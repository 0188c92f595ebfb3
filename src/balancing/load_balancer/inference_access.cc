#include "balancing/load_balancer/inference_access.h"

#include <utility>
#include <vector>

#include "balancing/load_balancer/hash_ring.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr std::string_view kScheme = "bearer ";

// As long for a wrong token as for a right one of the same size.
bool Same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned differ = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differ |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return differ == 0;
}

}  // namespace

Status InferenceAccess::AddTokens(std::string_view text, const std::string& file) {
  int number = 0;
  for (const std::string_view whole : Split(text, '\n')) {
    ++number;
    const std::string_view line = Trim(whole.substr(0, whole.find('\r')));
    if (line.empty() || line.starts_with('#')) continue;
    const auto error = [&](std::string_view what) {
      return InvalidArgument(Concat(file, ":", number, ": ", what));
    };
    const size_t blank = line.find_first_of(" \t");
    const std::string_view name = line.substr(0, blank);
    const std::string_view token =
        blank == std::string_view::npos ? std::string_view() : Trim(line.substr(blank));
    if (token.empty() || token.find_first_of(" \t") != std::string_view::npos) {
      return error("expected 'NAME TOKEN'");
    }
    if (token.size() < kTokenBytesMin) {
      return error(Concat("the token must have at least ", kTokenBytesMin, " bytes"));
    }
    if (tokens_.size() >= kTokensMax) return error(Concat("more than ", kTokensMax, " tokens"));
    tokens_[HashOfText(token, seed_)] = {std::string(name), std::string(token)};
  }
  if (tokens_.empty()) {
    return InvalidArgument(Concat(file, ": no token; expected lines of 'NAME TOKEN'"));
  }
  return {};
}

Result<InferenceAccess::Caller> InferenceAccess::Check(std::string_view authorization,
                                                       WallTime now) const {
  const bool bearer = authorization.size() > kScheme.size() &&
                      EqualsIgnoreCase(authorization.substr(0, kScheme.size()), kScheme);
  if (!bearer) return Status(StatusCode::kUnauthenticated, "a bearer token is needed");
  const std::string_view token = Trim(authorization.substr(kScheme.size()));
  const auto known = tokens_.find(HashOfText(token, seed_));
  if (known != tokens_.end() && Same(known->second.text, token)) {
    return Caller{known->second.name, WallTime::max()};
  }
  if (!jwt_.has_value()) return Status(StatusCode::kUnauthenticated, "the token is not known");
  ASSIGN_OR_RETURN(JwtClaims claims, VerifyJwt(token, jwt_->keys, jwt_->rules, now));
  return Caller{std::move(claims.subject), claims.expires};
}

Result<InferenceAccess::Caller> AccessCache::Check(const AccessSource& source,
                                                   std::string_view authorization, WallTime now) {
  auto access = source.Get();
  if (access != of_) {
    callers_.clear();
    of_ = std::move(access);
  }
  std::string key(authorization);
  if (const auto known = callers_.find(key); known != callers_.end()) {
    if (now < known->second.until) return known->second;
    callers_.erase(known);
  }
  ASSIGN_OR_RETURN(InferenceAccess::Caller caller, of_->Check(authorization, now));
  if (callers_.size() >= kEntriesMax) callers_.clear();
  callers_.emplace(std::move(key), caller);
  return caller;
}

}  // namespace tepal::lb
