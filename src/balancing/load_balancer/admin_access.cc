#include "balancing/load_balancer/admin_access.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr std::string_view kScheme = "bearer ";

// As long for a wrong token as for a right one of the same size.
bool Same(std::string_view a, std::string_view b) {
  unsigned differ = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    differ |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(other);
  }
  return differ == 0;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (const std::string_view word : Split(line, ' ')) {
    if (!Trim(word).empty()) words.push_back(Trim(word));
  }
  return words;
}

}  // namespace

Result<AdminAccess> AdminAccess::Parse(std::string_view text, const std::string& file) {
  AdminAccess access;
  int number = 0;
  for (const std::string_view whole : Split(text, '\n')) {
    ++number;
    const std::string_view line = Trim(whole);
    if (line.empty() || line.starts_with('#')) continue;
    const auto error = [&](std::string_view what) {
      return InvalidArgument(Concat(file, ":", number, ": ", what));
    };
    const std::vector<std::string_view> words = Words(line);
    if (words.size() != 3) return error("expected 'NAME ROLE TOKEN'");
    if (words[1] != "read" && words[1] != "write") return error("the role must be read or write");
    if (words[2].size() < kTokenBytesMin) {
      return error(Concat("the token must have at least ", kTokenBytesMin, " bytes"));
    }
    if (access.tokens_.size() >= kTokensMax) {
      return error(Concat("more than ", kTokensMax, " tokens"));
    }
    access.tokens_.push_back({std::string(words[0]),
                              words[1] == "write" ? Role::kWrite : Role::kRead,
                              std::string(words[2])});
  }
  if (access.tokens_.empty()) {
    return InvalidArgument(Concat(file, ": no token; expected lines of 'NAME ROLE TOKEN'"));
  }
  return access;
}

AdminAccess::Caller AdminAccess::Find(std::string_view authorization) const {
  if (open()) return {"anybody", Role::kWrite};
  if (authorization.size() <= kScheme.size() ||
      !EqualsIgnoreCase(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  const std::string_view given = Trim(authorization.substr(kScheme.size()));
  Caller caller;
  for (const Token& token : tokens_) {  // All of them, whichever it is.
    if (Same(given, token.text)) caller = {token.name, token.role};
  }
  return caller;
}

}  // namespace tepal::lb
