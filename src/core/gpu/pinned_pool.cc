#include "core/gpu/pinned_pool.h"

#include <bit>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::gpu {

namespace {

constexpr int kSteps = 4;  // Between a size and its double.

constexpr size_t SizeOf(size_t index) {
  return (PinnedPool::kBlockMin / kSteps * (kSteps + index % kSteps)) << index / kSteps;
}

// The smallest size of at least `needed` bytes, which are no less than the first.
size_t IndexFor(size_t needed) {
  const auto doubled = static_cast<size_t>(std::bit_width(needed / PinnedPool::kBlockMin)) - 1;
  size_t index = doubled * kSteps;
  while (SizeOf(index) < needed) ++index;
  return index;
}

}  // namespace

struct PinnedPool::Blocks {
  struct State {
    std::array<std::vector<Buffer>, kSizes> spare;
    uint64_t pinned_bytes = 0;
    uint64_t used_bytes = 0;
    bool refused = false;  // The driver gave no more: not asked again.
  };

  Blocks(Gpus& the_gpus, uint64_t the_bytes_max) : gpus(the_gpus), bytes_max(the_bytes_max) {}

  Gpus& gpus;
  const uint64_t bytes_max;
  Guarded<State> state;

  // Whether `size` bytes more fit under the limit, once spare blocks of other sizes have been given
  // up: what large requests left must not keep small ones from the pool.
  bool MakeRoom(size_t size, State& locked, std::vector<Buffer>& given_up) const {
    for (size_t other = kSizes; other-- > 0 && size > bytes_max - locked.pinned_bytes;) {
      std::vector<Buffer>& spare = locked.spare[other];
      while (!spare.empty() && size > bytes_max - locked.pinned_bytes) {
        given_up.push_back(std::move(spare.back()));
        spare.pop_back();
        locked.pinned_bytes -= SizeOf(other);
      }
    }
    return size <= bytes_max - locked.pinned_bytes;
  }

  // An empty buffer when there is none to have.
  Buffer Take(size_t index) {
    const size_t size = SizeOf(index);
    std::vector<Buffer> given_up;  // Freed once the lock is free again.
    {
      auto locked = state.Lock();
      std::vector<Buffer>& spare = locked->spare[index];
      if (!spare.empty()) {
        Buffer block = std::move(spare.back());
        spare.pop_back();
        locked->used_bytes += size;
        return block;
      }
      if (locked->refused || !MakeRoom(size, *locked, given_up)) return {};
      locked->pinned_bytes += size;
      locked->used_bytes += size;
    }
    Result<Buffer> fresh = gpus.AllocatePinned(size);
    if (fresh.ok()) return std::move(fresh).value();
    auto locked = state.Lock();
    locked->pinned_bytes -= size;
    locked->used_bytes -= size;
    if (!std::exchange(locked->refused, true)) telemetry::LogWarning(fresh.status().message());
    return {};
  }

  void Give(size_t index, Buffer block) {
    auto locked = state.Lock();
    locked->used_bytes -= SizeOf(index);
    locked->spare[index].push_back(std::move(block));
  }
};

PinnedPool::PinnedPool(Gpus& gpus, uint64_t bytes_max)
    : blocks_(std::make_shared<Blocks>(gpus, bytes_max)) {}
PinnedPool::~PinnedPool() = default;

Buffer PinnedPool::Allocate(size_t size) {
  Buffer pinned = TryAllocate(size, nullptr);
  return pinned.empty() ? Buffer::Allocate(size) : pinned;
}

Buffer PinnedPool::TryAllocate(size_t size, Budget* budget) {
  // Room for what parsers read ahead.
  const size_t needed = size + kSlabPadding;
  if (!blocks_->gpus.in_use() || size < kBlockMin || needed > SizeOf(kSizes - 1)) {
    return {};
  }
  const size_t index = IndexFor(needed);
  Buffer block = blocks_->Take(index);
  if (block.empty()) return {};
  std::byte* data = block.data();
  return Buffer::Adopt(
      data, size,
      [blocks = blocks_, index, block = std::move(block)](std::byte*) mutable {
        blocks->Give(index, std::move(block));
      },
      {MemoryKind::kCpuPinned, nullptr}, budget);
}

uint64_t PinnedPool::pinned_bytes() const { return blocks_->state.Lock()->pinned_bytes; }
uint64_t PinnedPool::used_bytes() const { return blocks_->state.Lock()->used_bytes; }
uint64_t PinnedPool::bytes_max() const { return blocks_->bytes_max; }

}  // namespace tepal::gpu
