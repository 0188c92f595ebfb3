#include "apps/supervisor/slot_table.h"

#include <algorithm>

namespace tepal::supervisor {

SlotTable::Changes SlotTable::Update(std::span<const Slot> found,
                                     Function<bool(int slot)> is_free) {
  Changes changes;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const auto same = [&](const Slot& slot) { return slot.id == entries_[i].slot.id; };
    if (!entries_[i].present || std::any_of(found.begin(), found.end(), same)) continue;
    entries_[i].present = false;
    changes.gone.push_back(static_cast<int>(i));
  }
  for (const Slot& slot : found) {
    const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.present && entry.slot.id == slot.id;
    });
    if (known != entries_.end()) continue;
    auto home = entries_.begin();
    while (home != entries_.end() &&
           (home->present || !is_free(static_cast<int>(home - entries_.begin())))) {
      ++home;
    }
    if (home == entries_.end()) {
      ++changes.unplaced;
      continue;
    }
    *home = {slot, true};
    changes.added.push_back(static_cast<int>(home - entries_.begin()));
  }
  return changes;
}

}  // namespace tepal::supervisor
