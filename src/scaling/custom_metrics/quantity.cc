#include "scaling/custom_metrics/quantity.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

// Above this a double has no thousandths left.
constexpr double kThousandthsMax = 4'503'599'627'370.0;

std::string SmallText(double value) {
  auto billionths = static_cast<int64_t>(std::ceil(value * 1e9));
  if (billionths % 1'000'000 == 0) return Concat(billionths / 1'000'000, "m");
  if (billionths % 1'000 == 0) return Concat(billionths / 1'000, "u");
  return Concat(billionths, "n");
}

std::string PositiveText(double value) {
  if (value >= 9223372036854775807.0) return Concat(std::numeric_limits<int64_t>::max());
  if (value >= kThousandthsMax || value == std::floor(value)) {
    return Concat(static_cast<int64_t>(std::round(value)));
  }
  if (value < 0.001) return SmallText(value);
  const auto thousandths = static_cast<int64_t>(std::round(value * 1e3));
  if (thousandths % 1'000 == 0) return Concat(thousandths / 1'000);
  return Concat(thousandths, "m");
}

}  // namespace

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
  if (value == 0 || !std::isfinite(value)) return "0";
  return value < 0 ? Concat("-", PositiveText(-value)) : PositiveText(value);
}

}  // namespace tepal::custom_metrics
