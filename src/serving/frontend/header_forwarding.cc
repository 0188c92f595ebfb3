#include "serving/frontend/header_forwarding.h"

#include <re2/re2.h>

#include "core/base/text.h"

namespace tepal {

Result<HeaderForwarding> HeaderForwarding::New(const std::string& pattern) {
  HeaderForwarding forwarding;
  if (pattern.empty()) return forwarding;
  re2::RE2::Options options;
  options.set_case_sensitive(false);
  options.set_never_capture(true);
  options.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(pattern, options);
  if (!compiled->ok()) {
    return InvalidArgument(Concat("'", pattern, "' is no regular expression: ", compiled->error()));
  }
  forwarding.pattern_ = std::move(compiled);
  return forwarding;
}

void HeaderForwarding::Forward(const http::Headers& headers,
                               std::vector<Parameter>& parameters) const {
  if (pattern_ == nullptr) return;
  for (const auto field : headers) {
    const re2::StringPiece name(field.name.data(), field.name.size());
    if (!re2::RE2::PartialMatch(name, *pattern_)) continue;
    parameters.push_back({std::string(field.name), std::string(field.value)});
  }
}

}  // namespace tepal
