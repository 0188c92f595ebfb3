#include "partitioning/mig/export.h"

#include <algorithm>
#include <set>

#include "core/base/text.h"

namespace tepal::mig {

namespace {

using Counts = std::vector<std::pair<std::string, int>>;

void Add(Counts& counts, const std::string& name) {
  const auto found = std::find_if(counts.begin(), counts.end(),
                                  [&](const auto& each) { return each.first == name; });
  if (found == counts.end()) {
    counts.emplace_back(name, 1);
  } else {
    ++found->second;
  }
}

Counts MigDevicesOf(const Gpu& gpu) {
  Counts counts;
  for (const GpuInstance& instance : gpu.instances) {
    for (const ComputeInstance& compute : instance.compute) {
      Add(counts, MigDeviceName(*instance.placement.profile, compute.slices));
    }
  }
  std::sort(counts.begin(), counts.end());
  return counts;
}

// GPUs of these PCI ids, by index.
std::vector<int> IndicesOf(const std::vector<Gpu>& gpus, const std::set<uint32_t>& models) {
  std::vector<int> indices;
  for (const Gpu& gpu : gpus) {
    if (models.contains(gpu.pci_device_id)) indices.push_back(gpu.index);
  }
  return indices;
}

std::vector<DeviceFilter> Filters(const std::set<uint32_t>& models) {
  std::vector<DeviceFilter> filters;
  for (const uint32_t model : models) filters.push_back({.device = model});
  return filters;
}

std::string ConfigName(std::string_view profile) {
  std::string name = Concat("all-", profile);
  std::replace(name.begin(), name.end(), '+', '.');
  return name;
}

// One GPU of each model.
std::vector<const Gpu*> Models(const std::vector<Gpu>& gpus) {
  std::vector<const Gpu*> models;
  std::set<uint32_t> seen;
  for (const Gpu& gpu : gpus) {
    if (gpu.model != nullptr && seen.insert(gpu.pci_device_id).second) models.push_back(&gpu);
  }
  return models;
}

// Of `slices`, the plain one with the least memory; null when there is none.
const Profile* PlainProfile(const GpuModel& model, int slices) {
  const Profile* best = nullptr;
  for (const Profile& profile : model.profiles) {
    const bool plain = profile.name.find_first_of("+-") == std::string_view::npos;
    if (!plain || profile.compute_slices != slices) continue;
    if (best == nullptr || profile.memory_slices < best->memory_slices) best = &profile;
  }
  return best;
}

// Two of one slice, one of two and, on a large GPU, one of three.
Counts Balanced(const GpuModel& model) {
  Counts counts;
  for (int slices = 1; slices <= (model.compute_slices >= 6 ? 3 : 2); ++slices) {
    const Profile* const profile = PlainProfile(model, slices);
    if (profile == nullptr) return {};
    counts.emplace_back(profile->name, slices == 1 ? 2 : 1);
  }
  return counts;
}

Config BalancedConfig(const std::vector<const Gpu*>& models) {
  Config config;
  for (const Gpu* gpu : models) {
    Counts counts = Balanced(*gpu->model);
    if (counts.empty()) continue;
    config.push_back({.mig_enabled = true, .mig_devices = std::move(counts)});
    if (models.size() > 1) config.back().filters = Filters({gpu->pci_device_id});
  }
  return config;
}

Config ProfileConfig(const std::vector<const Gpu*>& models, const std::string& name) {
  std::map<int, std::set<uint32_t>> models_by_count;
  for (const Gpu* gpu : models) {
    const Profile* const profile = FindProfile(*gpu->model, name);
    if (profile == nullptr) continue;
    models_by_count[RemainingCapacity(*gpu->model, {}, *profile)].insert(gpu->pci_device_id);
  }
  Config config;
  for (const auto& [count, of] : models_by_count) {
    config.push_back({.mig_enabled = true, .mig_devices = {{name, count}}});
    if (models.size() > 1) config.back().filters = Filters(of);
  }
  return config;
}

}  // namespace

Result<ConfigFile> ExportConfig(const std::vector<Gpu>& gpus, const std::string& name) {
  struct Group {
    ConfigEntry entry;
    std::set<uint32_t> models;
    std::vector<int> indices;
  };
  std::vector<Group> groups;
  std::set<uint32_t> models;
  for (const Gpu& gpu : gpus) {
    if (!gpu.problem.empty())
      return FailedPrecondition(Concat("GPU ", gpu.index, ": ", gpu.problem));
    models.insert(gpu.pci_device_id);
    const Counts counts = MigDevicesOf(gpu);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.entry.mig_enabled == gpu.mig_enabled && g.entry.mig_devices == counts;
    });
    if (group == groups.end()) {
      group =
          groups.insert(group, {.entry = {.mig_enabled = gpu.mig_enabled, .mig_devices = counts},
                                .models = {},
                                .indices = {}});
    }
    group->models.insert(gpu.pci_device_id);
    group->indices.push_back(gpu.index);
  }
  Config config;
  for (Group& group : groups) {
    if (models.size() > 1 && groups.size() > 1) group.entry.filters = Filters(group.models);
    if (group.indices != IndicesOf(gpus, group.models)) group.entry.devices = group.indices;
    config.push_back(std::move(group.entry));
  }
  return ConfigFile{.configs = {{name, std::move(config)}}};
}

Result<ConfigFile> GenerateConfig(const std::vector<Gpu>& gpus) {
  const std::vector<const Gpu*> models = Models(gpus);
  if (models.empty()) return FailedPrecondition("no GPU here can be partitioned");
  ConfigFile file;
  file.configs.emplace_back("all-disabled", Config{{.mig_enabled = false}});
  file.configs.emplace_back("all-enabled", Config{{.mig_enabled = true}});
  if (Config balanced = BalancedConfig(models); !balanced.empty()) {
    file.configs.emplace_back("all-balanced", std::move(balanced));
  }
  std::set<std::string> names;
  for (const Gpu* gpu : models) {
    for (const Profile& profile : gpu->model->profiles) names.emplace(profile.name);
  }
  for (const std::string& name : names) {
    file.configs.emplace_back(ConfigName(name), ProfileConfig(models, name));
  }
  return file;
}

}  // namespace tepal::mig
