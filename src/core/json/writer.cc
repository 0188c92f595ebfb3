#include "core/json/writer.h"

#include <charconv>
#include <cmath>

namespace tepal::json {
namespace {

// Decimal exponents outside this range are written with an `e`, as the field's servers do.
constexpr int kFixedExponentMax = 21;
constexpr int kFixedExponentMin = -6;

// Beyond this a double no longer holds every integer.
constexpr double kExactIntegerMax = 9007199254740992.0;

template <typename Number>
void AppendInteger(std::string& out, Number value) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  out.append(digits, end);
}

// Lays out 0.DIGITS x 10^point as a number with at least one decimal.
void AppendDecimal(std::string& out, std::string_view digits, int point) {
  const int length = static_cast<int>(digits.size());
  if (point >= length && point <= kFixedExponentMax) {
    out.append(digits).append(static_cast<size_t>(point - length), '0').append(".0");
  } else if (point > 0 && point <= kFixedExponentMax) {
    const auto whole = static_cast<size_t>(point);
    out.append(digits.substr(0, whole)).append(".").append(digits.substr(whole));
  } else if (point > kFixedExponentMin && point <= 0) {
    out.append("0.").append(static_cast<size_t>(-point), '0').append(digits);
  } else {
    out.append(digits.substr(0, 1));
    if (length > 1) out.append(".").append(digits.substr(1));
    out.append("e");
    AppendInteger(out, point - 1);
  }
}

template <typename Number>
void AppendReal(std::string& out, Number value) {
  if (std::isnan(value)) {
    out.append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out.append(value < 0 ? "-Infinity" : "Infinity");
    return;
  }
  if (std::signbit(value)) {
    out.push_back('-');
    value = -value;
  }
  if (value < static_cast<Number>(kExactIntegerMax) && std::trunc(value) == value) {
    // Most numbers people send are whole, and this is several times faster.
    AppendInteger(out, static_cast<uint64_t>(value));
    out.append(".0");
    return;
  }
  char buffer[32];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  // "d.ddde+XX" or "de+XX": take the digits together and the exponent apart.
  char digits[24];
  size_t count = 0;
  const char* at = buffer;
  for (; *at != 'e'; ++at) {
    if (*at != '.') digits[count++] = *at;
  }
  ++at;
  if (*at == '+') ++at;
  int exponent = 0;
  std::from_chars(at, end, exponent);
  AppendDecimal(out, std::string_view(digits, count), exponent + 1);
}

}  // namespace

void AppendDouble(std::string& out, double value) { AppendReal(out, value); }
void AppendFloat(std::string& out, float value) { AppendReal(out, value); }

void AppendEscaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  size_t clean_from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text.substr(clean_from, i - clean_from));
    clean_from = i + 1;
    out.push_back('\\');
    switch (byte) {
      case '"':
      case '\\':
        out.push_back(static_cast<char>(byte));
        break;
      case '\b':
        out.push_back('b');
        break;
      case '\f':
        out.push_back('f');
        break;
      case '\n':
        out.push_back('n');
        break;
      case '\r':
        out.push_back('r');
        break;
      case '\t':
        out.push_back('t');
        break;
      default:
        out.append("u00");
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 15]);
    }
  }
  out.append(text.substr(clean_from));
}

void Writer::BeforeValue() {
  if (need_comma_) text_.push_back(',');
  need_comma_ = true;
}

Writer& Writer::BeginObject() {
  BeforeValue();
  text_.push_back('{');
  need_comma_ = false;
  return *this;
}

Writer& Writer::EndObject() {
  text_.push_back('}');
  need_comma_ = true;
  return *this;
}

Writer& Writer::BeginArray() {
  BeforeValue();
  text_.push_back('[');
  need_comma_ = false;
  return *this;
}

Writer& Writer::EndArray() {
  text_.push_back(']');
  need_comma_ = true;
  return *this;
}

Writer& Writer::Key(std::string_view key) {
  String(key);
  text_.push_back(':');
  need_comma_ = false;
  return *this;
}

Writer& Writer::String(std::string_view value) {
  BeforeValue();
  text_.push_back('"');
  AppendEscaped(text_, value);
  text_.push_back('"');
  return *this;
}

Writer& Writer::Bool(bool value) { return Raw(value ? "true" : "false"); }
Writer& Writer::Null() { return Raw("null"); }

Writer& Writer::Int(int64_t value) {
  BeforeValue();
  AppendInteger(text_, value);
  return *this;
}

Writer& Writer::Uint(uint64_t value) {
  BeforeValue();
  AppendInteger(text_, value);
  return *this;
}

Writer& Writer::Double(double value) {
  BeforeValue();
  AppendReal(text_, value);
  return *this;
}

Writer& Writer::Float(float value) {
  BeforeValue();
  AppendReal(text_, value);
  return *this;
}

Writer& Writer::Raw(std::string_view text) {
  BeforeValue();
  text_.append(text);
  return *this;
}

}  // namespace tepal::json
