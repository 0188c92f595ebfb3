// NVML: compute instances inside a GPU instance.

#include <algorithm>
#include <bit>
#include <cstdio>

#include "sim/nvml/call.h"

namespace tepal::nvml_sim {

namespace {

// Slices by NVML_COMPUTE_INSTANCE_PROFILE_*, which the driver uses as id as well.
constexpr int kSlicesOf[] = {1, 2, 3, 4, 7};

int ProfileOfSlices(int slices) {
  return static_cast<int>(std::find(std::begin(kSlicesOf), std::end(kSlicesOf), slices) -
                          std::begin(kSlicesOf));
}

// For functions that get a GPU instance and a compute profile: `work(machine, target, found,
// slices)`.
template <typename Work>
int LookAtProfile(const char* function, GpuInstance handle, unsigned profile, Work work) {
  return Look(function, handle, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (found.instance == nullptr) return kNotFound;
    if (profile >= kComputeProfileCount) return kInvalidArgument;
    const int slices = profile < std::size(kSlicesOf) ? kSlicesOf[profile] : 0;
    if (mig::ComputeStarts(ProfileOf(found.gpu, *found.instance), slices) == 0) {
      return kNotSupported;
    }
    return work(machine, target, found, slices);
  });
}

void Fill(const Found& found, unsigned profile_id, int slices, ComputeInstanceProfileInfo& info) {
  const mig::Profile& profile = ProfileOf(found.gpu, *found.instance);
  const auto number = [](int value) { return static_cast<unsigned>(value); };
  info = {.id = profile_id,
          .slices = number(slices),
          .instances = number(std::popcount(mig::ComputeStarts(profile, slices))),
          .multiprocessors = number(mig::ComputeMultiprocessors(found.model, profile, slices)),
          .copy = number(profile.copy_engines),
          .decoders = number(profile.decoders),
          .encoders = 0,
          .jpeg = number(profile.jpeg_engines),
          .ofa = number(profile.ofa_engines)};
}

int Create(const char* function, GpuInstance instance, unsigned profile, const Placement* placement,
           ComputeInstance* handle) {
  return Change(function, instance, [&](Machine& machine, const Target& target) -> int {
    if (handle == nullptr || profile >= std::size(kSlicesOf)) return kInvalidArgument;
    int id = 0;
    const Return created =
        CreateCompute(machine, target.gpu, target.gpu_instance, kSlicesOf[profile], placement, id);
    if (created == kSuccess) {
      *handle = MakeHandle<ComputeInstance>({target.gpu, target.gpu_instance, id});
    }
    return created;
  });
}

}  // namespace

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstanceProfileInfo(GpuInstance instance, unsigned profile,
                                                             unsigned engines,
                                                             ComputeInstanceProfileInfo* info) {
  return LookAtProfile(__func__, instance, profile,
                       [&](const Machine&, const Target&, const Found& found, int slices) -> int {
                         if (info == nullptr || engines != 0) return kInvalidArgument;
                         Fill(found, profile, slices, *info);
                         return kSuccess;
                       });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstanceProfileInfoV(GpuInstance instance,
                                                              unsigned profile, unsigned engines,
                                                              void* info) {
  return LookAtProfile(__func__, instance, profile,
                       [&](const Machine&, const Target&, const Found& found, int slices) -> int {
                         if (info == nullptr || engines != 0) return kInvalidArgument;
                         const std::string name =
                             "MIG " +
                             mig::MigDeviceName(ProfileOf(found.gpu, *found.instance), slices);
                         const unsigned version = *static_cast<unsigned*>(info);
                         if (version == kVersion<ComputeInstanceProfileInfoV2>) {
                           auto& v2 = *static_cast<ComputeInstanceProfileInfoV2*>(info);
                           Fill(found, profile, slices, v2.info);
                           return CopyText(name, v2.name, sizeof(v2.name));
                         }
                         if (version == kVersion<ComputeInstanceProfileInfoV3>) {
                           auto& v3 = *static_cast<ComputeInstanceProfileInfoV3*>(info);
                           Fill(found, profile, slices, v3.info);
                           v3.capabilities = 0;
                           return CopyText(name, v3.name, sizeof(v3.name));
                         }
                         return kArgumentVersionMismatch;
                       });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstanceRemainingCapacity(GpuInstance instance,
                                                                   unsigned profile,
                                                                   unsigned* count) {
  return LookAtProfile(__func__, instance, profile,
                       [&](const Machine&, const Target&, const Found& found, int slices) -> int {
                         if (count == nullptr) return kInvalidArgument;
                         if (!IsRoot()) return kNoPermission;
                         // Equal sizes start apart from each other: each free start is one more.
                         *count = static_cast<unsigned>(
                             std::popcount(FreeComputeStarts(found.gpu, *found.instance, slices)));
                         return kSuccess;
                       });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstancePossiblePlacements(GpuInstance instance,
                                                                    unsigned profile,
                                                                    Placement* placements,
                                                                    unsigned* count) {
  return LookAtProfile(__func__, instance, profile,
                       [&](const Machine&, const Target&, const Found& found, int slices) -> int {
                         if (count == nullptr) return kInvalidArgument;
                         if (!IsRoot()) return kNoPermission;
                         const unsigned starts =
                             mig::ComputeStarts(ProfileOf(found.gpu, *found.instance), slices);
                         const auto legal = static_cast<unsigned>(std::popcount(starts));
                         if (placements != nullptr) {
                           if (*count < legal) return kInsufficientSize;
                           for (unsigned start = 0; start < mig::kSlicesMax; ++start) {
                             if ((starts >> start & 1) == 0) continue;
                             *placements++ = {start, static_cast<unsigned>(slices)};
                           }
                         }
                         *count = legal;
                         return kSuccess;
                       });
}

NVML_SIM_EXPORT nvmlGpuInstanceCreateComputeInstance(GpuInstance instance, unsigned profile,
                                                     ComputeInstance* handle) {
  return Create(__func__, instance, profile, nullptr, handle);
}

NVML_SIM_EXPORT nvmlGpuInstanceCreateComputeInstanceWithPlacement(GpuInstance instance,
                                                                  unsigned profile,
                                                                  const Placement* placement,
                                                                  ComputeInstance* handle) {
  return placement == nullptr ? kInvalidArgument
                              : Create(__func__, instance, profile, placement, handle);
}

NVML_SIM_EXPORT nvmlComputeInstanceDestroy(ComputeInstance instance) {
  return Change(__func__, instance, [](Machine& machine, const Target& target) -> int {
    return DestroyCompute(machine, target.gpu, target.gpu_instance, target.compute_instance);
  });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstances(GpuInstance instance, unsigned profile,
                                                   ComputeInstance* handles, unsigned* count) {
  return LookAtProfile(
      __func__, instance, profile,
      [&](const Machine&, const Target& target, const Found& found, int slices) -> int {
        if (handles == nullptr || count == nullptr) return kInvalidArgument;
        if (!IsRoot()) return kNoPermission;
        *count = 0;
        for (const SimCompute& compute : found.instance->compute) {
          if (!compute.exists || compute.slices != slices) continue;
          handles[(*count)++] =
              MakeHandle<ComputeInstance>({target.gpu, target.gpu_instance, compute.id});
        }
        std::sort(handles, handles + *count);
        return kSuccess;
      });
}

NVML_SIM_EXPORT nvmlGpuInstanceGetComputeInstanceById(GpuInstance instance, unsigned id,
                                                      ComputeInstance* handle) {
  return Look(__func__, instance, [&](const Machine& machine, Target target) -> int {
    if (handle == nullptr) return kInvalidArgument;
    if (!IsRoot()) return kNoPermission;
    target.compute_instance = static_cast<int>(id);
    if (Found(machine, target).compute == nullptr) return kNotFound;
    *handle = MakeHandle<ComputeInstance>(target);
    return kSuccess;
  });
}

NVML_SIM_EXPORT nvmlComputeInstanceGetInfo_v2(ComputeInstance handle, ComputeInstanceInfo* info) {
  return Look(__func__, handle, [&](const Machine& machine, const Target& target) -> int {
    const Found found(machine, target);
    if (info == nullptr) return kInvalidArgument;
    if (found.compute == nullptr) return kNotFound;
    *info = {.device = MakeHandle<Device>({.gpu = target.gpu}),
             .gpu_instance = MakeHandle<GpuInstance>({target.gpu, target.gpu_instance}),
             .id = static_cast<unsigned>(found.compute->id),
             .profile_id = static_cast<unsigned>(ProfileOfSlices(found.compute->slices)),
             .placement = {static_cast<unsigned>(found.compute->start),
                           static_cast<unsigned>(found.compute->slices)}};
    return kSuccess;
  });
}

}  // namespace tepal::nvml_sim
