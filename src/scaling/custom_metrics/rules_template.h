// The templates of prometheus-adapter's rules: Go's text/template between << and >>.
//
// The part of the language that rules use: fields, variables, index, len, eq, ne, and, or, not,
// print, pipes, parentheses, if, with, range, comments and trimming. Everything else is refused by
// its name and place when the rules are read, not when the first HPA asks:
//
//   template, byte 12: function 'printf' is not supported; supported are and, eq, index, …
//
// Parse once, Execute from then on; immutable, pure. Running is bounded in steps and output.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.h"

namespace tepal::custom_metrics {

inline constexpr size_t kTemplateBytesMax = 64 << 10;
inline constexpr int kTemplateDepthMax = 32;
inline constexpr int kTemplateStepsMax = 100'000;
inline constexpr size_t kTemplateOutputMax = 4 << 20;

using TemplateList = std::vector<std::string>;
using TemplateMap = std::map<std::string, std::string>;
using TemplateValue = std::variant<std::string, int64_t, bool, TemplateList, TemplateMap>;

// The fields of the dot at the top: {"Series", …}.
using TemplateFields = std::map<std::string, TemplateValue, std::less<>>;

class RulesTemplate {
 public:
  // `fields` are those that Execute will have: another one is an error here.
  static Result<RulesTemplate> Parse(std::string_view text,
                                     std::span<const std::string_view> fields);

  // kInvalidArgument where Go's template would fail, as `index` of a list beyond its end.
  Result<std::string> Execute(const TemplateFields& fields) const;

  struct Node;

 private:
  std::shared_ptr<const std::vector<Node>> nodes_;
};

}  // namespace tepal::custom_metrics
