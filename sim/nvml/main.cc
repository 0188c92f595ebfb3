// nvml-sim COMMAND: happens to the simulated machine of NVML_SIM_STATE (control.h has the list);
// `nvml-sim show` prints it, `nvml-sim check` says which rule of hardware it breaks, if any.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "sim/nvml/control.h"
#include "sim/nvml/store.h"

namespace tepal::nvml_sim {
namespace {

void Show(const Machine& machine) {
  for (int i = 0; i < machine.gpu_count; ++i) {
    const SimGpu& gpu = machine.gpus[i];
    std::printf("GPU %d: %s (%s), MIG %s%s\n", i, ModelOf(gpu).name.data(), gpu.uuid,
                gpu.enabled ? "enabled" : "disabled",
                gpu.pending == gpu.enabled ? "" : ", the other mode is pending");
    for (const SimInstance& instance : gpu.instances) {
      if (!instance.exists) continue;
      std::printf("  GI %d: %s at %d%s\n", instance.id, ProfileOf(gpu, instance).name.data(),
                  instance.start, InUse(machine, i, instance.id) ? ", in use" : "");
      for (const SimCompute& compute : instance.compute) {
        if (!compute.exists) continue;
        std::printf("    CI %d: %d slices at %d, %s\n", compute.id, compute.slices, compute.start,
                    compute.uuid);
      }
    }
  }
  for (const SimProcess& process : machine.processes) {
    if (process.pid == 0) continue;
    std::printf("process %u: GPU %d GI %d CI %d, %llu MiB\n", process.pid, process.gpu,
                process.gpu_instance, process.compute_instance,
                static_cast<unsigned long long>(process.memory_mib));
  }
}

int Main(int argc, char** argv) {
  const char* const path = std::getenv("NVML_SIM_STATE");
  const char* const gpus = std::getenv("NVML_SIM_GPUS");
  if (argc < 2 || path == nullptr) {
    std::fprintf(stderr, "usage: NVML_SIM_STATE=file [NVML_SIM_GPUS=8xA100-40] nvml-sim COMMAND\n");
    return 2;
  }
  const std::unique_ptr<Store> store = Store::Open(path, gpus == nullptr ? "8xA100-40" : gpus);
  if (store == nullptr) {
    std::fprintf(stderr, "nvml-sim: no machine in %s, and none can be made of \"%s\"\n", path,
                 gpus == nullptr ? "" : gpus);
    return 1;
  }
  std::string line;
  for (int i = 1; i < argc; ++i) line += std::string(i > 1 ? " " : "") + argv[i];
  if (line == "show") {
    store->Read([](const Machine& machine) {
      Show(machine);
      return 0;
    });
    return 0;
  }
  if (line == "check") {
    const char* const illegal =
        store->Read([](const Machine& machine) { return Illegal(machine); });
    if (illegal != nullptr) std::puts(illegal);
    return illegal == nullptr ? 0 : 1;
  }
  const Return result =
      store->Write([&](Machine& machine) { return Control(machine, line.c_str()); });
  if (result != kSuccess)
    std::fprintf(stderr, "nvml-sim: %s: NVML error %d\n", line.c_str(), result);
  return result == kSuccess ? 0 : 1;
}

}  // namespace
}  // namespace tepal::nvml_sim

int main(int argc, char** argv) { return tepal::nvml_sim::Main(argc, argv); }
