// One GPU as NVML tells it now: its instances, its MIG devices, who runs on them.

#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/gpu/nvml_mig_api.h"
#include "partitioning/mig/driver.h"

namespace tepal::mig {

// The models of GPUs by UUID: asked for once, so that they stay the same objects.
struct KnownModel {
  std::shared_ptr<const GpuModel> model;
  bool placements_known = false;
};
using Models = std::map<std::string, KnownModel>;

// What the driver does not tell is in the answer's `problem`.
Gpu ReadGpu(const gpu::NvmlMigApi& api, int index, Models& models);

}  // namespace tepal::mig
