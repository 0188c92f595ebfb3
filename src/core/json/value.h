// A JSON document as a tree, for small inputs: settings, overrides, admin requests.
//
// Tensors in JSON do not come through here: kserve reads them straight from the text.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.h"

namespace tepal::json {

class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;  // In the text's order.

  Value() = default;
  template <typename T>
  explicit Value(T value) : value_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  const bool* AsBool() const { return std::get_if<bool>(&value_); }
  const int64_t* AsInt() const { return std::get_if<int64_t>(&value_); }
  const uint64_t* AsUint() const { return std::get_if<uint64_t>(&value_); }  // Above INT64_MAX.
  // Any number; empty otherwise.
  std::optional<double> AsNumber() const;
  const std::string* AsString() const { return std::get_if<std::string>(&value_); }
  const Array* AsArray() const { return std::get_if<Array>(&value_); }
  const Object* AsObject() const { return std::get_if<Object>(&value_); }

  // The member of an object; null when absent or not an object.
  const Value* Find(std::string_view key) const;

 private:
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// kInvalidArgument with the byte offset. At most `depth_max` levels.
Result<Value> Parse(std::string_view text, int depth_max = 100);

// The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629).
std::optional<size_t> FindInvalidUtf8(std::string_view text);

}  // namespace tepal::json
