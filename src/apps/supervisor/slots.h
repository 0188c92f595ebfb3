// What each replica owns. Here: a share of this machine's CPUs, held by a quota where the system
// has one to give, so that two replicas really do twice the work of one.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/supervisor/config.h"
#include "core/base/result.h"
#include "core/env/cpu_groups.h"

namespace tepal::supervisor {

// Of the machine's CPUs, when the file does not say how large a slot is. The rest is for the
// balancer and for clients on the same machine.
inline constexpr double kSlotsShare = 0.7;

struct Slot {
  std::string name;    // "cpu 3".
  std::string cgroup;  // Empty: no quota.
};

struct SlotPlan {
  std::vector<Slot> slots;
  double cores = 0;  // Of one slot.
  bool enforced = false;
  std::string description;  // One line for people; why there is no quota when there is none.
};

// `groups`: the way to quotas, or why there is none; it outlives the processes of the slots.
// kFailedPrecondition when quotas are required and cannot be had.
Result<SlotPlan> PlanSlots(const SlotsConfig& config, int machine_cores,
                           const Result<std::unique_ptr<env::CpuGroups>>& groups);

}  // namespace tepal::supervisor
