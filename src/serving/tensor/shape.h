// Shapes: the lengths of a tensor's dimensions, outermost first. In a model's declaration -1 stands
// for any length; in a tensor every dimension is 0 or more.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tepal {

using Shape = std::vector<int64_t>;

// "[1,3,224,224]", as the protocol's errors print it.
std::string ShapeText(std::span<const int64_t> shape);

// The product; 1 for the empty shape. Empty when a dimension is negative or the product does not
// fit.
std::optional<int64_t> ElementCount(std::span<const int64_t> shape);

// Whether `shape` fits `declared`: same rank, and equal wherever `declared` is not -1.
bool ShapeMatches(std::span<const int64_t> declared, std::span<const int64_t> shape);

}  // namespace tepal
