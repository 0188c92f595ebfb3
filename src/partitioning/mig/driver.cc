#include "partitioning/mig/driver.h"

#include <algorithm>

namespace tepal::mig {

namespace {

struct OwnedModel {
  std::string name;
  std::vector<ProfileText> texts;
  std::vector<Profile> profiles;
  GpuModel model;
};

bool InUse(const GpuInstance& instance, const std::set<std::string>& held) {
  return std::any_of(instance.compute.begin(), instance.compute.end(),
                     [&](const ComputeInstance& compute) {
                       return !compute.processes.empty() || held.contains(compute.uuid);
                     });
}

}  // namespace

GpuState StateOf(const Gpu& gpu, const std::set<std::string>& held) {
  GpuState state{.model = gpu.model.get(),
                 .mig_enabled = gpu.mig_enabled,
                 .mig_pending = gpu.mig_pending,
                 .in_use = !gpu.processes.empty() || held.contains(gpu.uuid)};
  for (const GpuInstance& instance : gpu.instances) {
    Instance seen{
        .id = instance.id, .placement = instance.placement, .in_use = InUse(instance, held)};
    for (const ComputeInstance& compute : instance.compute) seen.compute.push_back(compute.slices);
    state.instances.push_back(std::move(seen));
  }
  return state;
}

std::shared_ptr<const GpuModel> MakeModel(std::string name, const GpuModel& facts,
                                          std::vector<ProfileText> profiles) {
  auto owned =
      std::make_shared<OwnedModel>(OwnedModel{std::move(name), std::move(profiles), {}, facts});
  for (const ProfileText& text : owned->texts) {
    owned->profiles.push_back(text.profile);
    owned->profiles.back().name = text.name;
  }
  owned->model.name = owned->name;
  owned->model.alias = owned->name;
  owned->model.profiles = owned->profiles;
  return {owned, &owned->model};
}

}  // namespace tepal::mig
