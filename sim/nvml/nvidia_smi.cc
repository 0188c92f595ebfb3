// nvidia-smi, as far as one needs it beside the simulated library: -L, and --gpu-reset -i GPU, the
// GPU by index, UUID or PCI bus id.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sim/nvml/store.h"

namespace tepal::nvml_sim {
namespace {

int FindGpu(const Machine& machine, std::string_view name) {
  for (int i = 0; i < machine.gpu_count; ++i) {
    if (name == std::to_string(i) || name == machine.gpus[i].uuid || BusId(i).ends_with(name)) {
      return i;
    }
  }
  return -1;
}

int List(Store& store) {
  return store.Read([](const Machine& machine) {
    for (int i = 0; i < machine.gpu_count; ++i) {
      const SimGpu& gpu = machine.gpus[i];
      std::printf("GPU %d: %s (UUID: %s)\n", i, ModelOf(gpu).name.data(), gpu.uuid);
    }
    return 0;
  });
}

int Reset(Store& store, std::string_view name) {
  return store.Write([&](Machine& machine) {
    const int gpu = FindGpu(machine, name);
    if (gpu < 0) {
      std::puts("No devices were found");
      return 6;
    }
    const Return result = ResetGpu(machine, gpu);
    std::printf(result == kSuccess ? "GPU %s was successfully reset.\n"
                                   : "GPU %s could not be reset: NVML error %d\n",
                BusId(gpu).c_str(), static_cast<int>(result));
    return static_cast<int>(result);
  });
}

int Main(int argc, char** argv) {
  const char* const path = std::getenv("NVML_SIM_STATE");
  const char* const gpus = std::getenv("NVML_SIM_GPUS");
  const auto store = Store::Open(path == nullptr ? "" : path, gpus == nullptr ? "8xA100-40" : gpus);
  if (store == nullptr) return 9;
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "-L" && argc == 2) return List(*store);
  const bool reset = verb == "--gpu-reset" || verb == "-r";
  if (reset && argc == 4 && std::string_view(argv[2]) == "-i") return Reset(*store, argv[3]);
  std::fputs("usage: nvidia-smi -L | nvidia-smi --gpu-reset -i GPU\n", stderr);
  return 2;
}

}  // namespace
}  // namespace tepal::nvml_sim

int main(int argc, char** argv) { return tepal::nvml_sim::Main(argc, argv); }
