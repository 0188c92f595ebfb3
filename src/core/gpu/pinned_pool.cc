#include "core/gpu/pinned_pool.h"

#include <bit>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::gpu {

struct PinnedPool::Blocks {
  struct State {
    std::array<std::vector<Buffer>, kSizes> spare;
    uint64_t pinned_bytes = 0;
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
        locked.pinned_bytes -= kBlockMin << other;
      }
    }
    return size <= bytes_max - locked.pinned_bytes;
  }

  // An empty buffer when there is none to have.
  Buffer Take(size_t index) {
    const size_t size = kBlockMin << index;
    std::vector<Buffer> given_up;  // Freed once the lock is free again.
    {
      auto locked = state.Lock();
      std::vector<Buffer>& spare = locked->spare[index];
      if (!spare.empty()) {
        Buffer block = std::move(spare.back());
        spare.pop_back();
        return block;
      }
      if (locked->refused || !MakeRoom(size, *locked, given_up)) return {};
      locked->pinned_bytes += size;
    }
    Result<Buffer> fresh = gpus.AllocatePinned(size);
    if (fresh.ok()) return std::move(fresh).value();
    auto locked = state.Lock();
    locked->pinned_bytes -= size;
    if (!std::exchange(locked->refused, true)) telemetry::LogWarning(fresh.status().message());
    return {};
  }

  void Give(size_t index, Buffer block) { state.Lock()->spare[index].push_back(std::move(block)); }
};

PinnedPool::PinnedPool(Gpus& gpus, uint64_t bytes_max)
    : blocks_(std::make_shared<Blocks>(gpus, bytes_max)) {}
PinnedPool::~PinnedPool() = default;

Buffer PinnedPool::Allocate(size_t size) {
  Buffer pinned = TryAllocate(size);
  return pinned.empty() ? Buffer::Allocate(size) : pinned;
}

Buffer PinnedPool::TryAllocate(size_t size) {
  // Room for what parsers read ahead.
  const size_t needed = size + kSlabPadding;
  if (!blocks_->gpus.in_use() || size < kBlockMin || needed > kBlockMin << (kSizes - 1)) {
    return {};
  }
  const auto index = static_cast<size_t>(std::bit_width((needed - 1) / kBlockMin));
  Buffer block = blocks_->Take(index);
  if (block.empty()) return {};
  std::byte* data = block.data();
  return Buffer::Adopt(data, size,
                       [blocks = blocks_, index, block = std::move(block)](std::byte*) mutable {
                         blocks->Give(index, std::move(block));
                       },
                       {MemoryKind::kCpuPinned, nullptr});
}

uint64_t PinnedPool::pinned_bytes() const { return blocks_->state.Lock()->pinned_bytes; }

}  // namespace tepal::gpu
