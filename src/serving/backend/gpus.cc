#include "serving/backend/gpus.h"

#include <dlfcn.h>

#include <numeric>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal {
namespace {

constexpr const char* kDriver = "libcuda.so.1";

}  // namespace

std::vector<int32_t> UsableGpus() {
  void* driver = dlopen(kDriver, RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return {};
  // CUDA driver API: both return 0 for success.
  using Initialise = int (*)(unsigned flags);
  using GetCount = int (*)(int* count);
  const auto initialise = reinterpret_cast<Initialise>(dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<GetCount>(dlsym(driver, "cuDeviceGetCount"));
  int count = 0;
  int result = initialise == nullptr || get_count == nullptr ? -1 : initialise(0);
  if (result == 0) result = get_count(&count);
  if (result != 0) {
    telemetry::LogWarning(Concat("no GPU can be used: ", kDriver, " answers ", result));
    return {};
  }
  std::vector<int32_t> gpus(static_cast<size_t>(count));
  std::iota(gpus.begin(), gpus.end(), 0);
  return gpus;
}

}  // namespace tepal
