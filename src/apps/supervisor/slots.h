// What each replica owns: a MIG device, a whole GPU, or a share of this machine's CPUs, held by a
// quota where the system has one to give, so that two replicas really do twice the work of one.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/supervisor/config.h"
#include "core/base/result.h"
#include "core/env/cpu_groups.h"
#include "partitioning/mig/driver.h"

namespace tepal::supervisor {

// Of the machine's CPUs, when the file does not say how large a slot is. The rest is for the
// balancer, for clients on the same machine and for the kernel: a quota that the machine cannot
// give to every slot at once is no quota, and replicas get unequal parts of what is left.
inline constexpr double kSlotsShare = 0.5;

struct Slot {
  std::string id = {};      // The same as long as what it stands for is there; a UUID on a GPU.
  std::string name = {};    // "cpu 3", "GPU 0 1g.5gb at 3", "GPU 1".
  std::string cgroup = {};  // Empty: no quota.
  std::string device = {};  // For CUDA_VISIBLE_DEVICES: "MIG-…" or "GPU-…"; empty: not on a GPU.
  int gpu = -1;             // The driver's index.
  // Of a MIG device: where its instance lies, at -1 when nobody says.
  std::shared_ptr<const mig::GpuModel> model = nullptr;
  mig::Placement placement = {};
};

struct SlotPlan {
  std::vector<Slot> slots;
  double cores = 0;  // Of one slot; on GPUs 0.
  bool enforced = false;
  std::string description;  // One line for people; why there is no quota when there is none.
};

// `groups`: the way to quotas, or why there is none; it outlives the processes of the slots.
// kFailedPrecondition when quotas are required and cannot be had.
Result<SlotPlan> PlanSlots(const SlotsConfig& config, int machine_cores,
                           const Result<std::unique_ptr<env::CpuGroups>>& groups);

struct GpuSlots {
  std::vector<Slot> slots;         // By GPU, then by where they lie.
  std::vector<std::string> notes;  // For people: which GPUs have none, why, and what would help.
};

// Of the GPUs that are there, those that the file asks for: MIG devices where MIG is on, the whole
// GPU where it is off.
GpuSlots SlotsOf(std::span<const mig::Gpu> gpus, const SlotsConfig& config);

// kInvalidArgument: the file names a GPU that is not there, or a profile that none of them has.
Status CheckSlots(std::span<const mig::Gpu> gpus, const SlotsConfig& config);

// "56 slots on 8 GPUs: 56 x 1g.5gb", "8 slots on 2 GPUs: 1 x whole GPU, 7 x 1g.5gb".
std::string Describe(const GpuSlots& found);

}  // namespace tepal::supervisor
