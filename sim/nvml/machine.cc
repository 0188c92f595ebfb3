#include "sim/nvml/machine.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

namespace tepal::nvml_sim {

namespace {

// A UUID that nothing had before: the counter, stirred (splitmix64).
void NewUuid(Machine& machine, const char* prefix, char (&uuid)[kUuidSize]) {
  uint64_t words[2];
  for (uint64_t& word : words) {
    uint64_t z = machine.next_uuid++ * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    word = z ^ (z >> 31);
  }
  std::snprintf(uuid, sizeof(uuid), "%s-%08x-%04x-%04x-%04x-%012llx", prefix,
                static_cast<unsigned>(words[0] >> 32),
                static_cast<unsigned>(words[0] >> 16 & 0xffff),
                static_cast<unsigned>(words[0] & 0xffff), static_cast<unsigned>(words[1] >> 48),
                static_cast<unsigned long long>(words[1] & 0xffff'ffff'ffff));
}

// As the driver numbers them: the whole is 0, halves are 1 and 2, quarters 3 to 6, eighths from 7.
int IdAt(const mig::GpuModel& model, const mig::Placement& placement) {
  const int runs = model.memory_slices / placement.profile->memory_slices;
  return runs - 1 + placement.start / placement.profile->memory_slices;
}

void Clear(SimGpu& gpu) {
  for (SimInstance& instance : gpu.instances) instance = {};
}

unsigned ComputeMask(int start, int slices) { return ((1U << slices) - 1) << start; }

template <typename Slot>
Slot* FreeSlot(Slot (&slots)[kInstancesMax]) {
  Slot* const end = slots + kInstancesMax;
  Slot* const slot = std::find_if(slots, end, [](const Slot& s) { return !s.exists; });
  return slot == end ? nullptr : slot;
}

}  // namespace

bool Build(Machine& machine, std::string_view gpus) {
  machine = {};
  machine.magic = kMagic;
  machine.next_uuid = 1;
  while (!gpus.empty()) {
    std::string_view word = gpus.substr(0, gpus.find(','));
    gpus.remove_prefix(std::min(gpus.size(), word.size() + 1));
    int count = 1;
    if (word.size() > 2 && word[1] == 'x' && word[0] >= '1' && word[0] <= '9') {
      count = word[0] - '0';
      word.remove_prefix(2);
    } else if (word.starts_with("16x")) {
      count = 16;
      word.remove_prefix(3);
    }
    const mig::GpuModel* const model = mig::FindGpuModel(word);
    if (model == nullptr || machine.gpu_count + count > kGpusMax) return false;
    for (int i = 0; i < count; ++i) {
      SimGpu& gpu = machine.gpus[machine.gpu_count++];
      gpu.model = static_cast<int>(model - mig::GpuModels().data());
      NewUuid(machine, "GPU", gpu.uuid);
    }
  }
  return machine.gpu_count > 0;
}

std::string BusId(int gpu) {
  char text[32];
  std::snprintf(text, sizeof(text), "%08X:%02X:00.0", 0, 0x10 + gpu);
  return text;
}

int CudaMajor(const mig::GpuModel& model) {
  return model.architecture == mig::Architecture::kAmpere   ? 8
         : model.architecture == mig::Architecture::kHopper ? 9
                                                            : 10;
}

const mig::GpuModel& ModelOf(const SimGpu& gpu) {
  return mig::GpuModels()[static_cast<size_t>(gpu.model)];
}

const mig::Profile& ProfileOf(const SimGpu& gpu, const SimInstance& instance) {
  return ModelOf(gpu).profiles[static_cast<size_t>(instance.profile)];
}

mig::Layout LayoutOf(const SimGpu& gpu) {
  mig::Layout layout;
  for (const SimInstance& instance : gpu.instances) {
    if (instance.exists) layout.push_back({&ProfileOf(gpu, instance), instance.start});
  }
  return layout;
}

SimInstance* FindInstance(SimGpu& gpu, int id) {
  for (SimInstance& instance : gpu.instances) {
    if (instance.exists && instance.id == id) return &instance;
  }
  return nullptr;
}

SimCompute* FindCompute(SimInstance& instance, int id) {
  for (SimCompute& compute : instance.compute) {
    if (compute.exists && compute.id == id) return &compute;
  }
  return nullptr;
}

bool InUse(const Machine& machine, int gpu, int gpu_instance, int compute_instance) {
  return std::any_of(
      std::begin(machine.processes), std::end(machine.processes), [&](const SimProcess& p) {
        return p.pid != 0 && p.gpu == gpu && (gpu_instance < 0 || p.gpu_instance == gpu_instance) &&
               (compute_instance < 0 || p.compute_instance == compute_instance);
      });
}

Return SetMode(Machine& machine, int index, bool enabled, Return& activation) {
  SimGpu& gpu = machine.gpus[index];
  activation = kSuccess;
  if (gpu.enabled == enabled) {
    gpu.pending = enabled;
    return kSuccess;
  }
  const bool busy = gpu.held || InUse(machine, index) || !LayoutOf(gpu).empty();
  if (!ModelOf(gpu).mode_needs_reset()) {
    if (busy) {
      activation = kInUse;
      return kSuccess;
    }
    gpu.enabled = gpu.pending = enabled;
    return kSuccess;
  }
  gpu.pending = enabled;
  if (busy) {
    activation = kInUse;
  } else if (gpu.passthrough) {
    activation = kResetRequired;
  } else {
    gpu.enabled = enabled;
  }
  return kSuccess;
}

Return CreateInstance(Machine& machine, int index, int driver_id, const Placement* placement,
                      int& id) {
  SimGpu& gpu = machine.gpus[index];
  if (!gpu.enabled) return kNotSupported;
  const mig::GpuModel& model = ModelOf(gpu);
  const mig::Profile* const profile = mig::FindProfileByDriverId(model, driver_id);
  if (profile == nullptr) return kInvalidArgument;
  const mig::Layout there = LayoutOf(gpu);
  mig::Placement added{profile, 0};
  if (placement != nullptr) {
    if (placement->start >= static_cast<unsigned>(model.memory_slices) ||
        placement->size != static_cast<unsigned>(profile->memory_slices)) {
      return kInvalidArgument;
    }
    added.start = static_cast<int>(placement->start);
    if ((profile->starts >> added.start & 1) == 0) return kInvalidArgument;
    if (!mig::Fits(model, there, added)) return kInsufficientResources;
  } else {
    const mig::Layout placed = mig::Place(model, there, {{profile}});
    if (placed.empty()) return kInsufficientResources;
    added = placed.front();
  }
  SimInstance* const slot = FreeSlot(gpu.instances);
  if (slot == nullptr) return kInsufficientResources;
  *slot = {};
  slot->exists = true;
  slot->id = id = IdAt(model, added);
  slot->profile = static_cast<int>(profile - model.profiles.data());
  slot->start = added.start;
  return kSuccess;
}

Return DestroyInstance(Machine& machine, int index, int id) {
  SimInstance* const instance = FindInstance(machine.gpus[index], id);
  if (instance == nullptr) return kNotFound;
  for (const SimCompute& compute : instance->compute) {
    if (compute.exists) return kInUse;
  }
  *instance = {};
  return kSuccess;
}

unsigned FreeComputeStarts(const SimGpu& gpu, const SimInstance& instance, int slices) {
  unsigned used = 0;
  for (const SimCompute& compute : instance.compute) {
    if (compute.exists) used |= ComputeMask(compute.start, compute.slices);
  }
  unsigned free = 0;
  const unsigned starts = mig::ComputeStarts(ProfileOf(gpu, instance), slices);
  for (int start = 0; start < mig::kSlicesMax; ++start) {
    if ((starts >> start & 1) != 0 && (used & ComputeMask(start, slices)) == 0) free |= 1U << start;
  }
  return free;
}

Return CreateCompute(Machine& machine, int index, int instance_id, int slices,
                     const Placement* placement, int& id) {
  SimGpu& gpu = machine.gpus[index];
  SimInstance* const instance = FindInstance(gpu, instance_id);
  if (instance == nullptr) return kNotFound;
  const unsigned legal = mig::ComputeStarts(ProfileOf(gpu, *instance), slices);
  if (legal == 0) return kInvalidArgument;
  unsigned free = FreeComputeStarts(gpu, *instance, slices);
  if (placement != nullptr) {
    if (placement->start >= kInstancesMax || placement->size != static_cast<unsigned>(slices) ||
        (legal >> placement->start & 1) == 0) {
      return kInvalidArgument;
    }
    free &= 1U << placement->start;
  }
  SimCompute* const slot = FreeSlot(instance->compute);
  if (free == 0 || slot == nullptr) return kInsufficientResources;
  int lowest = 0;
  while (FindCompute(*instance, lowest) != nullptr) ++lowest;
  *slot = {};
  slot->exists = true;
  slot->id = id = lowest;
  slot->slices = slices;
  slot->start = std::countr_zero(free);
  NewUuid(machine, "MIG", slot->uuid);
  return kSuccess;
}

Return DestroyCompute(Machine& machine, int index, int instance_id, int id) {
  SimInstance* const instance = FindInstance(machine.gpus[index], instance_id);
  SimCompute* const compute = instance == nullptr ? nullptr : FindCompute(*instance, id);
  if (compute == nullptr) return kNotFound;
  if (InUse(machine, index, instance_id, id)) return kInUse;
  *compute = {};
  return kSuccess;
}

Return ResetGpu(Machine& machine, int index) {
  SimGpu& gpu = machine.gpus[index];
  if (gpu.held || InUse(machine, index)) return kInUse;
  if (gpu.passthrough) return kNotSupported;
  Clear(gpu);
  gpu.enabled = gpu.pending;
  return kSuccess;
}

void Reboot(Machine& machine) {
  for (SimProcess& process : machine.processes) process = {};
  for (int i = 0; i < machine.gpu_count; ++i) {
    SimGpu& gpu = machine.gpus[i];
    Clear(gpu);
    gpu.held = false;
    gpu.enabled = gpu.pending = ModelOf(gpu).mode_survives_reboot() && gpu.pending;
  }
  ++machine.boots;
}

Return StartProcess(Machine& machine, const SimProcess& process) {
  if (process.pid == 0 || process.gpu < 0 || process.gpu >= machine.gpu_count) {
    return kInvalidArgument;
  }
  SimGpu& gpu = machine.gpus[process.gpu];
  if (process.gpu_instance >= 0) {
    SimInstance* const instance = FindInstance(gpu, process.gpu_instance);
    if (instance == nullptr || FindCompute(*instance, process.compute_instance) == nullptr) {
      return kNotFound;
    }
  } else if (gpu.enabled) {
    return kNotSupported;  // With MIG on, compute needs an instance.
  }
  for (SimProcess& slot : machine.processes) {
    if (slot.pid != 0) continue;
    slot = process;
    return kSuccess;
  }
  return kInsufficientResources;
}

Return StopProcess(Machine& machine, unsigned pid) {
  Return result = kNotFound;
  for (SimProcess& process : machine.processes) {
    if (pid == 0 || process.pid != pid) continue;
    process = {};
    result = kSuccess;
  }
  return result;
}

Return AddFault(Machine& machine, const SimFault& fault) {
  for (SimFault& slot : machine.faults) {
    if (slot.remaining > 0) continue;
    slot = fault;
    return kSuccess;
  }
  return kInsufficientResources;
}

Return AddXid(Machine& machine, const SimEvent& event) {
  if (event.gpu < 0 || event.gpu >= machine.gpu_count) return kInvalidArgument;
  machine.events[machine.event_count++ % kEventsKept] = event;
  return kSuccess;
}

const char* Illegal(const Machine& machine) {
  for (int i = 0; i < machine.gpu_count; ++i) {
    SimGpu gpu = machine.gpus[i];
    const mig::Layout layout = LayoutOf(gpu);
    if (!gpu.enabled && !layout.empty()) return "instances while MIG is disabled";
    if (!mig::IsLegal(ModelOf(gpu), layout)) return "instances that do not fit beside each other";
    for (const SimInstance& instance : gpu.instances) {
      unsigned used = 0;
      for (const SimCompute& compute : instance.compute) {
        if (!compute.exists) continue;
        const unsigned mask = ComputeMask(compute.start, compute.slices);
        if (!instance.exists || (used & mask) != 0) return "compute instances that overlap";
        used |= mask;
      }
    }
    for (const SimProcess& process : machine.processes) {
      if (process.pid == 0 || process.gpu != i || process.gpu_instance < 0) continue;
      SimInstance* const instance = FindInstance(gpu, process.gpu_instance);
      if (instance == nullptr || FindCompute(*instance, process.compute_instance) == nullptr) {
        return "a process in an instance that is gone";
      }
    }
  }
  return nullptr;
}

}  // namespace tepal::nvml_sim
