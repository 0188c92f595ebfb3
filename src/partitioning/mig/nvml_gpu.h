// One GPU as NVML tells it now: its instances, its MIG devices, who runs on them.

#pragma once

#include "core/gpu/nvml_mig_api.h"
#include "partitioning/mig/driver.h"

namespace tepal::mig {

// What the driver does not tell is in the answer's `problem`.
Gpu ReadGpu(const gpu::NvmlMigApi& api, int index);

}  // namespace tepal::mig
