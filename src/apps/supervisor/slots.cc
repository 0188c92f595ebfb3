#include "apps/supervisor/slots.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/text.h"

namespace tepal::supervisor {
namespace {

std::string Cores(double cores) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.2g", cores);
  return digits;
}

Status MakeGroups(SlotPlan& plan, env::CpuGroups& groups) {
  for (size_t i = 0; i < plan.slots.size(); ++i) {
    ASSIGN_OR_RETURN(plan.slots[i].cgroup, groups.Create(Concat("slot-", i), plan.cores));
  }
  return {};
}

}  // namespace

Result<SlotPlan> PlanSlots(const SlotsConfig& config, int machine_cores,
                           const Result<std::unique_ptr<env::CpuGroups>>& groups) {
  SlotPlan plan;
  const int count = config.count > 0 ? config.count : std::min(machine_cores, kSlotsMax);
  plan.cores = config.cores > 0 ? config.cores : kSlotsShare * machine_cores / count;
  for (int i = 0; i < count; ++i) {
    const std::string name = Concat("cpu ", i);
    plan.slots.push_back({.id = name, .name = name});
  }

  Status why_not;
  if (config.quota == QuotaMode::kOff) {
    why_not = FailedPrecondition("slots.quota is off");
  } else if (!groups.ok()) {
    why_not = groups.status();
  } else {
    why_not = MakeGroups(plan, **groups);
  }
  plan.enforced = why_not.ok();
  if (!plan.enforced) {
    if (config.quota == QuotaMode::kRequired) {
      return FailedPrecondition(
          Concat("slots.quota is required, and there is none: ", why_not.message()));
    }
    for (Slot& slot : plan.slots) slot.cgroup.clear();
  }
  plan.description = Concat(count, count == 1 ? " slot" : " slots", " of ", Cores(plan.cores),
                            " CPU on ", machine_cores, " CPUs, ");
  plan.description += plan.enforced
                          ? Concat("enforced by ", (*groups)->Describe())
                          : Concat("NOT enforced (", why_not.message(),
                                   "): replicas share the CPUs, and more of them add little");
  return plan;
}

}  // namespace tepal::supervisor
