#include "core/json/value.h"

#include <algorithm>
#include <charconv>

#include "core/base/text.h"

namespace tepal::json {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
    return;
  }
  if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (code >> 18)));
    out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
  }
  out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
}

// Length of the well-formed UTF-8 sequence at the front of `text` (RFC 3629), or 0.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

class Parser {
 public:
  Parser(std::string_view text, int depth_max) : text_(text), depth_max_(depth_max) {}

  Result<Value> Document() {
    Value value;
    RETURN_IF_ERROR(ParseValue(value, 1));
    SkipSpace();
    if (at_ != text_.size()) return Error("unexpected text after the end of the document");
    return value;
  }

 private:
  Status Error(std::string_view what) const {
    return InvalidArgument(Concat("invalid JSON at byte ", at_, ": ", what));
  }

  bool Has(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool Take(char c) {
    if (!Has(c)) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (Has(' ') || Has('\n') || Has('\t') || Has('\r')) ++at_;
  }

  Status ParseValue(Value& out, int depth) {
    SkipSpace();
    if (at_ == text_.size()) return Error("the text ends where a value should be");
    const char first = text_[at_];
    if (first == '{' || first == '[') {
      if (depth > depth_max_) return Error(Concat("nested deeper than ", depth_max_, " levels"));
      ++at_;
      return first == '{' ? ParseObject(out, depth) : ParseArray(out, depth);
    }
    if (first == '"') {
      std::string string;
      RETURN_IF_ERROR(ParseString(string));
      out = Value(std::move(string));
      return {};
    }
    if (first == '-' || IsDigit(first)) return ParseNumberValue(out);
    if (TakeWord("true")) {
      out = Value(true);
    } else if (TakeWord("false")) {
      out = Value(false);
    } else if (TakeWord("null")) {
      out = Value();
    } else {
      return Error(Concat("expected a value, got '", text_.substr(at_, Utf8Span()), "'"));
    }
    return {};
  }

  bool TakeWord(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  size_t Utf8Span() const { return std::max<size_t>(1, Utf8Length(text_.substr(at_))); }

  Status ParseObject(Value& out, int depth) {
    Value::Object object;
    SkipSpace();
    if (!Take('}')) {
      while (true) {
        SkipSpace();
        if (!Has('"')) return Error("expected a member's name in quotes or '}'");
        std::string key;
        RETURN_IF_ERROR(ParseString(key));
        SkipSpace();
        if (!Take(':')) return Error(Concat("expected ':' after the name '", key, "'"));
        Value member;
        RETURN_IF_ERROR(ParseValue(member, depth + 1));
        object.emplace_back(std::move(key), std::move(member));
        SkipSpace();
        if (Take('}')) break;
        if (!Take(',')) return Error("expected ',' or '}' after an object's member");
      }
    }
    out = Value(std::move(object));
    return {};
  }

  Status ParseArray(Value& out, int depth) {
    Value::Array array;
    SkipSpace();
    if (!Take(']')) {
      while (true) {
        RETURN_IF_ERROR(ParseValue(array.emplace_back(), depth + 1));
        SkipSpace();
        if (Take(']')) break;
        if (!Take(',')) return Error("expected ',' or ']' after an array's element");
      }
    }
    out = Value(std::move(array));
    return {};
  }

  Status ParseString(std::string& out) {
    ++at_;  // The opening quote.
    while (true) {
      if (at_ == text_.size()) return Error("the text ends inside a string");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return {};
      }
      if (static_cast<unsigned char>(c) < 0x20) return Error("a control character in a string");
      if (c == '\\') {
        RETURN_IF_ERROR(ParseEscape(out));
        continue;
      }
      const size_t length = Utf8Length(text_.substr(at_));
      if (length == 0) return Error("a string is not UTF-8");
      out.append(text_.substr(at_, length));
      at_ += length;
    }
  }

  Status ParseEscape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ + 1 == text_.size()) return Error("the text ends inside a string");
    const char name = text_[at_ + 1];
    if (name != 'u') {
      const size_t which = kNames.find(name);
      if (which == std::string_view::npos) return Error("unknown escape in a string");
      out.push_back(kMeanings[which]);
      at_ += 2;
      return {};
    }
    uint32_t code = 0;
    RETURN_IF_ERROR(ParseHex(code));
    if (code >= 0xDC00 && code <= 0xDFFF) return Error("a low surrogate without a high one");
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low = 0;
      if (text_.substr(at_, 2) != "\\u") return Error("a high surrogate without a low one");
      RETURN_IF_ERROR(ParseHex(low));
      if (low < 0xDC00 || low > 0xDFFF) return Error("a high surrogate without a low one");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(out, code);
    return {};
  }

  // The four digits of "\uXXXX".
  Status ParseHex(uint32_t& code) {
    const std::string_view digits = text_.substr(std::min(at_ + 2, text_.size()), 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) {
      return Error("expected four hexadecimal digits after \\u");
    }
    at_ += 6;
    return {};
  }

  Status ParseNumberValue(Value& out) {
    const size_t begin = at_;
    bool whole = true;
    Take('-');
    if (!Take('0') && !TakeDigits()) return Error("expected a digit");
    if (Take('.')) {
      whole = false;
      if (!TakeDigits()) return Error("expected a digit after the decimal point");
    }
    if (Take('e') || Take('E')) {
      whole = false;
      if (!Take('+')) Take('-');
      if (!TakeDigits()) return Error("expected a digit in the exponent");
    }
    const std::string_view text = text_.substr(begin, at_ - begin);
    if (whole) {
      if (const auto number = ParseNumber<int64_t>(text)) {
        out = Value(*number);
        return {};
      }
      if (const auto number = ParseNumber<uint64_t>(text)) {
        out = Value(*number);
        return {};
      }
    }
    const auto number = ParseNumber<double>(text);
    if (!number) {
      at_ = begin;
      return Error(Concat("the number ", text, " does not fit a double"));
    }
    out = Value(*number);
    return {};
  }

  bool TakeDigits() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    return at_ > begin;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_max_;
};

}  // namespace

std::optional<double> Value::AsNumber() const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  return std::nullopt;
}

const Value* Value::Find(std::string_view key) const {
  const Object* object = AsObject();
  if (object == nullptr) return nullptr;
  for (const auto& [name, member] : *object) {
    if (name == key) return &member;
  }
  return nullptr;
}

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

Result<Value> Parse(std::string_view text, int depth_max) {
  return Parser(text, depth_max).Document();
}

}  // namespace tepal::json
