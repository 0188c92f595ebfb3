// The way from the instances that one GPU has to those that are wanted.
//
// The plan destroys as few instances as can be, never one that is in use, and says where each new
// one goes; MIG mode is switched, and the GPU reset, only where the wanted state has no other way.
// When there is no such way the plan says what stands in it: the fewest instances whose users would
// have to stop. It plans for one GPU: GPUs do not touch each other. It changes nothing: carrying
// the steps out, and looking again when one fails, is for whoever has a driver.
//
// An instance counts as the wanted one when profile and compute instances are the same, wherever it
// lies (unless the start is wanted too); one without compute instances gets them. Exact: every
// choice of instances to keep is tried (at most 2^8), and of the layouts that are left the one with
// the most Room. Pure; any thread.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/layout.h"

namespace tepal::mig {

// A GPU instance that is there.
struct Instance {
  int id = 0;  // NVML's, unique on its GPU.
  Placement placement = {};
  std::vector<int> compute = {};  // Slices of each compute instance, in any order.
  bool in_use = false;            // A process runs in it, or somebody holds it.
};

struct GpuState {
  const GpuModel* model = nullptr;
  bool mig_enabled = false;
  bool mig_pending = false;  // The mode after the next reset.
  bool in_use = false;       // A process runs on the GPU outside of any instance.
  std::vector<Instance> instances = {};
};

// A GPU instance that shall be there.
struct WantedInstance {
  const Profile* profile = nullptr;
  std::vector<int> compute = {};  // Empty: one with all slices.
  int start = -1;                 // Where it shall lie; -1: anywhere. All of a GPU say so or none.
};

struct WantedGpu {
  bool mig_enabled = false;
  std::vector<WantedInstance> instances = {};  // None unless enabled.
};

struct Step {
  enum class Kind {
    kDestroy,     // Instance `id`, its compute instances first.
    kSetMode,     // To `mig_enabled`. Ends every process on the GPU where `resets`.
    kReset,       // A mode is pending already.
    kCreate,      // `placement`, then its compute instances.
    kAddCompute,  // The compute instances that instance `id` lacks.
  };
  Kind kind = Kind::kReset;
  int id = -1;
  bool mig_enabled = false;
  bool resets = false;
  Placement placement = {};
  std::vector<int> compute = {};
};

struct Plan {
  std::vector<Step> steps;      // In this order. Empty when all is as wanted, or blocked.
  std::vector<int> kept;        // Ids of the instances that stay, ascending.
  std::vector<int> blocked_by;  // Ids of the instances in use that would have to go, ascending.
  bool gpu_in_use = false;      // Blocked by processes on the GPU outside of any instance.
  std::string reason;           // For a person, when blocked.

  bool blocked() const { return gpu_in_use || !blocked_by.empty(); }
};

// kInvalidArgument: what is wanted does not fit on an empty GPU of the model, or is no use of it.
Result<Plan> MakePlan(const GpuState& now, const WantedGpu& wanted);

// One line: "create 3g.20gb at 4".
std::string ToString(const Step& step);

}  // namespace tepal::mig
