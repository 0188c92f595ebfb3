#include "apps/diagnosis/quantity.h"

#include <cmath>
#include <utility>

#include "core/base/text.h"

namespace tepal::diagnosis {

std::optional<double> ParseQuantity(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {
      {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50},
      {"Ei", 0x1p60}, {"n", 1e-9},    {"u", 1e-6},    {"m", 1e-3},    {"k", 1e3},
      {"M", 1e6},     {"G", 1e9},     {"T", 1e12},    {"P", 1e15},    {"E", 1e18}};
  double scale = 1;
  for (const auto& [suffix, factor] : kSuffixes) {
    if (!text.ends_with(suffix)) continue;
    scale = factor;
    text.remove_suffix(suffix.size());
    break;
  }
  const std::optional<double> number = ParseNumber<double>(text);
  if (!number.has_value() || !std::isfinite(*number * scale)) return std::nullopt;
  return *number * scale;
}

std::string QuantityText(double value) {
  const double thousandths = std::round(value * 1000);
  if (!(std::abs(thousandths) < 9e15)) return Concat(value);
  const auto whole = static_cast<int64_t>(thousandths);
  return whole % 1000 == 0 ? Concat(whole / 1000) : Concat(whole, "m");
}

}  // namespace tepal::diagnosis
