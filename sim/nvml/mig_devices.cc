// NVML: MIG devices, a compute instance each, as handles of their own; and events.

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "sim/nvml/call.h"

namespace tepal::nvml_sim {

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(2);

// In the order of their indices.
std::vector<Target> MigDevices(const Machine& machine, int gpu) {
  std::vector<Target> devices;
  for (const SimInstance& instance : machine.gpus[gpu].instances) {
    for (const SimCompute& compute : instance.compute) {
      if (compute.exists) devices.push_back({gpu, instance.id, compute.id});
    }
  }
  std::sort(devices.begin(), devices.end(), [](const Target& a, const Target& b) {
    return std::pair(a.gpu_instance, a.compute_instance) <
           std::pair(b.gpu_instance, b.compute_instance);
  });
  return devices;
}

}  // namespace

// What a program waits on. Owned by its creator; used by one thread at a time.
struct Events {
  uint64_t next = 0;                        // The first event not yet told.
  unsigned long long types[kGpusMax] = {};  // Wanted, by GPU.
};

NVML_SIM_EXPORT nvmlDeviceIsMigDeviceHandle(Device device, unsigned* is) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (is == nullptr) return kInvalidArgument;
    *is = target.is_mig_device();
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceId(Device device, unsigned* id) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (id == nullptr) return kInvalidArgument;
    if (!target.is_mig_device()) return kNotSupported;
    *id = static_cast<unsigned>(target.gpu_instance);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetComputeInstanceId(Device device, unsigned* id) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (id == nullptr) return kInvalidArgument;
    if (!target.is_mig_device()) return kNotSupported;
    *id = static_cast<unsigned>(target.compute_instance);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned* count) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (count == nullptr) return kInvalidArgument;
    const SimGpu& gpu = machine.gpus[target.gpu];
    *count = gpu.enabled ? static_cast<unsigned>(ModelOf(gpu).compute_slices) : 0;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device* handle) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    const SimGpu& gpu = machine.gpus[target.gpu];
    if (handle == nullptr || target.is_mig_device()) return kInvalidArgument;
    if (!gpu.enabled) return kNotSupported;
    if (index >= static_cast<unsigned>(ModelOf(gpu).compute_slices)) return kInvalidArgument;
    const std::vector<Target> devices = MigDevices(machine, target.gpu);
    if (index >= devices.size()) return kNotFound;
    *handle = MakeHandle<Device>(devices[index]);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device mig, Device* device) {
  return Look(__func__, mig, [&](const Machine&, const Target& target) -> int {
    if (device == nullptr || !target.is_mig_device()) return kInvalidArgument;
    *device = MakeHandle<Device>({.gpu = target.gpu});
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetAttributes_v2(Device device, Attributes* attributes) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (attributes == nullptr) return kInvalidArgument;
    if (!target.is_mig_device()) return kNotSupported;
    if (found.compute == nullptr) return kNotFound;
    const mig::Profile& profile = ProfileOf(found.gpu, *found.instance);
    const auto number = [](int value) { return static_cast<unsigned>(value); };
    *attributes = {.multiprocessors = number(
                       mig::ComputeMultiprocessors(found.model, profile, found.compute->slices)),
                   .copy = number(profile.copy_engines),
                   .decoders = number(profile.decoders),
                   .encoders = 0,
                   .jpeg = number(profile.jpeg_engines),
                   .ofa = number(profile.ofa_engines),
                   .gpu_slices = number(profile.compute_slices),
                   .compute_slices = number(found.compute->slices),
                   .memory_mib = static_cast<unsigned long long>(profile.memory_mib)};
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlEventSetCreate(EventSet* set) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (set == nullptr) return kInvalidArgument;
  auto events = std::make_unique<Events>();
  events->next = TheStore()->Read([](const Machine& machine) { return machine.event_count; });
  *set = reinterpret_cast<EventSet>(events.release());
  return kSuccess;
}

NVML_SIM_EXPORT nvmlDeviceGetSupportedEventTypes(Device device, unsigned long long* types) {
  return Look(__func__, device, [&](const Machine&, const Target&) -> int {
    if (types == nullptr) return kInvalidArgument;
    *types = kEventXid;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceRegisterEvents(Device device, unsigned long long types, EventSet set) {
  return Look(__func__, device, [&](const Machine&, const Target& target) -> int {
    if (set == nullptr) return kInvalidArgument;
    if ((types & ~kEventXid) != 0 || target.is_mig_device()) return kNotSupported;
    reinterpret_cast<Events*>(set)->types[target.gpu] |= types;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlEventSetWait_v2(EventSet set, EventData* data, unsigned timeout_ms) {
  if (const int entered = Enter(__func__); entered != kSuccess) return entered;
  if (set == nullptr || data == nullptr) return kInvalidArgument;
  Events& events = *reinterpret_cast<Events*>(set);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const bool told = TheStore()->Read([&](const Machine& machine) {
      if (machine.event_count > events.next + kEventsKept) {
        events.next = machine.event_count - kEventsKept;
      }
      while (events.next < machine.event_count) {
        const SimEvent& event = machine.events[events.next++ % kEventsKept];
        if ((events.types[event.gpu] & kEventXid) == 0) continue;
        *data = {.device = MakeHandle<Device>({.gpu = event.gpu}),
                 .type = kEventXid,
                 .data = event.xid,
                 .gpu_instance = static_cast<unsigned>(event.gpu_instance),
                 .compute_instance = static_cast<unsigned>(event.compute_instance)};
        return true;
      }
      return false;
    });
    if (told) return kSuccess;
    if (std::chrono::steady_clock::now() >= deadline) return kTimeout;
    std::this_thread::sleep_for(kPollInterval);
  }
}

NVML_SIM_EXPORT nvmlEventSetFree(EventSet set) {
  if (set == nullptr) return kInvalidArgument;
  delete reinterpret_cast<Events*>(set);
  return kSuccess;
}

}  // namespace tepal::nvml_sim
