// The slots that GPUs have.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "apps/supervisor/slots.h"
#include "core/base/text.h"

namespace tepal::supervisor {
namespace {

bool Names(const std::vector<std::string>& list, const mig::Gpu& gpu) {
  return list.empty() || std::any_of(list.begin(), list.end(), [&](const std::string& text) {
           return text == gpu.uuid || text == std::to_string(gpu.index);
         });
}

Slot MigSlot(const mig::Gpu& gpu, const mig::GpuInstance& instance,
             const mig::ComputeInstance& compute) {
  const mig::Placement& placement = instance.placement;
  Slot slot{.id = compute.uuid, .device = compute.uuid, .gpu = gpu.index, .model = gpu.model};
  slot.placement = placement;
  slot.name = Concat("GPU ", gpu.index, " ");
  slot.name += placement.profile == nullptr
                   ? Concat("MIG device ", instance.id, "/", compute.id)
                   : mig::MigDeviceName(*placement.profile, compute.slices);
  if (placement.start >= 0) slot.name += Concat(" at ", placement.start);
  // Two devices of one instance lie at one place.
  if (instance.compute.size() > 1) slot.name += Concat(", compute ", compute.id);
  return slot;
}

bool Allows(const SlotsConfig& config, const Slot& slot) {
  const mig::Profile* const profile = slot.placement.profile;
  if (config.profiles.empty()) return true;
  return profile != nullptr && std::find(config.profiles.begin(), config.profiles.end(),
                                         profile->name) != config.profiles.end();
}

std::string WhyNone(const mig::Gpu& gpu, const SlotsConfig& config, bool devices) {
  if (!gpu.problem.empty()) return gpu.problem;
  if (!gpu.mig_enabled) return "MIG is off, and slots.source is mig; `tepal mig apply` switches it";
  if (config.source == SlotSource::kGpu) return "MIG is on, and slots.source is gpu";
  if (devices) return "none of its MIG devices has a profile of slots.profiles";
  return gpu.mig_pending ? "MIG is on and there is no MIG device yet; `tepal mig apply` makes them"
                         : "MIG is to be switched off at the next reset of the GPU";
}

}  // namespace

GpuSlots SlotsOf(std::span<const mig::Gpu> gpus, const SlotsConfig& config) {
  GpuSlots found;
  std::vector<std::pair<std::string, std::string>> without;  // Why, and which GPUs.
  for (const mig::Gpu& gpu : gpus) {
    if (!Names(config.gpus, gpu)) continue;
    const size_t before = found.slots.size();
    bool devices = false;
    if (!gpu.problem.empty()) {
      // Nobody can say what it has.
    } else if (!gpu.mig_enabled) {
      if (config.source != SlotSource::kMig) {
        found.slots.push_back({.id = gpu.uuid,
                               .name = Concat("GPU ", gpu.index),
                               .device = gpu.uuid,
                               .gpu = gpu.index,
                               .model = gpu.model});
      }
    } else if (config.source != SlotSource::kGpu) {
      std::vector<const mig::GpuInstance*> instances;
      for (const mig::GpuInstance& instance : gpu.instances) instances.push_back(&instance);
      std::stable_sort(instances.begin(), instances.end(), [](const auto* a, const auto* b) {
        return a->placement.start < b->placement.start;
      });
      for (const mig::GpuInstance* instance : instances) {
        for (const mig::ComputeInstance& compute : instance->compute) {
          devices = true;
          Slot slot = MigSlot(gpu, *instance, compute);
          if (Allows(config, slot)) found.slots.push_back(std::move(slot));
        }
      }
    }
    if (found.slots.size() > before) continue;
    const std::string why = WhyNone(gpu, config, devices);
    const auto same = std::find_if(without.begin(), without.end(),
                                   [&](const auto& group) { return group.first == why; });
    if (same == without.end()) {
      without.emplace_back(why, std::to_string(gpu.index));
    } else {
      same->second += Concat(", ", gpu.index);
    }
  }
  for (const auto& [why, which] : without) {
    found.notes.push_back(Concat("no slot on GPU ", which, ": ", why));
  }
  return found;
}

Status CheckSlots(std::span<const mig::Gpu> gpus, const SlotsConfig& config) {
  for (const std::string& text : config.gpus) {
    const auto named = [&](const mig::Gpu& gpu) { return Names({text}, gpu); };
    if (std::any_of(gpus.begin(), gpus.end(), named)) continue;
    return InvalidArgument(Concat("field 'slots.gpus': got '", text,
                                  "', expected indices of GPUs from 0 to ", gpus.size() - 1,
                                  " or their UUIDs (`nvidia-smi -L`)"));
  }
  std::set<std::string_view> profiles;
  for (const mig::Gpu& gpu : gpus) {
    if (gpu.model == nullptr) continue;
    for (const mig::Profile& profile : gpu.model->profiles) profiles.insert(profile.name);
  }
  for (const std::string& text : config.profiles) {
    if (profiles.contains(text)) continue;
    std::string known;
    for (const std::string_view name : profiles) known += Concat(known.empty() ? "" : ", ", name);
    return InvalidArgument(Concat("field 'slots.profiles': got '", text, "', expected ",
                                  known.empty() ? "none: no GPU here can be partitioned" : known));
  }
  return {};
}

std::string Describe(const GpuSlots& found) {
  std::map<std::string, int> kinds;
  std::map<int, int> gpus;
  for (const Slot& slot : found.slots) {
    ++gpus[slot.gpu];
    const mig::Profile* const profile = slot.placement.profile;
    ++kinds[slot.device.starts_with("GPU-") ? "whole GPU"
            : profile == nullptr            ? "MIG device"
                                            : std::string(profile->name)];
  }
  std::string text =
      Concat(found.slots.size(), found.slots.size() == 1 ? " slot on " : " slots on ", gpus.size(),
             gpus.size() == 1 ? " GPU" : " GPUs");
  const char* separator = ": ";
  for (const auto& [kind, count] : kinds) {
    text += Concat(std::exchange(separator, ", "), count, " x ", kind);
  }
  return text;
}

}  // namespace tepal::supervisor
