#include "core/buffer/buffer.h"

#include <cstdlib>

namespace tepal {

Slab* Slab::Allocate(size_t capacity, Budget* budget) {
  const size_t header = (sizeof(Slab) + kSlabAlignment - 1) / kSlabAlignment * kSlabAlignment;
  const size_t body =
      (capacity + kSlabPadding + kSlabAlignment - 1) / kSlabAlignment * kSlabAlignment;
  void* block = std::aligned_alloc(kSlabAlignment, header + body);
  TEPAL_CHECK(block != nullptr);
  return new (block)
      Slab(static_cast<std::byte*>(block) + header, capacity, nullptr, MemoryPlace(), budget);
}

Slab* Slab::Adopt(std::byte* data, size_t capacity, Release release, MemoryPlace place,
                  Budget* budget) {
  void* block = std::aligned_alloc(
      kSlabAlignment, (sizeof(Slab) + kSlabAlignment - 1) / kSlabAlignment * kSlabAlignment);
  TEPAL_CHECK(block != nullptr);
  return new (block) Slab(data, capacity, std::move(release), place, budget);
}

void Slab::Destroy() {
  if (release_) release_(data_);
  if (budget_ != nullptr) budget_->Give(capacity_);
  this->~Slab();
  std::free(this);
}

size_t Buffer::readable_padding() const {
  if (slab_ == nullptr) return 0;
  const std::byte* slab_end = slab_->data() + slab_->capacity() + kSlabPadding;
  const auto after = static_cast<size_t>(slab_end - (data_ + size_));
  return slab_->padded() ? after : after - kSlabPadding;
}

size_t TotalSize(const BufferList& buffers) {
  size_t total = 0;
  for (const Buffer& buffer : buffers) total += buffer.size();
  return total;
}

Buffer Flatten(const BufferList& buffers) {
  if (buffers.empty()) return {};
  if (buffers.size() == 1) return buffers.front();
  Buffer whole = Buffer::Allocate(TotalSize(buffers));
  size_t at = 0;
  for (const Buffer& buffer : buffers) {
    if (!buffer.empty()) std::memcpy(whole.data() + at, buffer.data(), buffer.size());
    at += buffer.size();
  }
  return whole;
}

Result<Buffer> HostCopy(const Buffer& buffer) {
  if (!buffer.on_gpu()) return buffer;
  Buffer copy = Buffer::Allocate(buffer.size());
  RETURN_IF_ERROR(buffer.place().gpu->CopyToHost(buffer.data(), copy.data(), buffer.size()));
  return copy;
}

}  // namespace tepal
