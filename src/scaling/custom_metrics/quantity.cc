#include "scaling/custom_metrics/quantity.h"

#include <cmath>
#include <cstdint>
#include <limits>

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

std::string QuantityText(double value) {
  if (value == 0 || !std::isfinite(value)) return "0";
  return value < 0 ? Concat("-", PositiveText(-value)) : PositiveText(value);
}

}  // namespace tepal::custom_metrics
