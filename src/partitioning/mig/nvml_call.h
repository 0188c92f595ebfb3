// How NVML's functions are called: texts and lists out of buffers, result codes as errors.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/gpu/nvml_mig_api.h"

namespace tepal::mig {

// "nvmlDeviceSetMigMode: Insufficient Permissions", with the code driver.h promises.
Status NvmlStatus(const gpu::NvmlMigApi& api, int result, std::string_view function);

// Empty when the function answers an error.
std::string NvmlText(int (*function)(gpu::nvml::Device, char*, unsigned), gpu::nvml::Device device);

// Compute and graphics processes; none when the driver does not tell.
std::vector<gpu::nvml::ProcessInfo> NvmlProcesses(const gpu::NvmlMigApi& api,
                                                  gpu::nvml::Device device);

}  // namespace tepal::mig
