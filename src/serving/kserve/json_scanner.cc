#include "serving/kserve/json_scanner.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/base/text.h"

namespace tepal::kserve {
namespace {

constexpr char kEmpty[] = "The document is empty.";
constexpr char kTrailing[] = "The document root must not be followed by other values.";
constexpr char kInvalidValue[] = "Invalid value.";
constexpr char kNoName[] = "Missing a name for object member.";
constexpr char kNoColon[] = "Missing a colon after a name of object member.";
constexpr char kNoCommaInObject[] = "Missing a comma or '}' after an object member.";
constexpr char kNoCommaInArray[] = "Missing a comma or ']' after an array element.";
constexpr char kBadHex[] = "Incorrect hex digit after \\u escape in string.";
constexpr char kBadSurrogate[] = "The surrogate pair in string is invalid.";
constexpr char kBadEscape[] = "Invalid escape character in string.";
constexpr char kNoQuote[] = "Missing a closing quotation mark in string.";
constexpr char kBadEncoding[] = "Invalid encoding in string.";
constexpr char kTooBig[] = "Number too big to be stored in double.";
constexpr char kNoFraction[] = "Miss fraction part in number.";
constexpr char kNoExponent[] = "Miss exponent in number.";
constexpr char kTooDeep[] = "";  // Worded in error().

bool IsDigit(const char* at, const char* end) { return at != end && *at >= '0' && *at <= '9'; }

// 10^0 to 10^22: the powers that a double holds exactly, so that a mantissa below 2^53 times or
// over one of them is rounded once, that is correctly (W. Clinger, PLDI 1990).
constexpr double kExactPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int kExactPowerMax = 22;
constexpr int kExactDigitsMax = 19;  // Decimal digits that always fit 64 bits.

// `mantissa` over 10^`power`, correctly rounded, where one division can say so. With 64 bits of
// precision (x87) the mantissa and powers up to 10^27 are exact, so the quotient q is rounded once.
// Rounding q to a double is right unless q lies halfway between two of them: those halves have 64
// bits, so what was rounded to another q lies on the same side of each as q does.
constexpr int kWidePowerMax = 27;
bool DivideWide(uint64_t mantissa, int power, double& value) {
  if constexpr (std::numeric_limits<long double>::digits == 64) {
    static constexpr auto kPowers = [] {
      std::array<long double, kWidePowerMax + 1> powers{1};
      for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
      return powers;
    }();
    const long double quotient =
        static_cast<long double>(mantissa) / kPowers[static_cast<size_t>(power)];
    uint64_t bits;
    std::memcpy(&bits, &quotient, sizeof(bits));
    constexpr uint64_t kBelowDouble = (1u << 11) - 1, kHalf = 1u << 10;
    value = static_cast<double>(quotient);
    return (bits & kBelowDouble) != kHalf;
  }
  return false;
}

constexpr int64_t kExponentDigitsMax = 1'000'000;  // No double needs an exponent beyond.

// Appends the run of digits at `p` to `value`, eight at a time where there are as many, and says
// where it ends. The arithmetic on eight bytes at once is D. Lemire's ("Quickly parsing eight
// digits", 2018).
const char* ReadDigits(const char* p, const char* end, uint64_t& value) {
  while (end - p >= 8) {
    uint64_t chunk;
    std::memcpy(&chunk, p, sizeof(chunk));
    const uint64_t high = chunk & 0xf0f0f0f0f0f0f0f0;
    const uint64_t carried = (chunk + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0;
    if ((high | carried >> 4) != 0x3333333333333333) break;
    chunk -= 0x3030303030303030;
    chunk = chunk * 10 + (chunk >> 8);
    chunk = ((chunk & 0x000000ff000000ff) * 0x000f424000000064 +
             ((chunk >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
            32;
    value = value * 100'000'000 + static_cast<uint32_t>(chunk);
    p += 8;
  }
  while (IsDigit(p, end)) value = value * 10 + static_cast<unsigned>(*p++ - '0');
  return p;
}

void AppendUtf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xc0 | (code >> 6)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | (code >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | (code >> 18)));
    out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

}  // namespace

bool JsonScanner::Fail(const char* error, const char* where) {
  if (error_ == nullptr) {
    error_ = error;
    error_offset_ = static_cast<size_t>(where - begin_);
  }
  return false;
}

Status JsonScanner::error() const {
  if (error_ == kTooDeep) {
    return InvalidArgument(
        Concat("JSON nesting depth exceeds maximum allowed limit (", kDepthMax, ")"));
  }
  return InvalidArgument(
      Concat("failed to parse the request JSON buffer: ", error_, " at ", error_offset_));
}

bool JsonScanner::Enter() {
  if (depth_ == kDepthMax) return Fail(kTooDeep, at_);
  ++depth_;
  ++at_;
  fresh_ = true;
  return true;
}

bool JsonScanner::NextMember(std::string_view& key) {
  if (failed()) return false;
  char next = Peek();
  if (next == '}') {
    ++at_;
    --depth_;
    fresh_ = false;
    return false;
  }
  if (!fresh_) {
    if (next != ',') return Fail(kNoCommaInObject, at_);
    ++at_;
    next = Peek();
  }
  fresh_ = false;
  if (next != '"') return Fail(kNoName, at_);
  if (!String(key)) return false;
  if (Peek() != ':') return Fail(kNoColon, at_);
  ++at_;
  return true;
}

bool JsonScanner::NextElementSlowly() {
  if (failed()) return false;
  const char next = Peek();
  if (next == ']') {
    ++at_;
    --depth_;
    fresh_ = false;
    return false;
  }
  if (!fresh_) {
    if (next != ',') return Fail(kNoCommaInArray, at_);
    ++at_;
  }
  fresh_ = false;
  return true;
}

bool JsonScanner::String(std::string_view& value) {
  const char* from = ++at_;
  while (at_ != end_) {
    const auto c = static_cast<unsigned char>(*at_);
    if (c == '"') {
      value = {from, static_cast<size_t>(at_ - from)};
      ++at_;
      return true;
    }
    if (c == '\\' || c < 0x20) return SlowString(value, from);
    ++at_;
  }
  return Fail(kNoQuote, at_);
}

// Goes on where String met the first character that is not itself.
bool JsonScanner::SlowString(std::string_view& value, const char* from) {
  unescaped_.assign(from, at_);
  while (at_ != end_) {
    const auto c = static_cast<unsigned char>(*at_);
    if (c == '"') {
      ++at_;
      value = unescaped_;
      return true;
    }
    if (c == '\\') {
      if (!Escape()) return false;
    } else if (c < 0x20) {
      return Fail(c == 0 ? kNoQuote : kBadEncoding, at_);
    } else {
      unescaped_.push_back(*at_++);
    }
  }
  return Fail(kNoQuote, at_);
}

bool JsonScanner::Escape() {
  const char* escape = at_++;
  const char kind = at_ == end_ ? '\0' : *at_++;
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      unescaped_.push_back(kind);
      return true;
    case 'b':
      unescaped_.push_back('\b');
      return true;
    case 'f':
      unescaped_.push_back('\f');
      return true;
    case 'n':
      unescaped_.push_back('\n');
      return true;
    case 'r':
      unescaped_.push_back('\r');
      return true;
    case 't':
      unescaped_.push_back('\t');
      return true;
    case 'u':
      break;
    default:
      return Fail(kBadEscape, escape);
  }
  unsigned code = 0;
  if (!Hex4(code)) return Fail(kBadHex, escape);
  if (code >= 0xd800 && code < 0xe000) {
    unsigned low = 0;
    if (code >= 0xdc00 || end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') {
      return Fail(kBadSurrogate, escape);
    }
    at_ += 2;
    if (!Hex4(low)) return Fail(kBadHex, escape);
    if (low < 0xdc00 || low > 0xdfff) return Fail(kBadSurrogate, escape);
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  AppendUtf8(unescaped_, code);
  return true;
}

bool JsonScanner::Hex4(unsigned& code) {
  if (end_ - at_ < 4) return false;
  const auto [last, error] = std::from_chars(at_, at_ + 4, code, 16);
  if (error != std::errc() || last != at_ + 4) return false;
  at_ += 4;
  return true;
}

bool JsonScanner::Literal(std::string_view word) {
  for (const char c : word) {
    if (at_ == end_ || *at_ != c) return Fail(kInvalidValue, at_);
    ++at_;
  }
  return true;
}

bool JsonScanner::Bool(bool& value) {
  value = *at_ == 't';
  return Literal(value ? "true" : "false");
}

bool JsonScanner::NotFinite(const char* from, bool negative, JsonNumber& number) {
  at_ = from;
  double value = std::numeric_limits<double>::quiet_NaN();
  if (*at_ == 'N') {
    if (!Literal("NaN")) return false;
  } else {
    if (!Literal("Inf")) return false;
    if (at_ != end_ && *at_ == 'i' && !Literal("inity")) return false;
    value = std::numeric_limits<double>::infinity();
  }
  number = {JsonNumber::Kind::kReal, 0, negative ? -value : value};
  return true;
}

bool JsonScanner::NumberSlowly(JsonNumber& number) {
  const char* start = at_;
  const char* p = start;
  const bool negative = p != end_ && *p == '-';
  if (negative) ++p;
  if (p != end_ && (*p == 'N' || *p == 'I')) return NotFinite(p, negative, number);
  if (!IsDigit(p, end_)) {
    return Fail(p == end_ && depth_ == 0 && !negative ? kEmpty : kInvalidValue, p);
  }

  uint64_t mantissa = 0;  // Meaningless beyond kExactDigitsMax digits.
  const char* digits = p;
  if (*p == '0') {
    digits = ++p;
  } else {
    p = ReadDigits(p, end_, mantissa);
  }
  auto digit_count = p - digits;
  int64_t exponent = 0;
  bool integer = true;
  if (p != end_ && *p == '.') {
    integer = false;
    ++p;
    if (!IsDigit(p, end_)) return Fail(kNoFraction, p);
    const char* fraction = p;
    p = ReadDigits(p, end_, mantissa);
    digit_count += p - fraction;
    exponent = fraction - p;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    integer = false;
    ++p;
    const bool minus = p != end_ && *p == '-';
    if (p != end_ && (*p == '+' || *p == '-')) ++p;
    if (!IsDigit(p, end_)) return Fail(kNoExponent, p);
    int64_t written = 0;
    for (; IsDigit(p, end_); ++p) {
      if (written < kExponentDigitsMax) written = written * 10 + (*p - '0');
    }
    exponent += minus ? -written : written;
  }
  at_ = p;

  const bool exact = digit_count <= kExactDigitsMax;
  if (integer && exact && (!negative || mantissa <= (1ull << 63))) {
    const auto magnitude = static_cast<double>(mantissa);
    number = {negative && mantissa != 0 ? JsonNumber::Kind::kNegative : JsonNumber::Kind::kUnsigned,
              mantissa, negative ? -magnitude : magnitude};
    return true;
  }
  if (exact && mantissa < (1ull << 53) && exponent >= -kExactPowerMax &&
      exponent <= kExactPowerMax) {
    const auto whole = static_cast<double>(mantissa);
    const double value =
        exponent < 0 ? whole / kExactPowers[-exponent] : whole * kExactPowers[exponent];
    number = {JsonNumber::Kind::kReal, 0, negative ? -value : value};
    return true;
  }
  // What prints a float32 as the double it equals writes 16 or 17 digits.
  if (double value = 0; exact && exponent < 0 && exponent >= -kWidePowerMax &&
                        DivideWide(mantissa, static_cast<int>(-exponent), value)) {
    number = {JsonNumber::Kind::kReal, 0, negative ? -value : value};
    return true;
  }
  if (integer && !negative) {
    const auto [last, error] = std::from_chars(start, p, mantissa);
    if (error == std::errc() && last == p) {
      number = {JsonNumber::Kind::kUnsigned, mantissa, static_cast<double>(mantissa)};
      return true;
    }
  }
  return RealNumber(start, p, number);
}

bool JsonScanner::RealNumber(const char* from, const char* to, JsonNumber& number) {
  double value = 0;
  const auto [last, error] = std::from_chars(from, to, value);
  if (error == std::errc::result_out_of_range) {
    // Too small is 0, too large is an error; from_chars does not say which it was.
    value = std::strtod(std::string(from, to).c_str(), nullptr);
    if (std::isinf(value)) return Fail(kTooBig, from);
  }
  number = {JsonNumber::Kind::kReal, 0, value};
  return true;
}

bool JsonScanner::Skip() {
  const int outside = depth_;
  // The container of each open level: bit set for an object.
  bool is_object[kDepthMax + 1] = {};
  do {
    // Here a value is expected.
    std::string_view text;
    JsonNumber number;
    bool flag = false;
    const char c = Peek();
    if (c == '{' || c == '[') {
      if (!Enter()) return false;
      is_object[depth_] = c == '{';
    } else if (c == '"') {
      if (!String(text)) return false;
    } else if (c == 't' || c == 'f') {
      if (!Bool(flag)) return false;
    } else if (c == 'n') {
      if (!Literal("null")) return false;
    } else if (!Number(number)) {
      return false;
    }
    // Close what ends here, until another value is expected.
    while (depth_ > outside) {
      const int level = depth_;
      const bool more = is_object[level] ? NextMember(text) : NextElement();
      if (failed()) return false;
      if (more) break;
    }
  } while (depth_ > outside);
  return true;
}

bool JsonScanner::End() {
  if (failed()) return false;
  Peek();
  return at_ == end_ || Fail(kTrailing, at_);
}

}  // namespace tepal::kserve
