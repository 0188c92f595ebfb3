// Who may read and who may change the admin API: bearer tokens with a role each.
//
// Without any token everybody may do everything, as on a private address. Tokens come from a file,
// one a line: "NAME ROLE TOKEN", ROLE being read or write; '#' begins a comment. Tokens are
// compared in constant time and appear in no message. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal::lb {

class AdminAccess {
 public:
  enum class Role { kNone, kRead, kWrite };  // In this order.
  struct Caller {
    std::string name;  // "anybody" without tokens; empty: nobody that is known.
    Role role = Role::kNone;
  };

  static constexpr size_t kTokensMax = 1000;
  static constexpr size_t kTokenBytesMin = 16;

  // kInvalidArgument "FILE:LINE: what", without what stands there. An empty file is an error: it
  // would open what it was to close.
  static Result<AdminAccess> Parse(std::string_view text, const std::string& file);

  bool open() const { return tokens_.empty(); }

  // `authorization` is the header's value, or empty.
  Caller Find(std::string_view authorization) const;

 private:
  struct Token {
    std::string name;
    Role role;
    std::string text;
  };
  std::vector<Token> tokens_;
};

}  // namespace tepal::lb
