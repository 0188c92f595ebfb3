#include "serving/kserve/free_parameter.h"

#include <string>
#include <utility>
#include <variant>

#include "core/base/text.h"

namespace tepal::kserve {

Status ReadFreeParameter(JsonScanner& scanner, std::string_view name,
                         std::vector<Parameter>& parameters) {
  Parameter parameter{std::string(name), false};
  const char c = scanner.Peek();
  if (c == '"') {
    std::string_view text;
    scanner.String(text);
    parameter.value = std::string(text);
  } else if (c == 't' || c == 'f') {
    scanner.Bool(std::get<bool>(parameter.value));
  } else if (JsonScanner::StartsNumber(c)) {
    JsonNumber number;
    scanner.Number(number);
    if (number.kind == JsonNumber::Kind::kReal || number.magnitude >> 63 != 0) {
      parameter.value = number.value;
    } else {
      const auto magnitude = static_cast<int64_t>(number.magnitude);
      parameter.value = number.kind == JsonNumber::Kind::kNegative ? -magnitude : magnitude;
    }
  } else {
    scanner.Skip();
    return InvalidArgument(Concat("parameter '", parameter.name,
                                  "' has invalid type. It should be either 'int', 'bool', or "
                                  "'string'."));
  }
  parameters.push_back(std::move(parameter));
  return {};
}

}  // namespace tepal::kserve
