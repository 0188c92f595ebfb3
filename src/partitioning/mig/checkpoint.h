// nvidia-mig-parted's checkpoint: the MIG state of a machine's GPUs, with exact placements, as
// JSON.
//
// Numbers are NVML's enumerations, the same on every GPU. Names of members are compared without
// case, as the original reads them.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/apply.h"

namespace tepal::mig {

std::string ToCheckpoint(const std::vector<Gpu>& gpus);

// What it wants of the GPUs here, each instance at its place. kInvalidArgument: not a checkpoint,
// or one of other GPUs.
Result<Wanted> FromCheckpoint(std::string_view text, const std::vector<Gpu>& gpus);

}  // namespace tepal::mig
