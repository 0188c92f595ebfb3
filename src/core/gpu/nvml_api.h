// The functions of NVML that Tepal calls, found in libnvidia-ml.so.1 at run time. Types as NVML's
// ABI has them (NVML API Reference); `_v2` where the first form is of old drivers.

#pragma once

#include <memory>
#include <string>

namespace tepal::gpu {

using NvmlResult = int;
using NvmlDevice = struct NvmlDeviceTag*;

inline constexpr NvmlResult kNvmlSuccess = 0;
inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

struct NvmlUtilization {
  unsigned gpu, memory;  // Percent.
};
struct NvmlMemory {
  unsigned long long total, free, used;
};

struct NvmlApi {
  NvmlResult (*Init)();
  NvmlResult (*GetHandleByUuid)(const char* uuid, NvmlDevice*);
  NvmlResult (*GetUtilization)(NvmlDevice, NvmlUtilization*);
  NvmlResult (*GetMemory)(NvmlDevice, NvmlMemory*);
  NvmlResult (*GetPowerUsage)(NvmlDevice, unsigned* milliwatts);
  NvmlResult (*GetPowerLimit)(NvmlDevice, unsigned* milliwatts);
  NvmlResult (*GetEnergy)(NvmlDevice, unsigned long long* millijoules);

  // Null, and why in `problem`, without the library or with one that lacks a function.
  static std::unique_ptr<NvmlApi> Load(const char* library_name, std::string& problem);
};

}  // namespace tepal::gpu
