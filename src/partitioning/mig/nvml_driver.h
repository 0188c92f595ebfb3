// The real driver: NVML, opened at run time.
//
// NVML cannot reset a GPU by itself; where that is needed it is `reset` that does (nvidia-smi).

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "partitioning/mig/driver.h"

namespace tepal::mig {

struct NvmlOptions {
  std::string nvml_library = "libnvidia-ml.so.1";
  // Resets the GPU at a PCI bus id. Empty: resets are refused.
  Function<Status(const std::string& bus_id)> reset = {};
};

// kUnavailable, and why, where there is no driver.
Result<std::unique_ptr<Driver>> OpenNvmlDriver(NvmlOptions options);

}  // namespace tepal::mig
