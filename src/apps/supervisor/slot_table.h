// Which device has which slot number.
//
// Devices come and go: a MIG device gets a new UUID each time one is created, so after another
// partitioning or a reboot the old ones have gone and there are new ones. A device that stays keeps
// its slot; a new one gets a number that no device has and no process is left in, when there is
// one. A plain state machine; owned by one thread.

#pragma once

#include <span>
#include <vector>

#include "apps/supervisor/slots.h"
#include "core/base/function.h"

namespace tepal::supervisor {

class SlotTable {
 public:
  struct Changes {
    std::vector<int> gone;   // Slots whose device is not there any more.
    std::vector<int> added;  // Slots that have one from now on.
    int unplaced = 0;        // Devices without a number: all are taken.
  };

  explicit SlotTable(size_t capacity) : entries_(capacity) {}

  // What is there now, in the order in which numbers are given. `is_free`: whether a slot without a
  // device has no process left.
  Changes Update(std::span<const Slot> found, Function<bool(int slot)> is_free);

  // Of a slot whose device has gone: the last one.
  const Slot& operator[](size_t slot) const { return entries_[slot].slot; }
  bool present(size_t slot) const { return entries_[slot].present; }
  size_t capacity() const { return entries_.size(); }

 private:
  struct Entry {
    Slot slot;
    bool present = false;
  };
  std::vector<Entry> entries_;
};

}  // namespace tepal::supervisor
