#include "partitioning/node_agent/features.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::node_agent {
namespace {

constexpr std::string_view kPrefix = "nvidia.com/";

// "NVIDIA A100-SXM4-40GB" as a label's value: "NVIDIA-A100-SXM4-40GB".
std::string LabelValue(std::string_view text) {
  std::string value(text.substr(0, 63));
  for (char& c : value) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    if (!good) c = '-';
  }
  while (!value.empty() && !((value.back() >= '0' && value.back() <= '9') ||
                             (value.back() >= 'A' && value.back() <= 'Z') ||
                             (value.back() >= 'a' && value.back() <= 'z'))) {
    value.pop_back();
  }
  return value;
}

// One kind of MIG device, however many there are.
struct Kind {
  const mig::Gpu* gpu = nullptr;
  const mig::Profile* profile = nullptr;
  int compute_slices = 0;
  uint64_t memory_bytes = 0;
  int multiprocessors = 0;
  int count = 0;
};

std::map<std::string, Kind> Kinds(std::span<const mig::Gpu> gpus) {
  std::map<std::string, Kind> kinds;
  for (const mig::Gpu& gpu : gpus) {
    for (const mig::GpuInstance& instance : gpu.instances) {
      if (instance.placement.profile == nullptr) continue;
      for (const mig::ComputeInstance& compute : instance.compute) {
        Kind& kind = kinds[mig::MigDeviceName(*instance.placement.profile, compute.slices)];
        kind = {&gpu,
                instance.placement.profile,
                compute.slices,
                compute.memory_bytes,
                compute.multiprocessors,
                kind.count + 1};
      }
    }
  }
  return kinds;
}

void AddKind(const std::string& device, const Kind& kind, const std::string& at, Labels& labels) {
  std::string product = Concat(LabelValue(kind.gpu->name), "-MIG-", device);
  labels[at + ".count"] = Concat(kind.count);
  labels[at + ".product"] = LabelValue(product);
  labels[at + ".replicas"] = "1";
  labels[at + ".memory"] = Concat(kind.memory_bytes >> 20);
  labels[at + ".multiprocessors"] = Concat(kind.multiprocessors);
  labels[at + ".slices.gi"] = Concat(kind.profile->compute_slices);
  labels[at + ".slices.ci"] = Concat(kind.compute_slices);
  labels[at + ".engines.copy"] = Concat(kind.profile->copy_engines);
  labels[at + ".engines.decoder"] = Concat(kind.profile->decoders);
  labels[at + ".engines.jpeg"] = Concat(kind.profile->jpeg_engines);
  labels[at + ".engines.ofa"] = Concat(kind.profile->ofa_engines);
}

}  // namespace

Labels FeatureLabels(std::span<const mig::Gpu> gpus, Strategy strategy) {
  Labels labels;
  std::vector<const mig::Gpu*> good;
  for (const mig::Gpu& gpu : gpus) {
    if (gpu.problem.empty()) good.push_back(&gpu);
  }
  if (good.empty()) return labels;
  const mig::Gpu& first = *good.front();
  const Offer offer = OfferOf(gpus, strategy);
  const bool capable =
      std::any_of(good.begin(), good.end(), [](auto* gpu) { return gpu->model != nullptr; });
  labels["nvidia.com/gpu.present"] = "true";
  labels["nvidia.com/gpu.product"] = LabelValue(first.name);
  labels["nvidia.com/gpu.memory"] = Concat(first.memory_bytes >> 20);
  labels["nvidia.com/mig.capable"] = capable ? "true" : "false";
  labels["nvidia.com/mig.strategy"] = ToString(strategy);
  size_t count = 0;
  for (const SlotPool& pool : offer.pools) {
    if (pool.resource == "nvidia.com/gpu") count = pool.slots.size();
  }
  // Under mixed, stock feature discovery counts the GPUs themselves.
  if (strategy != Strategy::kSingle) count = good.size();
  labels["nvidia.com/gpu.count"] = Concat(count);
  labels["nvidia.com/gpu.replicas"] = count == 0 ? "0" : "1";

  const std::map<std::string, Kind> kinds = Kinds(gpus);
  if (strategy == Strategy::kMixed) {
    for (const auto& [device, kind] : kinds) {
      AddKind(device, kind, Concat(kPrefix, ResourceSuffix(device)), labels);
    }
  }
  if (strategy == Strategy::kSingle) {
    if (!offer.problem.empty()) {
      labels["nvidia.com/gpu.product"] = Concat(LabelValue(first.name), "-MIG-INVALID");
      labels["nvidia.com/gpu.replicas"] = "0";
      labels["nvidia.com/gpu.memory"] = "0";
    } else if (first.mig_enabled && kinds.size() == 1) {
      AddKind(kinds.begin()->first, kinds.begin()->second, "nvidia.com/gpu", labels);
    }
  }
  return labels;
}

bool IsFeatureLabel(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  if (name.starts_with("mig-")) return true;
  for (const std::string_view mine :
       {"gpu.present", "gpu.product", "gpu.memory", "gpu.count", "gpu.replicas",
        "gpu.multiprocessors", "gpu.slices.gi", "gpu.slices.ci", "gpu.engines.copy",
        "gpu.engines.decoder", "gpu.engines.jpeg", "gpu.engines.ofa", "mig.capable",
        "mig.strategy"}) {
    if (name == mine) return true;
  }
  return false;
}

}  // namespace tepal::node_agent
