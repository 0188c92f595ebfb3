// Numbers as Kubernetes writes quantities: "42", "1500m", "250u". Source: apimachinery's
// resource.Quantity.
//
// Pure. What is not 0 is never written as 0: a whole number is written plain, others in
// thousandths, and what is smaller than a thousandth in millionths or billionths, rounded away from
// 0 as a Quantity does with what it cannot say. Beyond 2^63 - 1 a Quantity ends, and so does the
// text.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tepal::custom_metrics {

// `value` is finite.
std::string QuantityText(double value);

// Also what others write: "64Mi", "5e3". Nothing for what is no quantity.
std::optional<double> ParseQuantity(std::string_view text);

}  // namespace tepal::custom_metrics
