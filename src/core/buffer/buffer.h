// Bytes that several owners share, and the slabs they lie in.
//
// A Slab is one block, aligned to 64 bytes, with a reference count that any thread may touch. A
// Buffer is a view into a slab that keeps it alive; copying one copies no bytes. Whoever fills a
// slab does so before sharing it: once a Buffer has a second owner its bytes are not written again.
// A slab may lie on a GPU: then only its DeviceMemory may touch the bytes (see memory.h).

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/function.h"
#include "core/base/result.h"
#include "core/buffer/budget.h"
#include "core/buffer/memory.h"

namespace tepal {

// Parsers that read ahead (simdjson) may touch this many bytes past a slab's capacity.
inline constexpr size_t kSlabPadding = 64;
inline constexpr size_t kSlabAlignment = 64;

class Slab {
 public:
  // Runs when the last owner lets go; receives the bytes.
  using Release = Function<void(std::byte*)>;

  // A fresh block; the bytes are not initialised. Never null: out of memory ends the program.
  // `budget` gets the capacity, which was taken from it, back in the end.
  static Slab* Allocate(size_t capacity, Budget* budget = nullptr);

  // Bytes that somebody else allocated; `release` gives them back. No padding is promised.
  static Slab* Adopt(std::byte* data, size_t capacity, Release release, MemoryPlace place = {},
                     Budget* budget = nullptr);

  std::byte* data() { return data_; }
  size_t capacity() const { return capacity_; }
  const MemoryPlace& place() const { return place_; }

  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) Destroy();
  }
  // Whether kSlabPadding readable bytes follow: true for our own blocks.
  bool padded() const { return !release_; }
  bool shared() const { return references_.load(std::memory_order_acquire) > 1; }

 private:
  Slab(std::byte* data, size_t capacity, Release release, MemoryPlace place, Budget* budget)
      : data_(data),
        capacity_(capacity),
        release_(std::move(release)),
        place_(place),
        budget_(budget) {}
  ~Slab() = default;
  void Destroy();

  std::atomic<int32_t> references_{1};
  std::byte* data_;
  size_t capacity_;
  Release release_;
  MemoryPlace place_;
  Budget* budget_;
};

class Buffer {
 public:
  Buffer() = default;

  // A fresh slab of `size` bytes, all of them in view.
  static Buffer Allocate(size_t size) {
    Slab* slab = Slab::Allocate(size);
    return Buffer(slab, slab->data(), size);
  }
  // The same out of a budget. Empty when it does not fit under the limit now.
  static Buffer TryAllocate(size_t size, Budget& budget) {
    return budget.TryTake(size) ? AllocateTaken(size, budget) : Buffer();
  }
  // `size` was taken from the budget.
  static Buffer AllocateTaken(size_t size, Budget& budget) {
    Slab* slab = Slab::Allocate(size, &budget);
    return Buffer(slab, slab->data(), size);
  }
  static Buffer Copy(std::string_view bytes) {
    Buffer buffer = Allocate(bytes.size());
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    return buffer;
  }
  // A view of bytes that outlive every owner: string literals, mapped regions.
  static Buffer Static(std::string_view bytes) {
    return Buffer(nullptr, reinterpret_cast<std::byte*>(const_cast<char*>(bytes.data())),
                  bytes.size());
  }
  static Buffer Adopt(std::byte* data, size_t size, Slab::Release release, MemoryPlace place = {},
                      Budget* budget = nullptr) {
    return Buffer(Slab::Adopt(data, size, std::move(release), place, budget), data, size);
  }

  Buffer(const Buffer& other) : slab_(other.slab_), data_(other.data_), size_(other.size_) {
    if (slab_ != nullptr) slab_->Ref();
  }
  Buffer(Buffer&& other) noexcept
      : slab_(std::exchange(other.slab_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(slab_, other.slab_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (slab_ != nullptr) slab_->Unref();
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Where the bytes lie; data() of what is on a GPU is an address there.
  MemoryPlace place() const { return slab_ == nullptr ? MemoryPlace() : slab_->place(); }
  bool on_gpu() const { return place().kind == MemoryKind::kGpu; }

  // The part [offset, offset + size) of this view, on the same slab. Checked.
  Buffer Slice(size_t offset, size_t size) const {
    TEPAL_CHECK(offset <= size_ && size <= size_ - offset);
    Buffer part = *this;
    part.data_ += offset;
    part.size_ = size;
    return part;
  }
  void RemovePrefix(size_t size) {
    TEPAL_CHECK(size <= size_);
    data_ += size;
    size_ -= size;
  }
  void Truncate(size_t size) {
    TEPAL_CHECK(size <= size_);
    size_ = size;
  }

  // How many bytes after the view may be read without leaving the slab (see kSlabPadding).
  size_t readable_padding() const;

 private:
  Buffer(Slab* slab, std::byte* data, size_t size) : slab_(slab), data_(data), size_(size) {}

  Slab* slab_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Buffers one after the other, seen as one run of bytes.
using BufferList = std::vector<Buffer>;

size_t TotalSize(const BufferList& buffers);

// All of them in one buffer; copies only when there is more than one. None of them on a GPU.
Buffer Flatten(const BufferList& buffers);

// The bytes in the memory of the CPU: the buffer itself unless it lies on a GPU.
Result<Buffer> HostCopy(const Buffer& buffer);

}  // namespace tepal
