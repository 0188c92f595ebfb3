// The fields of a protobuf message, one after the other, without knowing its type; and the writing
// of such fields. Views of the message; allocates only what is written.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tepal {

class ProtoFields {
 public:
  enum class Kind { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  explicit ProtoFields(std::string_view message) : rest_(message) {}

  // False at the end, and where the bytes are cut off or make no sense.
  bool Next() {
    const auto key = Varint();
    if (!key.has_value()) return false;
    number = *key >> 3;
    value = 0;
    bytes = {};
    kind = static_cast<Kind>(*key & 7);
    switch (*key & 7) {
      case 0:
        if (const auto read = Varint()) return value = *read, true;
        return false;
      case 1:
        return Take(8);
      case 2: {
        const auto size = Varint();
        return size.has_value() && Take(*size);
      }
      case 5:
        return Take(4);
      default:
        return false;
    }
  }

  uint64_t number = 0;
  Kind kind = Kind::kVarint;
  uint64_t value = 0;      // Of a varint.
  std::string_view bytes;  // Of anything else.

 private:
  std::optional<uint64_t> Varint() {
    uint64_t read = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      read |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return read;
    }
    return std::nullopt;
  }
  bool Take(uint64_t size) {
    if (size > rest_.size()) return false;
    bytes = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(static_cast<size_t>(size));
    return true;
  }

  std::string_view rest_;
};

inline void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  out.push_back(static_cast<char>(value));
}
inline void AppendVarintField(std::string& out, uint64_t number, uint64_t value) {
  AppendVarint(out, number << 3);
  AppendVarint(out, value);
}
inline void AppendBytesField(std::string& out, uint64_t number, std::string_view bytes) {
  AppendVarint(out, number << 3 | 2);
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

}  // namespace tepal
