#include "serving/model_config/normalise.h"

#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "core/proto/model_config.pb.h"

namespace tepal {
namespace {

constexpr uint64_t kSequenceIdleDefaultUs = 1000000;
constexpr int32_t kInstancesDefault = 1;
// Two instances overlap one's copies with the other's execution.
constexpr int32_t kOnnxRuntimeCpuInstancesDefault = 2;
constexpr std::string_view kEnsemblePlatform = "ensemble";

struct KnownBackend {
  std::string_view backend;
  std::string_view platform;  // Empty: the backend has none.
  std::string_view filename;
};

// In the order in which a version's files are matched.
constexpr std::array<KnownBackend, 5> kKnownBackends = {
    {{"tensorrt", "tensorrt_plan", "model.plan"},
     {"onnxruntime", "onnxruntime_onnx", "model.onnx"},
     {"openvino", "", "model.xml"},
     {"pytorch", "pytorch_libtorch", "model.pt"},
     {"python", "", "model.py"}}};

// The backend that platform or file name stand for.
const KnownBackend* FromNames(const inference::ModelConfig& config) {
  for (const KnownBackend& known : kKnownBackends) {
    if (!known.platform.empty() && config.platform() == known.platform) return &known;
    if (config.default_model_filename() == known.filename) return &known;
  }
  return nullptr;
}

const KnownBackend* FromFiles(std::span<const std::string> files) {
  for (const KnownBackend& known : kKnownBackends) {
    if (std::find(files.begin(), files.end(), known.filename) != files.end()) return &known;
  }
  return nullptr;
}

void FillFromBackend(inference::ModelConfig& config) {
  for (const KnownBackend& known : kKnownBackends) {
    if (config.backend() != known.backend) continue;
    if (config.platform().empty()) config.set_platform(std::string(known.platform));
    if (config.default_model_filename().empty()) {
      config.set_default_model_filename(std::string(known.filename));
    }
  }
}

// "model.identity" names its backend.
Status CompleteFromModelName(inference::ModelConfig& config, std::string_view model_name) {
  const size_t dot = model_name.find('.');
  if (dot == std::string_view::npos || dot + 1 == model_name.size()) {
    return InvalidArgument(
        Concat("Invalid model name: Could not determine backend for model '", model_name,
               "' with no backend in model configuration. Expected model name of the form "
               "'model.<backend_name>'."));
  }
  const std::string backend(model_name.substr(dot + 1));
  config.set_backend(backend);
  config.set_default_model_filename("model." + backend);
  return {};
}

using Group = inference::ModelInstanceGroup;

bool Contains(const std::vector<int32_t>& numbers, int32_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

// The group of a configuration that has none.
void AddDefaultGroup(inference::ModelConfig& config, const InstancePlacement& placement) {
  Group& group = *config.add_instance_group();
  group.set_name(config.name());
  for (const InstanceGroup& preferred : placement.preferred) {
    if (preferred.kind == InstanceGroup::Kind::kGpu && placement.gpus.empty()) continue;
    for (const int32_t gpu : preferred.gpus) {
      const bool usable = Contains(placement.gpus, gpu);
      if (preferred.kind == InstanceGroup::Kind::kAuto || usable) group.add_gpus(gpu);
    }
    group.set_kind(static_cast<Group::Kind>(preferred.kind));
    group.set_count(preferred.count);
    break;
  }
}

void ResolveKind(Group& group, const InstancePlacement& placement) {
  if (group.kind() != Group::KIND_AUTO) return;
  // A backend that names only groups on the CPU cannot do anything with a GPU.
  const bool cpu_only =
      !placement.preferred.empty() &&
      std::all_of(placement.preferred.begin(), placement.preferred.end(),
                  [](const InstanceGroup& p) { return p.kind == InstanceGroup::Kind::kCpu; });
  const bool all_usable = std::all_of(group.gpus().begin(), group.gpus().end(),
                                      [&](int32_t gpu) { return Contains(placement.gpus, gpu); });
  group.set_kind(!placement.gpus.empty() && all_usable && !cpu_only ? Group::KIND_GPU
                                                                    : Group::KIND_CPU);
}

// What the backend would like for a group of this kind.
void ApplyPreferred(Group& group, const InstancePlacement& placement) {
  for (const InstanceGroup& preferred : placement.preferred) {
    if (static_cast<int>(preferred.kind) != static_cast<int>(group.kind())) continue;
    if (group.kind() == Group::KIND_GPU && group.gpus().empty() && !preferred.gpus.empty()) {
      for (const int32_t gpu : preferred.gpus) {
        if (Contains(placement.gpus, gpu)) group.add_gpus(gpu);
      }
      if (group.gpus().empty()) continue;
    }
    if (group.count() < 1 && preferred.count > 0) group.set_count(preferred.count);
  }
}

}  // namespace

Status CompleteBackend(ConfigDraft& draft, std::string_view model_name,
                       std::span<const std::string> version_files) {
  inference::ModelConfig& config = draft.message();
  if (config.name().empty()) config.set_name(std::string(model_name));
  if (config.platform() == kEnsemblePlatform) return {};
  if (config.backend().empty()) {
    const bool silent = config.platform().empty() && config.default_model_filename().empty();
    const KnownBackend* known = silent ? FromFiles(version_files) : FromNames(config);
    if (known != nullptr) {
      config.set_backend(std::string(known->backend));
    } else if (silent) {
      return CompleteFromModelName(config, model_name);
    }
  }
  FillFromBackend(config);
  return {};
}

void Normalise(ConfigDraft& draft) {
  inference::ModelConfig& config = draft.message();
  if (!config.has_version_policy()) {
    config.mutable_version_policy()->mutable_latest()->set_num_versions(1);
  }
  const int32_t batch_max = config.max_batch_size();
  if (config.has_dynamic_batching() && batch_max > 0 &&
      config.dynamic_batching().preferred_batch_size().empty()) {
    config.mutable_dynamic_batching()->add_preferred_batch_size(batch_max);
  }
  if (config.has_sequence_batching()) {
    auto& sequences = *config.mutable_sequence_batching();
    if (sequences.max_sequence_idle_microseconds() == 0) {
      sequences.set_max_sequence_idle_microseconds(kSequenceIdleDefaultUs);
    }
    if (sequences.has_oldest() && batch_max > 0 &&
        sequences.oldest().preferred_batch_size().empty()) {
      sequences.mutable_oldest()->add_preferred_batch_size(batch_max);
    }
  }
  if (config.has_ensemble_scheduling()) return;
  auto& optimization = *config.mutable_optimization();
  if (!optimization.has_input_pinned_memory()) {
    optimization.mutable_input_pinned_memory()->set_enable(true);
  }
  if (!optimization.has_output_pinned_memory()) {
    optimization.mutable_output_pinned_memory()->set_enable(true);
  }
}

void NormaliseInstanceGroups(ConfigDraft& draft, const InstancePlacement& placement) {
  inference::ModelConfig& config = draft.message();
  if (config.has_ensemble_scheduling()) return;
  if (config.instance_group().empty()) AddDefaultGroup(config, placement);
  int number = 0;
  for (Group& group : *config.mutable_instance_group()) {
    if (group.name().empty()) group.set_name(Concat(config.name(), "_", number));
    ++number;
    ResolveKind(group, placement);
    ApplyPreferred(group, placement);
    if (group.count() < 1) {
      const bool two = group.kind() == Group::KIND_CPU && config.backend() == "onnxruntime";
      group.set_count(two ? kOnnxRuntimeCpuInstancesDefault : kInstancesDefault);
    }
    if (group.kind() == Group::KIND_GPU && group.gpus().empty()) {
      for (const int32_t gpu : placement.gpus) group.add_gpus(gpu);
    }
  }
}

}  // namespace tepal
