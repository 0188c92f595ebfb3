// NVML: MIG mode and GPU instances.

#include <algorithm>
#include <bit>
#include <cstdio>

#include "sim/nvml/call.h"

namespace tepal::nvml_sim {

namespace {

int InstancesMax(const mig::GpuModel& model, const mig::Profile& profile) {
  return mig::RemainingCapacity(model, {}, profile);
}

template <typename Info>
void Fill(const mig::GpuModel& model, const mig::Profile& profile, Info& info) {
  const auto number = [](int value) { return static_cast<unsigned>(value); };
  info.id = number(profile.driver_id);
  info.slices = number(profile.compute_slices);
  info.instances = number(InstancesMax(model, profile));
  info.multiprocessors = number(profile.multiprocessors);
  info.copy = number(profile.copy_engines);
  info.decoders = number(profile.decoders);
  info.encoders = 0;
  info.jpeg = number(profile.jpeg_engines);
  info.ofa = number(profile.ofa_engines);
  info.memory_mib = static_cast<unsigned long long>(profile.memory_mib);
}

// The caller's version word says which struct is behind the pointer.
int FillVersioned(const mig::GpuModel& model, const mig::Profile& profile, void* info) {
  const unsigned version = *static_cast<unsigned*>(info);
  if (version == kVersion<GpuInstanceProfileInfoV2>) {
    auto& v2 = *static_cast<GpuInstanceProfileInfoV2*>(info);
    Fill(model, profile, v2);
    v2.p2p = 0;
    std::snprintf(v2.name, sizeof(v2.name), "MIG %s", profile.name.data());
    return kSuccess;
  }
  if (version == kVersion<GpuInstanceProfileInfoV3>) {
    auto& v3 = *static_cast<GpuInstanceProfileInfoV3*>(info);
    Fill(model, profile, v3);
    v3.capabilities = 0;
    std::snprintf(v3.name, sizeof(v3.name), "MIG %s", profile.name.data());
    return kSuccess;
  }
  return kArgumentVersionMismatch;
}

// kSuccess and the profile, or why there is none. `number` is NVML's or the driver's.
int FindProfile(const mig::GpuModel& model, unsigned number, int mig::Profile::*field,
                const mig::Profile*& found) {
  for (const mig::Profile& profile : model.profiles) {
    if (static_cast<unsigned>(profile.*field) == number) found = &profile;
  }
  if (found != nullptr) return kSuccess;
  const bool known = field == &mig::Profile::nvml_profile && number < kGpuProfileCount;
  return known ? kNotSupported : kInvalidArgument;
}

// For functions that get a device and a profile: `work(machine, target, profile)`.
template <typename Work>
int LookAtProfile(const char* function, Device device, unsigned number, int mig::Profile::*field,
                  Work work) {
  return Look(function, device, [&](const Machine& machine, const Target& target) -> int {
    const mig::Profile* profile = nullptr;
    const int found = FindProfile(ModelOf(machine.gpus[target.gpu]), number, field, profile);
    return found == kSuccess ? work(machine, target, *profile) : found;
  });
}

int Create(const char* function, Device device, unsigned profile, const Placement* placement,
           GpuInstance* handle) {
  return Change(function, device, [&](Machine& machine, const Target& target) -> int {
    if (handle == nullptr || target.is_mig_device()) return kInvalidArgument;
    int id = 0;
    const Return created =
        CreateInstance(machine, target.gpu, static_cast<int>(profile), placement, id);
    if (created == kSuccess) *handle = MakeHandle<GpuInstance>({target.gpu, id});
    return created;
  });
}

}  // namespace

NVML_SIM_EXPORT nvmlDeviceSetMigMode(Device device, unsigned mode, int* activation) {
  return Change(__func__, device, [&](Machine& machine, const Target& target) -> int {
    if (activation == nullptr || mode > 1 || target.is_mig_device()) return kInvalidArgument;
    Return became = kSuccess;
    const Return set = SetMode(machine, target.gpu, mode == 1, became);
    *activation = became;
    return set;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetMigMode(Device device, unsigned* current, unsigned* pending) {
  return Look(__func__, device, [&](const Machine& machine, const Target& target) -> int {
    if (current == nullptr || pending == nullptr) return kInvalidArgument;
    *current = machine.gpus[target.gpu].enabled;
    *pending = machine.gpus[target.gpu].pending;
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceProfileInfo(Device device, unsigned profile,
                                                    GpuInstanceProfileInfo* info) {
  return LookAtProfile(__func__, device, profile, &mig::Profile::nvml_profile,
                       [&](const Machine& machine, const Target& target, const auto& found) -> int {
                         if (info == nullptr) return kInvalidArgument;
                         Fill(ModelOf(machine.gpus[target.gpu]), found, *info);
                         info->p2p = 0;
                         return kSuccess;
                       });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceProfileInfoV(Device device, unsigned profile,
                                                     GpuInstanceProfileInfoV2* info) {
  return LookAtProfile(__func__, device, profile, &mig::Profile::nvml_profile,
                       [&](const Machine& machine, const Target& target, const auto& found) -> int {
                         if (info == nullptr) return kInvalidArgument;
                         return FillVersioned(ModelOf(machine.gpus[target.gpu]), found, info);
                       });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceProfileInfoByIdV(Device device, unsigned id,
                                                         GpuInstanceProfileInfoV2* info) {
  return LookAtProfile(__func__, device, id, &mig::Profile::driver_id,
                       [&](const Machine& machine, const Target& target, const auto& found) -> int {
                         if (info == nullptr) return kInvalidArgument;
                         return FillVersioned(ModelOf(machine.gpus[target.gpu]), found, info);
                       });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstancePossiblePlacements_v2(Device device, unsigned id,
                                                              Placement* placements,
                                                              unsigned* count) {
  return LookAtProfile(__func__, device, id, &mig::Profile::driver_id,
                       [&](const Machine&, const Target&, const mig::Profile& profile) -> int {
                         if (count == nullptr) return kInvalidArgument;
                         if (!IsRoot()) return kNoPermission;
                         const auto legal = static_cast<unsigned>(std::popcount(profile.starts));
                         if (placements != nullptr) {
                           if (*count < legal) return kInsufficientSize;
                           for (unsigned start = 0; start < mig::kMemorySlicesMax; ++start) {
                             if ((profile.starts >> start & 1) == 0) continue;
                             *placements++ = {start, static_cast<unsigned>(profile.memory_slices)};
                           }
                         }
                         *count = legal;
                         return kSuccess;
                       });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceRemainingCapacity(Device device, unsigned id,
                                                          unsigned* count) {
  return LookAtProfile(
      __func__, device, id, &mig::Profile::driver_id,
      [&](const Machine& machine, const Target& target, const mig::Profile& profile) -> int {
        const SimGpu& gpu = machine.gpus[target.gpu];
        if (count == nullptr) return kInvalidArgument;
        if (!gpu.enabled) return kNotSupported;
        if (!IsRoot()) return kNoPermission;
        *count =
            static_cast<unsigned>(mig::RemainingCapacity(ModelOf(gpu), LayoutOf(gpu), profile));
        return kSuccess;
      });
}

NVML_SIM_EXPORT nvmlDeviceCreateGpuInstance(Device device, unsigned profile, GpuInstance* handle) {
  return Create(__func__, device, profile, nullptr, handle);
}

NVML_SIM_EXPORT nvmlDeviceCreateGpuInstanceWithPlacement(Device device, unsigned profile,
                                                         const Placement* placement,
                                                         GpuInstance* handle) {
  return placement == nullptr ? kInvalidArgument
                              : Create(__func__, device, profile, placement, handle);
}

NVML_SIM_EXPORT nvmlGpuInstanceDestroy(GpuInstance instance) {
  return Change(__func__, instance, [](Machine& machine, const Target& target) -> int {
    return DestroyInstance(machine, target.gpu, target.gpu_instance);
  });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstances(Device device, unsigned profile_id, GpuInstance* handles,
                                          unsigned* count) {
  return LookAtProfile(
      __func__, device, profile_id, &mig::Profile::driver_id,
      [&](const Machine& machine, const Target& target, const mig::Profile& profile) -> int {
        const SimGpu& gpu = machine.gpus[target.gpu];
        if (count == nullptr || handles == nullptr) return kInvalidArgument;
        if (!gpu.enabled) return kNotSupported;
        if (!IsRoot()) return kNoPermission;
        *count = 0;
        for (const SimInstance& instance : gpu.instances) {
          if (!instance.exists || &ProfileOf(gpu, instance) != &profile) continue;
          handles[(*count)++] = MakeHandle<GpuInstance>({target.gpu, instance.id});
        }
        std::sort(handles, handles + *count);
        return kSuccess;
      });
}

NVML_SIM_EXPORT nvmlDeviceGetGpuInstanceById(Device device, unsigned id, GpuInstance* handle) {
  return Look(__func__, device, [&](const Machine& machine, Target target) -> int {
    if (handle == nullptr) return kInvalidArgument;
    if (!IsRoot()) return kNoPermission;
    target = {.gpu = target.gpu, .gpu_instance = static_cast<int>(id)};
    if (Found(machine, target).instance == nullptr) return kNotFound;
    *handle = MakeHandle<GpuInstance>(target);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetInfo(GpuInstance handle, GpuInstanceInfo* info) {
  return Look(__func__, handle, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (info == nullptr) return kInvalidArgument;
    if (found.instance == nullptr) return kNotFound;
    const mig::Profile& profile = ProfileOf(found.gpu, *found.instance);
    *info = {.device = MakeHandle<Device>({.gpu = target.gpu}),
             .id = static_cast<unsigned>(found.instance->id),
             .profile_id = static_cast<unsigned>(profile.driver_id),
             .placement = {static_cast<unsigned>(found.instance->start),
                           static_cast<unsigned>(profile.memory_slices)}};
    return kSuccess;
  });
}

}  // namespace tepal::nvml_sim
