// What the answer to a health check must look like.
//
// Rules as NGINX Plus's "match" has them: ranges of statuses, header fields, a regular expression
// (RE2) that the body's first kBodyBytesMax bytes contain. All must hold.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "network/http/message.h"

namespace re2 {
class RE2;
}

namespace tepal::lb {

class HealthMatch {
 public:
  static constexpr size_t kBodyBytesMax = 256 * 1024;

  struct Statuses {
    int first = 200;
    int last = 200;
  };
  struct Header {
    enum class Op { kPresent, kAbsent, kEquals, kDiffers, kMatches, kMatchesNot };
    std::string name;  // In lower case.
    Op op = Op::kPresent;
    std::string value;  // A regular expression with kMatches and kMatchesNot.
  };
  struct Options {
    std::vector<Statuses> statuses = {{200, 200}};
    bool other_statuses = false;  // Any but those.
    std::vector<Header> headers;
    std::string body;  // A regular expression; empty: any body.
    bool body_differs = false;
  };

  // "200-299,304" or, for any but those, "!500-599".
  static Status ParseStatuses(std::string_view text, Options& options);
  // "name" (it is there), "!name" (it is not), "name = value", "name != value", "name ~ expression"
  // or "name !~ expression".
  static Result<Header> ParseHeader(std::string_view text);
  // "expression" or "!~ expression".
  static void ParseBody(std::string_view text, Options& options);

  // kInvalidArgument names the rule that makes no sense.
  static Result<HealthMatch> New(const Options& options);

  // Empty when every rule holds; which one does not otherwise.
  std::string Judge(const http::ResponseHead& head, std::string_view body) const;

 private:
  explicit HealthMatch(Options options) : options_(std::move(options)) {}
  std::string JudgeHeader(size_t index, const http::Headers& headers) const;

  Options options_;
  std::shared_ptr<const re2::RE2> body_;
  std::vector<std::shared_ptr<const re2::RE2>> values_;  // Of headers; null where there is none.
};

}  // namespace tepal::lb
