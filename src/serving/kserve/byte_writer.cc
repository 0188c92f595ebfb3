#include "serving/kserve/byte_writer.h"

#include <algorithm>

namespace tepal::kserve {

void ByteWriter::Grow(size_t size) {
  Buffer larger = Buffer::Allocate(std::max(buffer_.size() * 2, used_ + size));
  if (used_ != 0) std::memcpy(larger.data(), buffer_.data(), used_);
  buffer_ = std::move(larger);
}

void ByteWriter::AppendString(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  constexpr size_t kEscapeMax = 6;
  Append('"');
  size_t plain = 0;  // Where the run of characters that need no escape begins.
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    Append(text.substr(plain, i - plain));
    plain = i + 1;
    char* room = Room(kEscapeMax);
    room[0] = '\\';
    size_t length = 2;
    switch (c) {
      case '"':
      case '\\':
        room[1] = static_cast<char>(c);
        break;
      case '\b':
        room[1] = 'b';
        break;
      case '\f':
        room[1] = 'f';
        break;
      case '\n':
        room[1] = 'n';
        break;
      case '\r':
        room[1] = 'r';
        break;
      case '\t':
        room[1] = 't';
        break;
      default:
        std::memcpy(room + 1, "u00", 3);
        room[4] = kHex[c >> 4];
        room[5] = kHex[c & 15];
        length = kEscapeMax;
    }
    Commit(length);
  }
  Append(text.substr(plain));
  Append('"');
}

}  // namespace tepal::kserve
