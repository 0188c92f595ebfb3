// What a GPU can be cut into, asked of NVML.

#pragma once

#include <memory>

#include "core/gpu/nvml_mig_api.h"
#include "partitioning/mig/driver.h"

namespace tepal::mig {

// Null when the GPU has no profile. `placements_known`: whether the caller may know where profiles
// lie; otherwise they are taken from the tables of profiles.h, where the GPU is in them.
std::shared_ptr<const GpuModel> ReadModel(const gpu::NvmlMigApi& api, gpu::nvml::Device device,
                                          const Gpu& facts, bool& placements_known);

}  // namespace tepal::mig
