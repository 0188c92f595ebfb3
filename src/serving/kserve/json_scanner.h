// Reads JSON text from front to back, value by value, without building a tree.
//
// The caller says what it expects and where numbers go, so a tensor's elements are converted
// straight into the tensor's memory. The scanner checks syntax only; what a value should be is the
// caller's business. It accepts what Triton's parser accepts: NaN, Inf and Infinity with or without
// a minus, any bytes in strings, and nothing else beyond RFC 8259. Errors have Triton's words and
// byte offsets, because clients match on them:
// "failed to parse the request JSON buffer: Missing a name for object member. at 1".
//
// Nothing is copied except strings with escapes. Owned by one thread; the text outlives it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace tepal::kserve {

// A number keeps what its text was: an integer when it has neither fraction nor exponent and fits.
struct JsonNumber {
  enum class Kind { kUnsigned, kNegative, kReal };
  Kind kind = Kind::kUnsigned;
  uint64_t magnitude = 0;  // Of an integer: its absolute value, at most 2^63 when negative.
  double value = 0;        // Always set, rounded for large integers.
};

class JsonScanner {
 public:
  static constexpr int kDepthMax = 100;  // Triton's limit since 2.52.

  explicit JsonScanner(std::string_view text)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  // The first character of what comes next, after white space; 0 at the end of the text.
  char Peek() {
    if (at_ != end_ && static_cast<unsigned char>(*at_) > ' ') return *at_;
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    return at_ == end_ ? '\0' : *at_;
  }

  // After Peek() said '{': NextMember then goes to each member's value and says false after the
  // last, or on an error. The value must be read or skipped before the next call; `key` is valid
  // until the next string is read.
  bool EnterObject() { return Enter(); }
  bool NextMember(std::string_view& key);

  // After Peek() said '[': likewise.
  bool EnterArray() { return Enter(); }
  bool NextElement() {
    // Within a tensor nearly every turn is this one.
    if (!fresh_ && at_ != end_ && *at_ == ',') {
      ++at_;
      return true;
    }
    return NextElementSlowly();
  }

  // After Peek() said '"'. The value is valid until the next string is read.
  bool String(std::string_view& value);

  // After Peek() said '-', a digit, 'N' or 'I'.
  bool Number(JsonNumber& number) {
    // Short integers are most of what tensors hold in JSON.
    const char* p = at_;
    const bool negative = p != end_ && *p == '-';
    if (negative) ++p;
    const char* digits = p;
    uint64_t value = 0;
    while (p != end_ && static_cast<unsigned char>(*p - '0') <= 9) {
      value = value * 10 + static_cast<uint64_t>(*p++ - '0');
    }
    const auto count = p - digits;
    const bool ends = p == end_ || (*p != '.' && *p != 'e' && *p != 'E');
    if (count == 0 || count > kShortDigitsMax || !ends || (*digits == '0' && count > 1)) {
      return NumberSlowly(number);
    }
    at_ = p;
    const auto real = static_cast<double>(value);
    number = {negative && value != 0 ? JsonNumber::Kind::kNegative : JsonNumber::Kind::kUnsigned,
              value, negative ? -real : real};
    return true;
  }
  static bool StartsNumber(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == 'N' || c == 'I';
  }

  // After Peek() said 't' or 'f'.
  bool Bool(bool& value);

  // Any value.
  bool Skip();

  // Whether nothing but white space follows; an error otherwise.
  bool End();

  bool failed() const { return error_ != nullptr; }
  // kInvalidArgument; only after a failure.
  Status error() const;

  // A place between values, to come back to.
  struct Mark {
    const char* at;
    int depth;
  };
  Mark Here() const { return {at_, depth_}; }
  void Return(Mark mark) {
    at_ = mark.at;
    depth_ = mark.depth;
    fresh_ = false;
  }
  size_t bytes_left() const { return static_cast<size_t>(end_ - at_); }

 private:
  static constexpr int kShortDigitsMax = 18;

  bool Fail(const char* error, const char* where);
  bool Enter();
  bool NextElementSlowly();
  bool NumberSlowly(JsonNumber& number);
  bool Literal(std::string_view word);
  bool Escape();
  bool Hex4(unsigned& code);
  bool SlowString(std::string_view& value, const char* from);
  bool RealNumber(const char* from, const char* to, JsonNumber& number);
  bool NotFinite(const char* from, bool negative, JsonNumber& number);

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* error_ = nullptr;
  size_t error_offset_ = 0;
  int depth_ = 0;
  bool fresh_ = false;  // The innermost container was entered just now.
  std::string unescaped_;
};

}  // namespace tepal::kserve
