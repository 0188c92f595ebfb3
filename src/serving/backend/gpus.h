// The GPUs that models may be put on.

#pragma once

#include <cstdint>
#include <vector>

namespace tepal {

// The ordinals 0, 1, ... that CUDA's driver offers this process: what CUDA_VISIBLE_DEVICES or a
// container leaves, MIG slices included. Empty without a driver, which is opened at run time. The
// first call may take some tenths of a second on a machine with GPUs; no memory of them is taken.
std::vector<int32_t> UsableGpus();

}  // namespace tepal
