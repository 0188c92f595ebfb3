// Text or bytes of unknown length, written once into a slab that is then sent as it is.

#pragma once

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "core/buffer/buffer.h"

namespace tepal::kserve {

class ByteWriter {
 public:
  explicit ByteWriter(size_t expected) : buffer_(Buffer::Allocate(expected)) {}

  // Room for `size` more bytes; Commit says how many were used.
  char* Room(size_t size) {
    if (buffer_.size() - used_ < size) Grow(size);
    return reinterpret_cast<char*>(buffer_.data()) + used_;
  }
  void Commit(size_t size) { used_ += size; }

  void Append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(Room(text.size()), text.data(), text.size());
    used_ += text.size();
  }
  void Append(char c) {
    *Room(1) = c;
    ++used_;
  }
  template <typename Integer>
  void AppendInteger(Integer value) {
    constexpr size_t kDigitsMax = 24;
    char* room = Room(kDigitsMax);
    used_ += static_cast<size_t>(std::to_chars(room, room + kDigitsMax, value).ptr - room);
  }
  // A JSON string with its quotes; bytes that are not UTF-8 pass as they are.
  void AppendString(std::string_view text);

  size_t size() const { return used_; }

  Buffer Take() {
    buffer_.Truncate(used_);
    used_ = 0;
    return std::move(buffer_);
  }

 private:
  void Grow(size_t size);

  Buffer buffer_;
  size_t used_ = 0;
};

}  // namespace tepal::kserve
