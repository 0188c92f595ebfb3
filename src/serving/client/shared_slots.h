// One region of shared memory cut into slots of one size, each for a tensor of a request in flight.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/env/shared_memory_files.h"
#include "serving/client/infer_call.h"

namespace tepal::client {

// Owned by one thread. Telling the server of the region is the caller's.
class SharedSlots {
 public:
  // A new object that must not exist, removed with this.
  static Result<std::unique_ptr<SharedSlots>> New(env::SharedMemoryFiles& files,
                                                  const std::string& name, uint64_t slot_bytes,
                                                  size_t slots);

  const SharedRegion& region() const { return region_; }

  // Moves the input's data into a free slot, which the result names. There must be one: callers
  // have no more requests in flight than slots.
  size_t Place(InferInput& input);
  void Free(size_t slot) { free_.push_back(slot); }

 private:
  SharedSlots(SharedRegion region, std::unique_ptr<env::SharedMapping> mapping, uint64_t slot_bytes,
              size_t slots);

  const SharedRegion region_;
  const std::unique_ptr<env::SharedMapping> mapping_;
  const uint64_t slot_bytes_;
  std::vector<size_t> free_;
};

}  // namespace tepal::client
