#include "sim/nvml/call.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "sim/nvml/control.h"

namespace tepal::nvml_sim {

namespace {

std::mutex mutex;
std::unique_ptr<Store> store;  // Kept after the last shutdown: threads may still be in it.
std::atomic<int> initialised{0};

std::string Setting(const char* name, const char* otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : text;
}

SimFault TakeFault(const char* function) {
  const auto find = [&](const Machine& machine) {
    for (int i = 0; i < kFaultsMax; ++i) {
      const SimFault& fault = machine.faults[i];
      if (fault.remaining > 0 && std::strcmp(fault.function, function) == 0) return i;
    }
    return -1;
  };
  SimFault taken = {};
  if (store->Read(find) < 0) return taken;
  store->Write([&](Machine& machine) {
    const int index = find(machine);
    if (index < 0) return false;
    SimFault& fault = machine.faults[index];
    if (fault.skip > 0) {
      --fault.skip;
      return false;
    }
    --fault.remaining;
    taken = fault;
    return true;
  });
  return taken;
}

int Init() {
  const std::lock_guard lock(mutex);
  if (store == nullptr) {
    store = Store::Open(Setting("NVML_SIM_STATE", ""), Setting("NVML_SIM_GPUS", "8xA100-40"));
  }
  if (store == nullptr) return kDriverNotLoaded;
  ++initialised;
  return kSuccess;
}

}  // namespace

Store* TheStore() { return initialised.load() > 0 ? store.get() : nullptr; }

bool IsRoot() { return Setting("NVML_SIM_ROOT", geteuid() == 0 ? "1" : "0") != "0"; }

int Enter(const char* function) {
  if (initialised.load() == 0) return kUninitialized;
  const SimFault fault = TakeFault(function);
  if (fault.delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(fault.delay_ms));
  if (fault.result == kKill) raise(SIGKILL);
  return fault.result;
}

int CopyText(std::string_view text, char* to, unsigned size) {
  if (to == nullptr) return kInvalidArgument;
  if (size <= text.size()) return kInsufficientSize;
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = '\0';
  return kSuccess;
}

Found::Found(const Machine& machine, const Target& target)
    : gpu(machine.gpus[target.gpu]), model(ModelOf(gpu)) {
  if (target.gpu_instance < 0) return;
  instance = FindInstance(gpu, target.gpu_instance);
  if (instance == nullptr || target.compute_instance < 0) return;
  compute = FindCompute(*instance, target.compute_instance);
}

NVML_SIM_EXPORT nvmlInit_v2() { return Init(); }
NVML_SIM_EXPORT nvmlInit() { return Init(); }
NVML_SIM_EXPORT nvmlInitWithFlags(unsigned) { return Init(); }

NVML_SIM_EXPORT nvmlShutdown() {
  const std::lock_guard lock(mutex);
  if (initialised.load() == 0) return kUninitialized;
  --initialised;
  return kSuccess;
}

// For programs in the same process; `nvml-sim` is the command.
NVML_SIM_EXPORT nvml_sim_control(const char* line) {
  if (TheStore() == nullptr) return kUninitialized;
  if (line == nullptr) return kInvalidArgument;
  return TheStore()->Write([&](Machine& machine) { return Control(machine, line); });
}

}  // namespace tepal::nvml_sim
