// Bytes that were read and not yet understood.
//
// Usually there are none: a read goes into the owner's scratch memory and is parsed where it lies.
// What is left of it is kept here, and the next read continues behind it.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "core/base/check.h"

namespace tepal::http {

class InputBuffer {
 public:
  bool empty() const { return size_ == 0; }
  std::string_view kept() const { return {Chars(kept_.get()), size_}; }

  // Where the next read should go.
  std::span<std::byte> Room(std::span<std::byte> scratch) {
    if (size_ == 0) return room_ = scratch;
    if (capacity_ - size_ < kRoomMin) Grow(std::max(2 * capacity_, size_ + kRoomMin));
    return room_ = {kept_.get() + size_, capacity_ - size_};
  }

  // Everything not understood, once `bytes` came into the last room.
  std::string_view Filled(size_t bytes) {
    TEPAL_CHECK(bytes <= room_.size());
    if (size_ == 0) return {Chars(room_.data()), bytes};
    size_ += bytes;
    return kept();
  }

  // `rest` is the end of what Filled or kept gave.
  void Keep(std::string_view rest) {
    if (rest.empty()) {
      size_ = 0;
      if (capacity_ > kCapacityKept) {
        kept_.reset();
        capacity_ = 0;
      }
      return;
    }
    if (capacity_ < rest.size()) {
      size_ = 0;
      Grow(rest.size() + kRoomMin);
    }
    std::memmove(kept_.get(), rest.data(), rest.size());
    size_ = rest.size();
  }

 private:
  static constexpr size_t kRoomMin = 4096;
  static constexpr size_t kCapacityKept = 8192;

  static const char* Chars(const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); }

  void Grow(size_t capacity) {
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(larger.get(), kept_.get(), size_);
    kept_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<std::byte[]> kept_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  std::span<std::byte> room_;
};

}  // namespace tepal::http
