// The simulator speaks NVML's own types.

#pragma once

#include "core/gpu/nvml_abi.h"

namespace tepal::nvml_sim {

// NOLINTNEXTLINE: every file of the simulator is written in these words.
using namespace gpu::nvml;

}  // namespace tepal::nvml_sim
