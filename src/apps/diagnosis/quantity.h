// Kubernetes' way to write numbers: "250m", "1500", "64Mi", "5e3".
// Source: apimachinery's resource.Quantity.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tepal::diagnosis {

// Nothing for what is no quantity.
std::optional<double> ParseQuantity(std::string_view text);

// The shortest of "1500", "1500m" and such that says the number to a thousandth.
std::string QuantityText(double value);

}  // namespace tepal::diagnosis
