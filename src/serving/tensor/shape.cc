#include "serving/tensor/shape.h"

#include "core/base/text.h"

namespace tepal {

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t length : shape) {
    if (text.size() > 1) text.push_back(',');
    text.append(Concat(length));
  }
  text.push_back(']');
  return text;
}

std::optional<int64_t> ElementCount(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (const int64_t length : shape) {
    if (length < 0) return std::nullopt;
    empty = empty || length == 0;
    overflow = overflow || __builtin_mul_overflow(count, length, &count);
  }
  // A zero anywhere makes the product zero, however large the rest is.
  if (empty) return 0;
  if (overflow) return std::nullopt;
  return count;
}

bool ShapeMatches(std::span<const int64_t> declared, std::span<const int64_t> shape) {
  if (declared.size() != shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (declared[i] != -1 && declared[i] != shape[i]) return false;
  }
  return true;
}

}  // namespace tepal
