// A simulated machine of GPUs that can be partitioned: the rules, without any library around them.
//
// Plain data, so that it can lie in a file that processes share, and functions that answer as NVML
// does. It enforces what hardware enforces: legal placements, occupancy, what is in use. It does
// not run kernels; a "process" is an entry that somebody made. Not thread-safe: store.h locks.
//
// What a driver decides and no document says (ids of instances, where an instance goes when its
// creator does not say) follows what `nvidia-smi mig` prints in NVIDIA's MIG User Guide.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "partitioning/mig/layout.h"
#include "sim/nvml/abi.h"

namespace tepal::nvml_sim {

inline constexpr int kGpusMax = 16;
inline constexpr int kInstancesMax = 8;
inline constexpr int kProcessesMax = 256;
inline constexpr int kFaultsMax = 16;
inline constexpr int kEventsKept = 64;
inline constexpr int kUuidSize = 48;

struct SimCompute {
  bool exists;
  int id, slices, start;
  char uuid[kUuidSize];  // "MIG-…", new each time one is created.
};

struct SimInstance {
  bool exists;
  int id, profile, start;  // `profile` indexes the model's profiles.
  SimCompute compute[kInstancesMax];
};

struct SimGpu {
  int model;  // Indexes mig::GpuModels().
  bool enabled, pending;
  bool held;         // Somebody has it open who runs nothing on it, as a monitoring daemon does.
  bool passthrough;  // In a virtual machine that cannot reset it: a mode waits for a reboot.
  char uuid[kUuidSize];
  SimInstance instances[kInstancesMax];
};

struct SimProcess {
  unsigned pid;                             // 0: no entry.
  int gpu, gpu_instance, compute_instance;  // Instances -1: on the whole GPU.
  uint64_t memory_mib;
};

struct SimFault {
  char function[64];
  int result;     // What it answers instead of working; kSuccess: it works, late.
  int skip;       // Calls that work before.
  int remaining;  // Calls that do not.
  int delay_ms;
};
// A result no function has: the process that calls is killed (SIGKILL).
inline constexpr int kKill = -9;

struct SimEvent {
  int gpu, gpu_instance, compute_instance;
  uint64_t xid;
};

struct Machine {
  uint64_t magic;  // Of this layout of the data.
  int gpu_count;
  uint64_t boots, next_uuid;
  SimGpu gpus[kGpusMax];
  SimProcess processes[kProcessesMax];
  SimFault faults[kFaultsMax];
  SimEvent events[kEventsKept];
  uint64_t event_count;  // The newest is at (event_count - 1) % kEventsKept.
};

inline constexpr uint64_t kMagic = 0x6c61706574000002;  // Change it with the layout.

// "8xA100-40,H200": models by alias or NVML's name. False when one is not known or they are too
// many.
bool Build(Machine& machine, std::string_view gpus);

inline constexpr const char* kDriverVersion = "580.159.04";  // Whose answers the H200's table has.
std::string BusId(int gpu);
int CudaMajor(const mig::GpuModel& model);

const mig::GpuModel& ModelOf(const SimGpu& gpu);
const mig::Profile& ProfileOf(const SimGpu& gpu, const SimInstance& instance);
mig::Layout LayoutOf(const SimGpu& gpu);
SimInstance* FindInstance(SimGpu& gpu, int id);
SimCompute* FindCompute(SimInstance& instance, int id);

// Whether processes run there; -1 for any instance.
bool InUse(const Machine& machine, int gpu, int gpu_instance = -1, int compute_instance = -1);

// What the functions of NVML answer. `activation` says what became of the mode: kSuccess, kInUse
// or kResetRequired.
Return SetMode(Machine& machine, int gpu, bool enabled, Return& activation);
Return CreateInstance(Machine& machine, int gpu, int driver_id, const Placement* placement,
                      int& id);
Return DestroyInstance(Machine& machine, int gpu, int id);
Return CreateCompute(Machine& machine, int gpu, int instance, int slices,
                     const Placement* placement, int& id);
Return DestroyCompute(Machine& machine, int gpu, int instance, int id);
// Starts at which one more compute instance fits, as bits.
unsigned FreeComputeStarts(const SimGpu& gpu, const SimInstance& instance, int slices);

// What happens to a machine. A reset is refused (kInUse) while processes run on the GPU; a reboot
// ends them all. Neither leaves an instance; Ampere keeps its mode over a reboot, others lose it.
Return ResetGpu(Machine& machine, int gpu);
void Reboot(Machine& machine);
Return StartProcess(Machine& machine, const SimProcess& process);
Return StopProcess(Machine& machine, unsigned pid);
Return AddFault(Machine& machine, const SimFault& fault);
Return AddXid(Machine& machine, const SimEvent& event);

// Null when all is as it must be, otherwise which rule is broken.
const char* Illegal(const Machine& machine);

}  // namespace tepal::nvml_sim
