// NVML: the system, whole GPUs, and what is asked of GPUs and MIG devices alike.

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "sim/nvml/call.h"

namespace tepal::nvml_sim {

namespace {

constexpr uint64_t kMib = 1 << 20;

std::string UuidOf(const Found& found) {
  return found.compute != nullptr ? found.compute->uuid : found.gpu.uuid;
}

// Of a MIG device, or the whole GPU.
void FillMemory(const Machine& machine, const Target& target, MemoryV2& memory) {
  const Found found(machine, target);
  const int total = found.instance != nullptr ? ProfileOf(found.gpu, *found.instance).memory_mib
                                              : found.model.memory_mib;
  memory.total = static_cast<uint64_t>(total) * kMib;
  memory.reserved = memory.used = 0;
  for (const SimProcess& process : machine.processes) {
    const bool here = process.pid != 0 && process.gpu == target.gpu &&
                      (target.gpu_instance < 0 || process.gpu_instance == target.gpu_instance);
    if (here) memory.used += process.memory_mib * kMib;
  }
  memory.used = std::min(memory.used, memory.total);
  memory.free = memory.total - memory.used;
}

bool Gone(const Found& found, const Target& target) {
  return target.is_mig_device() && found.compute == nullptr;
}

const char* ErrorText(int result) {
  switch (result) {
    case kSuccess:
      return "Success";
    case kUninitialized:
      return "Uninitialized";
    case kInvalidArgument:
      return "Invalid Argument";
    case kNotSupported:
      return "Not Supported";
    case kNoPermission:
      return "Insufficient Permissions";
    case kNotFound:
      return "Not Found";
    case kInsufficientSize:
      return "Insufficient Size";
    case kDriverNotLoaded:
      return "Driver Not Loaded";
    case kTimeout:
      return "Timeout";
    case kGpuIsLost:
      return "GPU is lost";
    case kResetRequired:
      return "GPU requires reset";
    case kInUse:
      return "In use by another client";
    case kInsufficientResources:
      return "Insufficient Resources";
    case kArgumentVersionMismatch:
      return "Argument version mismatch";
    default:
      return "Unknown Error";
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const char* nvmlErrorString(int result) {
  return ErrorText(result);
}

NVML_SIM_EXPORT nvmlSystemGetDriverVersion(char* text, unsigned size) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  return CopyText(kDriverVersion, text, size);
}

NVML_SIM_EXPORT nvmlSystemGetNVMLVersion(char* text, unsigned size) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  return CopyText(std::string("13.") + kDriverVersion, text, size);
}

NVML_SIM_EXPORT nvmlSystemGetCudaDriverVersion(int* version) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (version == nullptr) return kInvalidArgument;
  *version = 13000;
  return kSuccess;
}
NVML_SIM_EXPORT nvmlSystemGetCudaDriverVersion_v2(int* version) {
  return nvmlSystemGetCudaDriverVersion(version);
}

NVML_SIM_EXPORT nvmlDeviceGetCount_v2(unsigned* count) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (count == nullptr) return kInvalidArgument;
  *count = static_cast<unsigned>(
      TheStore()->Read([](const Machine& machine) { return machine.gpu_count; }));
  return kSuccess;
}

NVML_SIM_EXPORT nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  const int count = TheStore()->Read([](const Machine& machine) { return machine.gpu_count; });
  if (device == nullptr || index >= static_cast<unsigned>(count)) return kInvalidArgument;
  *device = MakeHandle<Device>({.gpu = static_cast<int>(index)});
  return kSuccess;
}

NVML_SIM_EXPORT nvmlDeviceGetHandleByUUID(const char* uuid, Device* device) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (uuid == nullptr || device == nullptr) return kInvalidArgument;
  return TheStore()->Read([&](const Machine& machine) -> int {
    for (int i = 0; i < machine.gpu_count; ++i) {
      if (uuid == std::string_view(machine.gpus[i].uuid)) {
        *device = MakeHandle<Device>({.gpu = i});
        return kSuccess;
      }
      for (const SimInstance& instance : machine.gpus[i].instances) {
        for (const SimCompute& compute : instance.compute) {
          if (!compute.exists || uuid != std::string_view(compute.uuid)) continue;
          *device = MakeHandle<Device>({i, instance.id, compute.id});
          return kSuccess;
        }
      }
    }
    return kNotFound;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, Device* device) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (bus_id == nullptr || device == nullptr) return kInvalidArgument;
  const int count = TheStore()->Read([](const Machine& machine) { return machine.gpu_count; });
  for (int i = 0; i < count; ++i) {
    if (!BusId(i).ends_with(bus_id)) continue;  // Some leave the domain's zeros out.
    *device = MakeHandle<Device>({.gpu = i});
    return kSuccess;
  }
  return kNotFound;
}

NVML_SIM_EXPORT nvmlDeviceGetIndex(Device device, unsigned* index) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (index == nullptr || target.is_mig_device()) return kInvalidArgument;
    *index = static_cast<unsigned>(target.gpu);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMinorNumber(Device device, unsigned* minor) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (minor == nullptr) return kInvalidArgument;
    *minor = static_cast<unsigned>(target.gpu);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetName(Device device, char* name, unsigned size) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (Gone(found, target)) return kNotFound;
    std::string text(found.model.name);
    if (found.compute != nullptr) {
      text += " MIG " +
              mig::MigDeviceName(ProfileOf(found.gpu, *found.instance), found.compute->slices);
    }
    return CopyText(text, name, size);
  });
}

NVML_SIM_EXPORT nvmlDeviceGetUUID(Device device, char* uuid, unsigned size) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (Gone(found, target)) return kNotFound;
    return CopyText(UuidOf(found), uuid, size);
  });
}

NVML_SIM_EXPORT nvmlDeviceGetPciInfo_v3(Device device, PciInfo* info) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (info == nullptr) return kInvalidArgument;
    const std::string bus_id = BusId(target.gpu);
    *info = {};
    info->bus = static_cast<unsigned>(0x10 + target.gpu);
    info->device_id = ModelOf(machine.gpus[target.gpu]).pci_device_id;
    CopyText(bus_id.substr(4), info->bus_id_legacy, sizeof(info->bus_id_legacy));
    return CopyText(bus_id, info->bus_id, sizeof(info->bus_id));
  });
}

NVML_SIM_EXPORT nvmlDeviceGetCudaComputeCapability(Device device, int* major, int* minor) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (major == nullptr || minor == nullptr) return kInvalidArgument;
    *major = CudaMajor(ModelOf(machine.gpus[target.gpu]));
    *minor = 0;
    return kSuccess;
  });
}

// NVML_DEVICE_ARCH_*.
NVML_SIM_EXPORT nvmlDeviceGetArchitecture(Device device, unsigned* architecture) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (architecture == nullptr) return kInvalidArgument;
    const int major = CudaMajor(ModelOf(machine.gpus[target.gpu]));
    *architecture = major == 8 ? 7U : static_cast<unsigned>(major);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetPersistenceMode(Device device, unsigned* mode) {
  return Look(__func__, device, [&](const Machine&, const Target&) -> int {
    if (mode == nullptr) return kInvalidArgument;
    *mode = 1;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMemoryInfo(Device device, Memory* memory) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (memory == nullptr) return kInvalidArgument;
    if (Gone(Found(machine, target), target)) return kNotFound;
    MemoryV2 all = {};
    FillMemory(machine, target, all);
    *memory = {.total = all.total, .free = all.free, .used = all.used};
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* memory) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (memory == nullptr) return kInvalidArgument;
    if (memory->version != 0x02000028) return kArgumentVersionMismatch;
    if (Gone(Found(machine, target), target)) return kNotFound;
    FillMemory(machine, target, *memory);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned* count,
                                                        ProcessInfo* infos) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (count == nullptr) return kInvalidArgument;
    unsigned found = 0;
    for (const SimProcess& process : machine.processes) {
      if (process.pid == 0 || process.gpu != target.gpu) continue;
      if (target.is_mig_device() && (process.gpu_instance != target.gpu_instance ||
                                     process.compute_instance != target.compute_instance)) {
        continue;
      }
      if (infos != nullptr && found < *count) {
        infos[found] = {.pid = process.pid,
                        .memory = process.memory_mib * kMib,
                        .gpu_instance = static_cast<unsigned>(process.gpu_instance),
                        .compute_instance = static_cast<unsigned>(process.compute_instance)};
      }
      ++found;
    }
    const bool fits = found <= *count;
    *count = found;
    return fits ? kSuccess : kInsufficientSize;
  });
}

// Nothing draws on a simulated GPU.
NVML_SIM_EXPORT nvmlDeviceGetGraphicsRunningProcesses_v3(Device device, unsigned* count,
                                                         ProcessInfo*) {
  return Look(__func__, device, [&](const Machine&, const Target&) -> int {
    if (count == nullptr) return kInvalidArgument;
    *count = 0;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlSystemGetProcessName(unsigned pid, char* name, unsigned size) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  const std::string path = "/proc/" + std::to_string(pid) + "/cmdline";
  char text[256] = {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return kNotFound;
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  return length > 0 ? CopyText(text, name, size) : kNotFound;
}

// The simulator has neither load nor power.
NVML_SIM_EXPORT nvmlDeviceGetUtilizationRates(Device, unsigned*) { return kNotSupported; }
NVML_SIM_EXPORT nvmlDeviceGetPowerUsage(Device, unsigned*) { return kNotSupported; }
NVML_SIM_EXPORT nvmlDeviceGetEnforcedPowerLimit(Device, unsigned*) { return kNotSupported; }
NVML_SIM_EXPORT nvmlDeviceGetTotalEnergyConsumption(Device, unsigned long long*) {
  return kNotSupported;
}

}  // namespace tepal::nvml_sim
