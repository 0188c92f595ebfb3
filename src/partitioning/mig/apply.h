// Carries out what is wanted of the GPUs, from whatever there is now.
//
// It looks, plans each GPU (planner.h), refuses the whole before anything is touched when a GPU
// cannot get there, and then does the steps: a mode is switched, and a GPU reset, only where the
// plan has no other way, and no other GPU knows of it. When a step fails because the world has
// changed meanwhile it looks and plans again. It keeps nothing: who was interrupted runs it again.
//
// Hooks run where nvidia-mig-parted runs them. What they stop may be what was in the way, so it
// looks again after each. One thread; blocks as the driver does.

#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "partitioning/mig/driver.h"
#include "partitioning/mig/hooks_file.h"

namespace tepal::mig {

// What is wanted, by GPU index; GPUs that are not in it are left alone.
using Wanted = std::map<int, WantedGpu>;

struct ApplyOptions {
  bool mode_only = false;           // Switch the MIG mode, leave instances as they are.
  bool skip_reset = false;          // A mode that needs a reset stays pending.
  std::set<std::string> held = {};  // MIG devices that somebody has without a process.
  bool config_hook = false;         // A pre-apply-config hook may yet free what is in use.

  // Each may be empty.
  Function<Status(HookPoint)> hook = {};
  Function<Status(const std::vector<Gpu>& before)> begin = {};  // Before the first change.
  Function<void(int gpu, const Step& step)> tell = {};          // Before each step.
};

struct Applied {
  std::vector<std::pair<int, Step>> steps = {};  // That were done.
  std::set<int> wait_for_reset = {};             // GPUs whose mode is pending: a reset or a reboot.
};

// kInvalidArgument: what is wanted does not fit. kFailedPrecondition: in use, with GPU, instance
// and process. Otherwise the driver's error, with GPU and step.
Result<Applied> Apply(Driver& driver, const Wanted& wanted, ApplyOptions options);

// The plan of one GPU, as Apply would do it now.
Result<Plan> PlanGpu(const Gpu& gpu, const WantedGpu& wanted, const ApplyOptions& options);

// Whether all is as wanted; what is not, in one line each, otherwise.
Result<std::vector<std::string>> Differences(const std::vector<Gpu>& gpus, const Wanted& wanted,
                                             bool mode_only = false);

// Why a GPU is left alone, with the processes that are in the way.
std::string Refusal(const Gpu& gpu, const Plan& plan);

}  // namespace tepal::mig
