#include "serving/client/shared_slots.h"

#include <cstring>
#include <utility>

namespace tepal::client {

Result<std::unique_ptr<SharedSlots>> SharedSlots::New(env::SharedMemoryFiles& files,
                                                      const std::string& name, uint64_t slot_bytes,
                                                      size_t slots) {
  SharedRegion region{name, "/" + name, 0, slot_bytes * slots};
  ASSIGN_OR_RETURN(auto mapping, files.Create(region.key, region.size));
  return std::unique_ptr<SharedSlots>(
      new SharedSlots(std::move(region), std::move(mapping), slot_bytes, slots));
}

SharedSlots::SharedSlots(SharedRegion region, std::unique_ptr<env::SharedMapping> mapping,
                         uint64_t slot_bytes, size_t slots)
    : region_(std::move(region)), mapping_(std::move(mapping)), slot_bytes_(slot_bytes) {
  for (size_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
}

size_t SharedSlots::Place(InferInput& input) {
  TEPAL_CHECK(!free_.empty() && input.data.size() <= slot_bytes_);
  const size_t slot = free_.back();
  free_.pop_back();
  const uint64_t offset = slot * slot_bytes_;
  std::memcpy(mapping_->bytes().data() + offset, input.data.data(), input.data.size());
  input.shared = RegionPart{region_.name, offset, input.data.size()};
  input.data = Buffer();
  return slot;
}

}  // namespace tepal::client
