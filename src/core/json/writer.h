// Writes JSON text, in order, into one string.
//
// The caller says Key before each value of an object; commas and escapes are the writer's. NaN and
// infinities are written bare (NaN, Infinity, -Infinity), as the v2 protocol's servers do.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace tepal::json {

class Writer {
 public:
  Writer& BeginObject();
  Writer& EndObject();
  Writer& BeginArray();
  Writer& EndArray();
  Writer& Key(std::string_view key);
  Writer& String(std::string_view value);
  Writer& Bool(bool value);
  Writer& Int(int64_t value);
  Writer& Uint(uint64_t value);
  // The shortest text that reads back as the same number; at least one decimal ("1.0").
  Writer& Double(double value);
  Writer& Float(float value);
  Writer& Null();
  // `text` is valid JSON already.
  Writer& Raw(std::string_view text);

  const std::string& text() const { return text_; }
  std::string Take() { return std::move(text_); }

 private:
  void BeforeValue();
  std::string text_;
  bool need_comma_ = false;
};

// `text` as the inside of a JSON string, without the quotes. Bytes that are not UTF-8 pass through.
void AppendEscaped(std::string& out, std::string_view text);

// The same number texts without a Writer, for long tensors.
void AppendDouble(std::string& out, double value);
void AppendFloat(std::string& out, float value);

}  // namespace tepal::json
