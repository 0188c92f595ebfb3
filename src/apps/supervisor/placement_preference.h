// Where replicas start and stop on GPUs: the largest slots are taken first and left last, and among
// slots of one size those go whose leaving keeps room for large instances (partitioning/mig/
// victims.h), and those come that cost least of it. Slots of CPU, and MIG devices of which nobody
// knows where they lie, are taken in order and left by the newest.

#pragma once

#include "apps/supervisor/replica_set.h"
#include "apps/supervisor/slot_table.h"

namespace tepal::supervisor {

class PlacementPreference final : public SlotPreference {
 public:
  // `table` outlives this.
  explicit PlacementPreference(const SlotTable& table) : table_(table) {}

  std::vector<int> ChooseToLeave(std::span<const int> ready, size_t count) override;
  int ChooseToTake(std::span<const int> free, std::span<const int> taken) override;

 private:
  const SlotTable& table_;
};

}  // namespace tepal::supervisor
