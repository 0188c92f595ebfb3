// A configuration file from the GPUs that are there: what they are now, or what they could be.

#pragma once

#include <string>
#include <vector>

#include "partitioning/mig/config.h"

namespace tepal::mig {

// What there is, as one configuration: equal GPUs in one entry, with the device filter and `all`
// where that says the same. kFailedPrecondition: a GPU has a problem.
Result<ConfigFile> ExportConfig(const std::vector<Gpu>& gpus, const std::string& name);

// The names nvidia-mig-parted generates: all-disabled, all-enabled, all-balanced, and all-<profile>
// for each profile of the GPUs, as many as fit. kFailedPrecondition: no GPU can be partitioned.
Result<ConfigFile> GenerateConfig(const std::vector<Gpu>& gpus);

}  // namespace tepal::mig
