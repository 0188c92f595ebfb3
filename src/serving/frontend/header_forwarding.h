// Which header fields of an inference request become parameters that its model can read
// (--http-header-forward-pattern, --grpc-header-forward-pattern).
//
// Patterns are RE2's, as in Triton, and match a part of the name; RE2 takes time in proportion to
// the name and never recurses, which std::regex does for each character that a client sends. Names
// are in lower case, as HTTP/2 has them and our HTTP/1.1 too; the pattern ignores case.
// Immutable; any thread.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "network/http/headers.h"
#include "serving/inference/request.h"

namespace re2 {
class RE2;
}

namespace tepal {

class HeaderForwarding {
 public:
  HeaderForwarding() = default;  // Forwards nothing.

  // kInvalidArgument for what is no regular expression; the empty text forwards nothing.
  static Result<HeaderForwarding> New(const std::string& pattern);

  // Appends a string parameter for each field of `headers` whose name matches.
  void Forward(const http::Headers& headers, std::vector<Parameter>& parameters) const;

 private:
  std::shared_ptr<const re2::RE2> pattern_;  // Null: forwards nothing.
};

}  // namespace tepal
