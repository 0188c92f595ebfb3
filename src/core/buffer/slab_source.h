// Memory of a kind that is scarce, for those who can do without it: pinned memory for what a GPU
// will copy.

#pragma once

#include "core/buffer/buffer.h"

namespace tepal {

// Thread-safe.
class SlabSource {
 public:
  virtual ~SlabSource() = default;

  // Empty where ordinary memory is to be taken. `size` bytes were taken from `budget`, unless that
  // is null: they go back with the last view of the buffer, and stay taken when it is empty.
  virtual Buffer TryAllocate(size_t size, Budget* budget) = 0;
};

}  // namespace tepal
