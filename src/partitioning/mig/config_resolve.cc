// A configuration beside the GPUs that are there.

#include <algorithm>

#include "core/base/text.h"
#include "partitioning/mig/config.h"

namespace tepal::mig {

namespace {

struct Named {
  const Profile* profile = nullptr;
  int compute = 0;  // Slices.
};

// "2c.3g.20gb" is two of the three compute slices of a 3g.20gb.
Result<Named> FindMigDevice(const GpuModel& model, std::string_view name) {
  std::string_view whole = name;
  int compute = 0;
  if (const size_t at = name.find("c."); at < name.find('g')) {
    compute = ParseNumber<int>(name.substr(0, at)).value_or(-1);
    whole.remove_prefix(at + 2);
  }
  const Profile* const profile = FindProfile(model, whole);
  if (profile == nullptr) {
    std::string all;
    for (const Profile& each : model.profiles)
      all += (all.empty() ? "" : ", ") + std::string(each.name);
    return InvalidArgument(Concat("no profile '", whole, "'; expected one of ", all));
  }
  if (compute == 0) compute = profile->compute_slices;
  if (ComputeStarts(*profile, compute) == 0) {
    return InvalidArgument(Concat(profile->name, " has no compute instance as in '", name, "'"));
  }
  return Named{profile, compute};
}

bool FitsIn(const WantedInstance& instance, const Named& device) {
  std::vector<int> compute = instance.compute;
  compute.push_back(device.compute);
  return instance.profile == device.profile && ComputeFits(*instance.profile, compute);
}

// Large ones first, each into the first instance that has room.
std::vector<WantedInstance> Pack(std::vector<Named> devices) {
  std::stable_sort(devices.begin(), devices.end(),
                   [](const Named& a, const Named& b) { return a.compute > b.compute; });
  std::vector<WantedInstance> instances;
  for (const Named& device : devices) {
    auto room = std::find_if(instances.begin(), instances.end(),
                             [&](const WantedInstance& there) { return FitsIn(there, device); });
    if (room == instances.end()) room = instances.insert(room, {.profile = device.profile});
    room->compute.push_back(device.compute);
  }
  return instances;
}

Result<WantedGpu> ResolveEntry(const ConfigEntry& entry, const Gpu& gpu) {
  WantedGpu wanted{.mig_enabled = entry.mig_enabled};
  if (!entry.mig_enabled) return wanted;
  if (!gpu.problem.empty()) return FailedPrecondition(gpu.problem);
  if (gpu.model == nullptr) return InvalidArgument(Concat(gpu.name, " cannot be partitioned"));
  ASSIGN_OR_RETURN(wanted.instances, InstancesOf(*gpu.model, entry.mig_devices));
  const GpuState empty{.model = gpu.model.get(), .mig_enabled = true, .mig_pending = true};
  RETURN_IF_ERROR(MakePlan(empty, wanted).status());
  return wanted;
}

}  // namespace

Result<std::vector<WantedInstance>> InstancesOf(
    const GpuModel& model, const std::vector<std::pair<std::string, int>>& mig_devices) {
  std::vector<Named> devices;
  for (const auto& [name, count] : mig_devices) {
    ASSIGN_OR_RETURN(const Named device, FindMigDevice(model, name));
    devices.insert(devices.end(), static_cast<size_t>(count), device);
  }
  return Pack(std::move(devices));
}

Result<std::map<int, WantedGpu>> Resolve(const Config& config, const std::vector<Gpu>& gpus) {
  std::map<int, WantedGpu> wanted;
  for (const Gpu& gpu : gpus) {
    const auto last = std::find_if(config.rbegin(), config.rend(),
                                   [&](const ConfigEntry& entry) { return entry.Matches(gpu); });
    if (last == config.rend()) continue;
    ASSIGN_OR_RETURN(wanted[gpu.index],
                     ResolveEntry(*last, gpu).WithContext(Concat("GPU ", gpu.index)));
  }
  if (wanted.empty()) return InvalidArgument("the configuration means none of the GPUs here");
  return wanted;
}

}  // namespace tepal::mig
