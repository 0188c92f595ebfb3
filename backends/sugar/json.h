// A small JSON reader and writer for plugins, which link nothing of the server: model
// configurations and backend settings are a few kilobytes. Header-only.
//
// Numbers keep their text. Objects keep their order. Depth is limited; \u escapes are decoded.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tepal_plugin {

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Json() = default;
  static Json String(std::string text) { return Json(Kind::kString, std::move(text)); }
  static Json Number(int64_t number) { return Json(Kind::kNumber, std::to_string(number)); }
  static Json Bool(bool value) { return Json(Kind::kBool, value ? "true" : "false"); }
  static Json Array() { return Json(Kind::kArray, {}); }
  static Json Object() { return Json(Kind::kObject, {}); }

  // Null when the text is not JSON.
  static Json Parse(std::string_view text) {
    Reader reader{text, 0};
    Json value;
    if (!reader.Value(value, 0) || !reader.AtEnd()) return {};
    return value;
  }

  Kind kind() const { return kind_; }
  const std::string& text() const { return text_; }  // Of a string or a number.
  std::vector<Json>& items() { return items_; }
  const std::vector<Json>& items() const { return items_; }
  const std::vector<std::string>& keys() const { return keys_; }  // Of an object, as the items.

  int64_t AsInt(int64_t otherwise = 0) const {
    return text_.empty() ? otherwise : std::strtoll(text_.c_str(), nullptr, 10);
  }
  bool AsBool() const { return text_ == "true"; }

  // The member of an object, or null.
  const Json& operator[](std::string_view key) const {
    static const Json nothing;
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] == key) return items_[i];
    }
    return nothing;
  }

  void Set(std::string_view key, Json value) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] != key) continue;
      items_[i] = std::move(value);
      return;
    }
    keys_.emplace_back(key);
    items_.push_back(std::move(value));
  }
  void Append(Json value) { items_.push_back(std::move(value)); }

  std::string Write() const {
    std::string out;
    WriteTo(out);
    return out;
  }

 private:
  static constexpr int kDepthMax = 64;

  struct Reader {
    std::string_view text;
    size_t at;

    void Space() {
      while (at < text.size() &&
             (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r')) {
        ++at;
      }
    }
    bool AtEnd() {
      Space();
      return at == text.size();
    }
    bool Take(char c) {
      Space();
      if (at >= text.size() || text[at] != c) return false;
      ++at;
      return true;
    }
    bool Word(std::string_view word) {
      if (text.substr(at, word.size()) != word) return false;
      at += word.size();
      return true;
    }

    bool Value(Json& out, int depth) {
      Space();
      if (at >= text.size() || depth > kDepthMax) return false;
      switch (text[at]) {
        case '{':
          return Members(out, depth);
        case '[':
          return Elements(out, depth);
        case '"':
          out.kind_ = Kind::kString;
          return Quoted(out.text_);
        case 't':
          out = Bool(true);
          return Word("true");
        case 'f':
          out = Bool(false);
          return Word("false");
        case 'n':
          out = Json();
          return Word("null");
        default:
          return Digits(out);
      }
    }
    bool Members(Json& out, int depth) {
      out.kind_ = Kind::kObject;
      ++at;
      if (Take('}')) return true;
      do {
        Space();
        std::string key;
        if (!Quoted(key) || !Take(':')) return false;
        Json member;
        if (!Value(member, depth + 1)) return false;
        out.keys_.push_back(std::move(key));
        out.items_.push_back(std::move(member));
      } while (Take(','));
      return Take('}');
    }
    bool Elements(Json& out, int depth) {
      out.kind_ = Kind::kArray;
      ++at;
      if (Take(']')) return true;
      do {
        Json element;
        if (!Value(element, depth + 1)) return false;
        out.items_.push_back(std::move(element));
      } while (Take(','));
      return Take(']');
    }
    bool Digits(Json& out) {
      const size_t begin = at;
      while (at < text.size() &&
             std::string_view("+-.eE0123456789").find(text[at]) != std::string_view::npos) {
        ++at;
      }
      out = Json(Kind::kNumber, std::string(text.substr(begin, at - begin)));
      return at > begin;
    }
    bool Quoted(std::string& out) {
      if (at >= text.size() || text[at] != '"') return false;
      for (++at; at < text.size(); ++at) {
        if (text[at] == '"') {
          ++at;
          return true;
        }
        if (text[at] != '\\') {
          out.push_back(text[at]);
        } else if (++at >= text.size() || !Escape(out)) {
          return false;
        }
      }
      return false;
    }
    bool Escape(std::string& out) {
      constexpr std::string_view kFrom = "\"\\/bfnrt";
      constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
      if (text[at] == 'u') return Unicode(out);
      const size_t index = kFrom.find(text[at]);
      if (index == std::string_view::npos) return false;
      out.push_back(kTo[index]);
      return true;
    }
    // Surrogate pairs are joined; the text becomes UTF-8.
    bool Unicode(std::string& out) {
      uint32_t code = 0;
      if (!Hex(code)) return false;
      if (code >= 0xD800 && code < 0xDC00 && text.substr(at + 1, 2) == "\\u") {
        at += 2;
        uint32_t low = 0;
        if (!Hex(low)) return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      if (code < 0x80) {
        out.push_back(static_cast<char>(code));
        return true;
      }
      const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      constexpr uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
      out.push_back(static_cast<char>(kLead[tail] | (code >> (6 * tail))));
      for (int i = tail - 1; i >= 0; --i) {
        out.push_back(static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F)));
      }
      return true;
    }
    // Four digits after the `u` at `at`; leaves `at` on the last.
    bool Hex(uint32_t& code) {
      if (at + 4 >= text.size()) return false;
      const std::string digits(text.substr(at + 1, 4));
      char* end = nullptr;
      code = static_cast<uint32_t>(std::strtoul(digits.c_str(), &end, 16));
      at += 4;
      return *end == '\0';
    }
  };

  Json(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  static void WriteString(std::string& out, std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    out.push_back('"');
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (byte < 0x20) {
        out += "\\u00";
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 15]);
      } else {
        out.push_back(c);
      }
    }
    out.push_back('"');
  }

  void WriteTo(std::string& out) const {
    switch (kind_) {
      case Kind::kNull:
        out += "null";
        return;
      case Kind::kBool:
      case Kind::kNumber:
        out += text_;
        return;
      case Kind::kString:
        WriteString(out, text_);
        return;
      case Kind::kArray:
      case Kind::kObject:
        break;
    }
    out.push_back(kind_ == Kind::kArray ? '[' : '{');
    for (size_t i = 0; i < items_.size(); ++i) {
      if (i > 0) out.push_back(',');
      if (kind_ == Kind::kObject) {
        WriteString(out, keys_[i]);
        out.push_back(':');
      }
      items_[i].WriteTo(out);
    }
    out.push_back(kind_ == Kind::kArray ? ']' : '}');
  }

  Kind kind_ = Kind::kNull;
  std::string text_;
  std::vector<std::string> keys_;
  std::vector<Json> items_;
};

}  // namespace tepal_plugin
