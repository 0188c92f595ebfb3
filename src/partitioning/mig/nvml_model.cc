#include "partitioning/mig/nvml_model.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace tepal::mig {

namespace nvml = gpu::nvml;

namespace {

constexpr std::string_view kNamePrefix = "MIG ";

struct Found {
  ProfileText text;
  int instances_max = 0;
};

std::optional<Found> ReadProfile(const gpu::NvmlMigApi& api, nvml::Device device, unsigned number) {
  nvml::GpuInstanceProfileInfoV2 info = {};
  info.version = nvml::kVersion<nvml::GpuInstanceProfileInfoV2>;
  if (api.GetGpuProfile(device, number, &info) != nvml::kSuccess) return std::nullopt;
  info.name[nvml::kNameSize - 1] = '\0';
  std::string name = info.name;
  if (name.starts_with(kNamePrefix)) name.erase(0, kNamePrefix.size());
  const auto to_int = [](auto value) { return static_cast<int>(value); };
  return Found{.text = {.name = std::move(name),
                        .profile = {.name = {},
                                    .nvml_profile = to_int(number),
                                    .driver_id = to_int(info.id),
                                    .compute_slices = to_int(info.slices),
                                    .memory_slices = 0,
                                    .starts = 0,
                                    .memory_mib = to_int(info.memory_mib),
                                    .multiprocessors = to_int(info.multiprocessors),
                                    .copy_engines = to_int(info.copy),
                                    .decoders = to_int(info.decoders),
                                    .jpeg_engines = to_int(info.jpeg),
                                    .ofa_engines = to_int(info.ofa)}},
               .instances_max = to_int(info.instances)};
}

// Whether the driver told.
bool ReadPlacements(const gpu::NvmlMigApi& api, nvml::Device device, Profile& profile) {
  nvml::Placement placements[kMemorySlicesMax] = {};
  unsigned count = kMemorySlicesMax;
  const auto id = static_cast<unsigned>(profile.driver_id);
  if (api.GetGpuPlacements(device, id, placements, &count) != nvml::kSuccess) return false;
  for (unsigned i = 0; i < std::min(count, unsigned{kMemorySlicesMax}); ++i) {
    if (placements[i].start + placements[i].size > kMemorySlicesMax) continue;
    profile.memory_slices = static_cast<int>(placements[i].size);
    profile.starts = static_cast<uint16_t>(profile.starts | 1U << placements[i].start);
  }
  return profile.starts != 0;
}

void TakeFromTables(const GpuModel* known, const std::string& name, Profile& profile) {
  const Profile* const same = known == nullptr ? nullptr : FindProfile(*known, name);
  if (same == nullptr) return;
  profile.memory_slices = same->memory_slices;
  profile.starts = same->starts;
}

// An engine that equal instances are said to have more of than the whole GPU is shared by them:
// it limits nothing.
int EnginesOf(const std::vector<Found>& all, int Profile::*engines) {
  int most = 0;
  for (const Found& found : all) most = std::max(most, found.text.profile.*engines);
  for (const Found& found : all) {
    if (found.text.profile.*engines * found.instances_max > most) return kUnlimited;
  }
  return most;
}

Architecture ArchitectureOf(int cuda_major) {
  return cuda_major <= 8   ? Architecture::kAmpere
         : cuda_major == 9 ? Architecture::kHopper
                           : Architecture::kBlackwell;
}

}  // namespace

std::shared_ptr<const GpuModel> ReadModel(const gpu::NvmlMigApi& api, nvml::Device device,
                                          const Gpu& facts, bool& placements_known) {
  const GpuModel* const known = FindGpuModel(facts.name);
  std::vector<Found> all;
  placements_known = true;
  for (unsigned number = 0; number < nvml::kGpuProfileCount; ++number) {
    std::optional<Found> found = ReadProfile(api, device, number);
    if (!found) continue;
    if (!ReadPlacements(api, device, found->text.profile)) {
      placements_known = false;
      TakeFromTables(known, found->text.name, found->text.profile);
    }
    all.push_back(std::move(*found));
  }
  if (all.empty()) return nullptr;
  std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
    const auto key = [](const Profile& p) {
      return std::tuple(p.compute_slices, p.memory_slices, p.nvml_profile);
    };
    return key(a.text.profile) < key(b.text.profile);
  });
  GpuModel model{.name = {},
                 .alias = {},
                 .pci_device_id = facts.pci_device_id,
                 .architecture = ArchitectureOf(facts.cuda_major),
                 .compute_slices = 0,
                 .memory_slices = 0,
                 .memory_mib = static_cast<int>(facts.memory_bytes >> 20),
                 .confirmed = true,
                 .profiles = {},
                 .decoders = EnginesOf(all, &Profile::decoders),
                 .ofa_engines = EnginesOf(all, &Profile::ofa_engines)};
  std::vector<ProfileText> texts;
  for (Found& found : all) {
    const Profile& profile = found.text.profile;
    model.compute_slices = std::max(model.compute_slices, profile.compute_slices);
    model.memory_slices = std::max(model.memory_slices, profile.memory_slices);
    texts.push_back(std::move(found.text));
  }
  return MakeModel(facts.name, model, std::move(texts));
}

}  // namespace tepal::mig
