#include "partitioning/node_agent/slots.h"

#include <algorithm>
#include <map>

#include "core/base/text.h"

namespace tepal::node_agent {
namespace {

constexpr std::string_view kGpuResource = "nvidia.com/gpu";

Slot WholeGpu(const mig::Gpu& gpu) {
  Slot slot;
  slot.uuid = gpu.uuid;
  slot.gpu = gpu.index;
  return slot;
}

std::vector<Slot> MigDevices(const mig::Gpu& gpu) {
  std::vector<Slot> slots;
  for (const mig::GpuInstance& instance : gpu.instances) {
    if (instance.placement.profile == nullptr) continue;
    for (const mig::ComputeInstance& compute : instance.compute) {
      Slot slot;
      slot.uuid = compute.uuid;
      slot.gpu = gpu.index;
      slot.gpu_instance = instance.id;
      slot.compute_instance = compute.id;
      slot.start = instance.placement.start;
      slot.device = mig::MigDeviceName(*instance.placement.profile, compute.slices);
      slots.push_back(std::move(slot));
    }
  }
  return slots;
}

using Pools = std::map<std::string, std::vector<Slot>>;

void Append(std::vector<Slot>& to, std::vector<Slot> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

void OfferMixed(std::span<const mig::Gpu> gpus, Pools& pools) {
  for (const mig::Gpu& gpu : gpus) {
    if (!gpu.problem.empty()) continue;
    if (!gpu.mig_enabled) {
      pools[std::string(kGpuResource)].push_back(WholeGpu(gpu));
      continue;
    }
    for (Slot& slot : MigDevices(gpu)) {
      const std::string resource = Concat("nvidia.com/", ResourceSuffix(slot.device));
      pools[resource].push_back(std::move(slot));
    }
  }
}

// Empty, or why it cannot be.
std::string OfferSingle(std::span<const mig::Gpu> gpus, Pools& pools) {
  size_t enabled = 0, all = 0;
  std::vector<Slot> slots;
  for (const mig::Gpu& gpu : gpus) {
    if (!gpu.problem.empty()) continue;
    ++all;
    enabled += gpu.mig_enabled;
    std::vector<Slot> devices =
        gpu.mig_enabled ? MigDevices(gpu) : std::vector<Slot>{WholeGpu(gpu)};
    if (devices.empty()) {
      return Concat("strategy single: GPU ", gpu.index, " has MIG on and no MIG device");
    }
    Append(slots, std::move(devices));
  }
  if (enabled != 0 && enabled != all) {
    return Concat("strategy single: MIG is on for ", enabled, " of ", all,
                  " GPUs, expected all or none");
  }
  for (const Slot& slot : slots) {
    if (slot.device != slots.front().device) {
      return Concat("strategy single: MIG devices of more than one kind: ", slots.front().device,
                    " and ", slot.device);
    }
  }
  if (!slots.empty()) pools[std::string(kGpuResource)] = std::move(slots);
  return {};
}

}  // namespace

Result<Strategy> ParseStrategy(std::string_view text) {
  if (text == "none") return Strategy::kNone;
  if (text == "single") return Strategy::kSingle;
  if (text == "mixed") return Strategy::kMixed;
  return InvalidArgument(Concat("got '", text, "', expected none, single or mixed"));
}

std::string_view ToString(Strategy strategy) {
  switch (strategy) {
    case Strategy::kNone:
      return "none";
    case Strategy::kSingle:
      return "single";
    case Strategy::kMixed:
      return "mixed";
  }
  return {};
}

std::string ResourceSuffix(std::string_view device) {
  std::string suffix = Concat("mig-", device);
  std::replace(suffix.begin(), suffix.end(), '+', '.');
  return suffix;
}

Offer OfferOf(std::span<const mig::Gpu> gpus, Strategy strategy) {
  Offer offer;
  Pools pools;
  switch (strategy) {
    case Strategy::kNone:
      for (const mig::Gpu& gpu : gpus) {
        if (gpu.problem.empty() && !gpu.mig_enabled) {
          pools[std::string(kGpuResource)].push_back(WholeGpu(gpu));
        }
      }
      break;
    case Strategy::kSingle:
      offer.problem = OfferSingle(gpus, pools);
      break;
    case Strategy::kMixed:
      OfferMixed(gpus, pools);
      break;
  }
  for (auto& [resource, slots] : pools) offer.pools.push_back({resource, std::move(slots)});
  return offer;
}

std::vector<std::string> Prefer(std::span<const Slot> all,
                                const std::vector<std::string>& available,
                                const std::vector<std::string>& must, size_t count) {
  const auto among = [](const std::vector<std::string>& list, const std::string& uuid) {
    return std::find(list.begin(), list.end(), uuid) != list.end();
  };
  std::map<int, size_t> free_of_gpu;  // What is not available is taken.
  std::map<int, size_t> must_of_gpu;
  std::vector<const Slot*> candidates;
  for (const Slot& slot : all) {
    if (among(must, slot.uuid)) {
      ++must_of_gpu[slot.gpu];
    } else if (among(available, slot.uuid)) {
      ++free_of_gpu[slot.gpu];
      candidates.push_back(&slot);
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [&](const Slot* a, const Slot* b) {
    const auto rank = [&](const Slot* slot) {
      return std::make_tuple(must_of_gpu.contains(slot->gpu) ? 0 : 1, free_of_gpu[slot->gpu],
                             slot->gpu, slot->start);
    };
    return rank(a) < rank(b);
  });
  std::vector<std::string> chosen = must;
  for (const Slot* slot : candidates) {
    if (chosen.size() >= count) break;
    chosen.push_back(slot->uuid);
  }
  return chosen;
}

bool Health::OnXid(const mig::XidEvent& event, std::span<const mig::Gpu> gpus) {
  for (const uint64_t harmless : {13u, 31u, 43u, 45u, 68u, 109u}) {
    if (event.xid == harmless) return false;
  }
  bool changed = false;
  for (const mig::Gpu& gpu : gpus) {
    if (gpu.index != event.gpu) continue;
    if (event.gpu_instance < 0) changed = struck_.insert(gpu.uuid).second || changed;
    for (const Slot& slot : MigDevices(gpu)) {
      const bool hit =
          event.gpu_instance < 0 ||
          (slot.gpu_instance == event.gpu_instance &&
           (event.compute_instance < 0 || slot.compute_instance == event.compute_instance));
      if (hit) changed = struck_.insert(slot.uuid).second || changed;
    }
  }
  return changed;
}

void Health::Apply(Offer& offer) const {
  for (SlotPool& pool : offer.pools) {
    for (Slot& slot : pool.slots) slot.healthy = !struck_.contains(slot.uuid);
  }
}

}  // namespace tepal::node_agent
