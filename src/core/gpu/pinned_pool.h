// Pinned memory for request bodies and results, kept for reuse.
//
// Pinning costs too much to do it for each request, so blocks of some sizes are kept. Pins
// nothing until the GPUs are in use: only a server that has a model on one needs it. What the pool
// cannot give (too small, too large, over its limit, no GPU) is ordinary memory: nobody is refused.
// Thread-safe. Blocks in use when the pool is destroyed stay good.

#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/base/guarded.h"
#include "core/buffer/slab_source.h"
#include "core/gpu/gpus.h"

namespace tepal::gpu {

class PinnedPool final : public SlabSource {
 public:
  // Below, a copy on the CPU costs less than a copy of its own to the GPU.
  static constexpr size_t kBlockMin = size_t{64} << 10;
  // 64 KiB, 80, 96, 112, 128, 160, … 64 MiB: at most a fifth of a block is idle.
  static constexpr size_t kSizes = 41;

  // `gpus` outlives this and every buffer of it.
  PinnedPool(Gpus& gpus, uint64_t bytes_max);
  ~PinnedPool() override;

  // `size` bytes, of a pinned block where there is one.
  Buffer Allocate(size_t size);
  // Empty where there is none.
  Buffer TryAllocate(size_t size, Budget* budget) override;

  uint64_t pinned_bytes() const;  // Held: in use and spare.
  uint64_t used_bytes() const;
  uint64_t bytes_max() const;

 private:
  struct Blocks;
  const std::shared_ptr<Blocks> blocks_;  // Outlives this while buffers are about.
};

}  // namespace tepal::gpu
