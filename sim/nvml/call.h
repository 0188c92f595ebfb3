// What every function of the library does around its own work: is the library initialised, has
// somebody injected a fault here, which device does the handle mean.
//
// Handles are numbers dressed as pointers, good in every process. A handle whose instance is gone
// answers kNotFound, as a stale id would.

#pragma once

#include <string_view>

#include "sim/nvml/machine.h"
#include "sim/nvml/store.h"

#define NVML_SIM_EXPORT extern "C" __attribute__((visibility("default"))) int

namespace tepal::nvml_sim {

// What a handle of any kind stands for; -1 for parts it has not.
struct Target {
  int gpu = -1, gpu_instance = -1, compute_instance = -1;

  bool is_mig_device() const { return compute_instance >= 0; }
};

enum class HandleKind : uintptr_t { kDevice = 1, kGpuInstance = 2, kComputeInstance = 3 };

template <typename Handle>
inline constexpr HandleKind kKindOf = HandleKind::kDevice;
template <>
inline constexpr HandleKind kKindOf<GpuInstance> = HandleKind::kGpuInstance;
template <>
inline constexpr HandleKind kKindOf<ComputeInstance> = HandleKind::kComputeInstance;

template <typename Handle>
Handle MakeHandle(const Target& target) {
  return reinterpret_cast<Handle>(static_cast<uintptr_t>(kKindOf<Handle>) << 32 |
                                  static_cast<uintptr_t>(target.gpu) << 16 |
                                  static_cast<uintptr_t>(target.gpu_instance + 1) << 8 |
                                  static_cast<uintptr_t>(target.compute_instance + 1));
}

template <typename Handle>
bool ReadHandle(Handle handle, Target& target) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number >> 32 != static_cast<uintptr_t>(kKindOf<Handle>)) return false;
  target = {.gpu = static_cast<int>(number >> 16 & 0xff),
            .gpu_instance = static_cast<int>(number >> 8 & 0xff) - 1,
            .compute_instance = static_cast<int>(number & 0xff) - 1};
  return true;
}

// Null before nvmlInit and after the last nvmlShutdown.
Store* TheStore();

// Whether the caller may change partitions: root, or as NVML_SIM_ROOT says.
bool IsRoot();

// kSuccess: go on. Waits where a delay is injected.
int Enter(const char* function);

// For functions that get a device, a GPU instance or a compute instance: `work(machine, target)`
// with the machine as it is.
template <typename Handle, typename Work>
int Look(const char* function, Handle handle, Work work) {
  if (const int entered = Enter(function); entered != kSuccess) return entered;
  Target target;
  if (!ReadHandle(handle, target)) return kInvalidArgument;
  return TheStore()->Read([&](const Machine& machine) -> int {
    if (target.gpu >= machine.gpu_count) return kInvalidArgument;
    return work(machine, target);
  });
}

// The same to change it, for root alone.
template <typename Handle, typename Work>
int Change(const char* function, Handle handle, Work work) {
  if (const int entered = Enter(function); entered != kSuccess) return entered;
  Target target;
  if (!ReadHandle(handle, target)) return kInvalidArgument;
  if (!IsRoot()) return kNoPermission;
  return TheStore()->Write([&](Machine& machine) -> int {
    if (target.gpu >= machine.gpu_count) return kInvalidArgument;
    return work(machine, target);
  });
}

// `text` with its NUL, when it fits.
int CopyText(std::string_view text, char* to, unsigned size);

// The instance of a target, in a copy of its GPU; null when it is gone.
struct Found {
  Found(const Machine& machine, const Target& target);

  SimGpu gpu;
  const mig::GpuModel& model;
  SimInstance* instance = nullptr;
  SimCompute* compute = nullptr;
};

}  // namespace tepal::nvml_sim
