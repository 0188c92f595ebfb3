#include "balancing/nginx_conf/values.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::nginx_conf {

namespace {

constexpr Duration kTimeMax = 365 * 24 * 3600s;

std::optional<Duration> UnitOf(std::string_view unit) {
  if (unit == "ms") return 1ms;
  if (unit.empty() || unit == "s") return 1s;
  if (unit == "m") return 60s;
  if (unit == "h") return 3600s;
  if (unit == "d") return 24 * 3600s;
  if (unit == "w") return 7 * 24 * 3600s;
  return std::nullopt;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<Duration> ParseTime(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Duration sum{};
  while (!text.empty()) {
    const auto digits =
        static_cast<size_t>(std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin());
    const auto number = ParseNumber<uint32_t>(text.substr(0, digits));
    text.remove_prefix(digits);
    const auto letters =
        static_cast<size_t>(std::find_if(text.begin(), text.end(), IsDigit) - text.begin());
    const auto unit = UnitOf(text.substr(0, letters));
    text.remove_prefix(letters);
    if (!number || !unit || *number > kTimeMax / *unit) return std::nullopt;
    sum += *unit * int64_t{*number};
    if (sum > kTimeMax) return std::nullopt;
  }
  return sum;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t unit = 1;
  if (!text.empty() && !IsDigit(text.back())) {
    const char letter = static_cast<char>(text.back() | 0x20);
    if (letter != 'k' && letter != 'm' && letter != 'g') return std::nullopt;
    unit = letter == 'k' ? 1 << 10 : letter == 'm' ? 1 << 20 : 1 << 30;
    text.remove_suffix(1);
  }
  const auto number = ParseNumber<uint32_t>(text);
  if (!number) return std::nullopt;
  return *number * unit;
}

Parameter SplitParameter(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return {word, std::nullopt};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

}  // namespace tepal::nginx_conf
