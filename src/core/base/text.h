// Joining and reading short texts, for messages and parsers.

#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tepal {

namespace text_internal {
inline void Append(std::string& out, std::string_view piece) { out.append(piece); }
inline void Append(std::string& out, char piece) { out.push_back(piece); }
// Templates, so that a string literal does not become a bool.
template <typename Bool>
requires(std::is_same_v<Bool, bool>) void Append(std::string& out, Bool piece) {
  out.append(piece ? "true" : "false");
}
template <typename Number>
requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool> &&
         !std::is_same_v<Number, char>) void Append(std::string& out, Number piece) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), piece);
  out.append(digits, end.ptr);
}
}  // namespace text_internal

// Concat("got ", 3, " of ", 4): the pieces one after the other; shortest form of a number.
template <typename... Pieces>
std::string Concat(const Pieces&... pieces) {
  std::string out;
  (text_internal::Append(out, pieces), ...);
  return out;
}

// The whole of `text` as a number, or nothing: no sign `+`, no space, no overflow.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "a,b,,c" by ',' is {"a", "b", "", "c"}; "" is {""}.
std::vector<std::string_view> Split(std::string_view text, char separator);

// Without spaces and tabs at both ends.
std::string_view Trim(std::string_view text);

// ASCII only.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace tepal
