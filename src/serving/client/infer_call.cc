#include "serving/client/infer_call.h"

#include <cstring>

#include "core/base/text.h"

namespace tepal::client {

Result<std::vector<std::string_view>> ReadStrings(const Buffer& data) {
  std::vector<std::string_view> strings;
  std::string_view rest = data.text();
  while (!rest.empty()) {
    uint32_t size = 0;
    if (rest.size() < sizeof(size)) return Internal("a BYTES tensor ends within a length");
    std::memcpy(&size, rest.data(), sizeof(size));
    rest.remove_prefix(sizeof(size));
    if (rest.size() < size) return Internal("a BYTES tensor ends within an element");
    strings.push_back(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return strings;
}

Result<Classification> ParseClassification(std::string_view text) {
  const size_t first = text.find(':');
  const size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  const auto score = ParseNumber<double>(text.substr(0, first));
  const auto index = first == std::string_view::npos
                         ? std::nullopt
                         : ParseNumber<int64_t>(text.substr(first + 1, second - first - 1));
  if (!score || !index) {
    return Internal(Concat("the server's class '", text, "' is not SCORE:INDEX[:LABEL]"));
  }
  Classification result{*score, *index, ""};
  if (second != std::string_view::npos) result.label = text.substr(second + 1);
  return result;
}

}  // namespace tepal::client
