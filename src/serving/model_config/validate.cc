#include "serving/model_config/validate.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/base/text.h"
#include "core/proto/model_config.pb.h"

namespace tepal {
namespace {

using Config = inference::ModelConfig;

constexpr std::string_view kEnsemblePlatform = "ensemble";
constexpr std::string_view kTensorRtPlatform = "tensorrt_plan";
constexpr int64_t kAnyLength = -1;
constexpr int32_t kInstancesMax = 1024;

template <typename... Pieces>
Status Refuse(const Pieces&... pieces) {
  return InvalidArgument(Concat(pieces...));
}

Status CheckBackend(const Config& config) {
  const bool ensemble = config.platform() == kEnsemblePlatform;
  if (config.backend().empty() && !ensemble) {
    return Refuse("unexpected platform type '", config.platform(), "' for ", config.name());
  }
  if (!config.backend().empty() && ensemble) {
    return Refuse("Ensemble model '", config.name(), "' must have platform type '",
                  config.platform(), "' and empty backend type");
  }
  const bool onnx = config.backend() == "onnxruntime";
  const bool tensorrt = config.backend() == "tensorrt";
  if ((onnx && config.platform() != "onnxruntime_onnx") ||
      (tensorrt && config.platform() != kTensorRtPlatform)) {
    return Refuse("unexpected 'platform' and 'backend' pair, got:", config.platform(), ", ",
                  config.backend());
  }
  return {};
}

Status CheckVersionPolicy(const Config& config) {
  const auto& policy = config.version_policy();
  if (!config.has_version_policy() ||
      policy.policy_choice_case() == inference::ModelVersionPolicy::POLICY_CHOICE_NOT_SET) {
    return Refuse("must specify 'version policy' for ", config.name());
  }
  if (policy.has_latest() && policy.latest().num_versions() == 0) {
    return Refuse("version policy 'latest' must have 'num_versions' of at least 1 for ",
                  config.name());
  }
  if (policy.has_specific() && policy.specific().versions().empty()) {
    return Refuse("version policy 'specific' must list one or more 'versions' for ", config.name());
  }
  for (const int64_t version : policy.specific().versions()) {
    if (version >= 1) continue;
    return Refuse("version policy 'specific' lists version ", version,
                  ", expected versions of at least 1 for ", config.name());
  }
  return {};
}

Status CheckOrdering(const Config& config) {
  const auto& batching = config.dynamic_batching();
  if (!batching.preserve_ordering()) return {};
  if (batching.priority_levels() > 1) {
    return Refuse("Only one priority level is allowed when 'preserve_ordering' is true for ",
                  config.name());
  }
  const auto delays = [](const inference::ModelQueuePolicy& policy) {
    return policy.default_timeout_microseconds() != 0 &&
           policy.timeout_action() == inference::ModelQueuePolicy::DELAY;
  };
  bool delayed = delays(batching.default_queue_policy());
  for (const auto& [level, policy] : batching.priority_queue_policy()) {
    delayed = delayed || delays(policy);
  }
  if (!delayed) return {};
  return Refuse("Queue policy can not have DELAY as timeout action when 'preserve_ordering' is ",
                "true for ", config.name());
}

Status CheckPriorities(const Config& config) {
  const auto& batching = config.dynamic_batching();
  const uint64_t levels = batching.priority_levels();
  if (levels == 0) return {};
  if (batching.default_priority_level() == 0 || batching.default_priority_level() > levels) {
    return Refuse("default priority level must be in range [1, ", levels, "] for ", config.name());
  }
  for (const auto& [level, policy] : batching.priority_queue_policy()) {
    if (level >= 1 && level <= levels) continue;
    return Refuse("priority queue policy must have priority level in range [1, ", levels, "] for ",
                  config.name());
  }
  return {};
}

Status CheckDynamicBatching(const Config& config) {
  if (!config.has_dynamic_batching()) return {};
  for (const int32_t size : config.dynamic_batching().preferred_batch_size()) {
    if (size <= 0) {
      return Refuse("dynamic batching preferred size must be positive for ", config.name());
    }
    if (size > config.max_batch_size()) {
      return Refuse("dynamic batching preferred size must be <= max batch size for ",
                    config.name());
    }
  }
  RETURN_IF_ERROR(CheckPriorities(config));
  return CheckOrdering(config);
}

Status CheckSequenceBatching(const Config& config) {
  if (!config.has_sequence_batching()) return {};
  const auto& sequences = config.sequence_batching();
  if (config.response_cache().enable()) {
    return Refuse("Response Cache does not currently support model ", config.name(),
                  " with sequence batching scheduler. Please disable the response cache.");
  }
  for (const int32_t size : sequences.oldest().preferred_batch_size()) {
    if (size <= 0) {
      return Refuse("sequence batching preferred batch size must be positive for ", config.name());
    }
    if (size > config.max_batch_size()) {
      return Refuse("sequence batching preferred batch size must be <= max batch size for ",
                    config.name());
    }
  }
  const float utilization = sequences.direct().minimum_slot_utilization();
  if (!(utilization >= 0.0f && utilization <= 1.0f)) {
    return Refuse("sequence batching minimum slot utilization must be in range (0.0, 1.0] for ",
                  config.name());
  }
  return {};
}

Status CheckEnsembleStep(const Config& config, int number) {
  const auto& step = config.ensemble_scheduling().step(number);
  const auto missing = [&](std::string_view field) {
    return Refuse("must specify '", field, "' in step ", number, " of ensemble '", config.name(),
                  "'");
  };
  if (step.model_name().empty()) return missing("model_name");
  if (step.input_map().empty()) return missing("input_map");
  if (step.output_map().empty()) return missing("output_map");
  return {};
}

Status CheckEnsemble(const Config& config) {
  const bool platform = config.platform() == kEnsemblePlatform;
  if (!config.has_ensemble_scheduling()) {
    if (!platform) return {};
    return Refuse("ensemble scheduling must be set for ensemble ", config.name(),
                  " whose platform is ", kEnsemblePlatform);
  }
  if (!platform) {
    return Refuse("ensemble scheduling cannot be set for model '", config.name(),
                  "' whose platform is not ", kEnsemblePlatform);
  }
  if (!config.instance_group().empty()) {
    return Refuse("instance group should not be specified for ensemble '", config.name(), "'");
  }
  if (config.has_optimization()) {
    return Refuse("optimization should not be specified for ensemble '", config.name(), "'");
  }
  if (!config.model_warmup().empty()) {
    return Refuse("model_warmup can not be specified for ensemble '", config.name(), "'");
  }
  if (config.ensemble_scheduling().step().empty()) {
    return Refuse("must specify 'step' for ensemble '", config.name(), "'");
  }
  for (int i = 0; i < config.ensemble_scheduling().step_size(); ++i) {
    RETURN_IF_ERROR(CheckEnsembleStep(config, i));
  }
  return {};
}

bool IsDimension(int64_t length) { return length >= 1 || length == kAnyLength; }

// The element counts between the dimensions of any length: [2,4,-1,6] is {8, 6}.
template <typename Dims>
std::vector<std::optional<int64_t>> Trunks(const Dims& dims) {
  std::vector<Shape> trunks(1);
  for (const int64_t length : dims) {
    if (length == kAnyLength) {
      trunks.emplace_back();
    } else {
      trunks.back().push_back(length);
    }
  }
  std::vector<std::optional<int64_t>> counts;
  for (const Shape& trunk : trunks) counts.push_back(ElementCount(trunk));
  return counts;
}

// `who` is "model input 'x' ".
template <typename Tensor>
Status CheckReshape(const Tensor& tensor, int32_t max_batch_size, const std::string& who) {
  if (!tensor.has_reshape()) return {};
  const auto& shape = tensor.reshape().shape();
  if (shape.empty() && max_batch_size == 0) {
    return Refuse(who, "cannot have empty reshape for non-batching model as scalar tensors are not",
                  " supported");
  }
  if (!std::all_of(shape.begin(), shape.end(), IsDimension)) {
    return Refuse(who, "reshape dimensions must be integer >= 1, or -1 to indicate a ",
                  "variable-size dimension");
  }
  const auto declared = Trunks(tensor.dims());
  const auto reshaped = Trunks(shape);
  if (declared.size() != reshaped.size() && declared.size() > 1 && reshaped.size() > 1) {
    return Refuse(who, "has different number of variable-size dimensions for dims and reshape");
  }
  if (declared != reshaped) return Refuse(who, "has different size for dims and reshape");
  return {};
}

template <typename Tensor>
Status CheckTensor(const Tensor& tensor, const Config& config, std::string_view what) {
  if (tensor.name().empty()) return Refuse(what, "must specify 'name'");
  const std::string who = Concat(what, "'", tensor.name(), "' ");
  if (tensor.data_type() == inference::TYPE_INVALID) return Refuse(who, "must specify 'data_type'");
  if (!inference::DataType_IsValid(tensor.data_type())) {
    return Refuse(who, "has unknown 'data_type' number ", static_cast<int>(tensor.data_type()));
  }
  if (tensor.dims().empty()) return Refuse(who, "must specify 'dims'");
  if (!std::all_of(tensor.dims().begin(), tensor.dims().end(), IsDimension)) {
    return Refuse(who, "dimension must be integer >= 1, or -1 to indicate a variable-size ",
                  "dimension");
  }
  RETURN_IF_ERROR(CheckReshape(tensor, config.max_batch_size(), who));
  if (config.platform() == kTensorRtPlatform) return {};
  if (tensor.is_shape_tensor()) {
    return Refuse("shape tensors are only supported for TensorRT platform");
  }
  if (tensor.is_non_linear_format_io()) {
    return Refuse("Non-linear IO format is only supported for the TensorRT platform");
  }
  return {};
}

Status CheckFormat(const inference::ModelInput& input) {
  if (input.format() == inference::ModelInput::FORMAT_NONE || input.dims_size() == 3) return {};
  return Refuse("model input NHWC/NCHW require 3 dims");
}

template <typename Tensors>
Status CheckUnique(const Tensors& tensors, std::string_view what) {
  std::set<std::string_view> names;
  for (const auto& tensor : tensors) {
    if (!names.insert(tensor.name()).second) {
      return Refuse(what, "'", tensor.name(), "' is specified more than once");
    }
  }
  return {};
}

Status CheckTensors(const Config& config) {
  for (const auto& input : config.input()) {
    RETURN_IF_ERROR(CheckTensor(input, config, "model input "));
    RETURN_IF_ERROR(CheckFormat(input));
  }
  for (const auto& output : config.output()) {
    RETURN_IF_ERROR(CheckTensor(output, config, "model output "));
  }
  RETURN_IF_ERROR(CheckUnique(config.input(), "model input "));
  return CheckUnique(config.output(), "model output ");
}

Status CheckGpus(const inference::ModelInstanceGroup& group, const std::string& who,
                 std::span<const int32_t> gpus) {
  if (gpus.empty()) return Refuse(who, "has kind KIND_GPU but no GPUs are available");
  if (group.gpus().empty()) return Refuse(who, "has kind KIND_GPU but specifies no GPUs");
  for (const int32_t gpu : group.gpus()) {
    if (std::find(gpus.begin(), gpus.end(), gpu) != gpus.end()) continue;
    std::string usable;
    for (const int32_t other : gpus) usable += Concat(usable.empty() ? "" : ", ", other);
    return Refuse(who, "specifies invalid or unsupported gpu id ", gpu,
                  ". GPUs that the server may use are: ", usable);
  }
  return {};
}

Status CheckGroup(const inference::ModelInstanceGroup& group, const Config& config,
                  std::span<const int32_t> gpus) {
  using Group = inference::ModelInstanceGroup;
  const std::string who = Concat("instance group ", group.name(), " of model ", config.name(), " ");
  if (group.count() < 1 || group.count() > kInstancesMax) {
    return Refuse(who, "has count ", group.count(), ", expected 1 to ", kInstancesMax);
  }
  if (group.kind() == Group::KIND_GPU) {
    RETURN_IF_ERROR(CheckGpus(group, who, gpus));
  } else if (!group.gpus().empty()) {
    return Refuse(who, "has kind ", Group::Kind_Name(group.kind()),
                  " but specifies one or more GPUs");
  }
  if (!group.profile().empty() && config.platform() != kTensorRtPlatform) {
    return Refuse(who, "and platform ", config.platform(),
                  " specifies profile field which is only supported for TensorRT models");
  }
  return {};
}

}  // namespace

Status Validate(const ConfigDraft& draft, std::string_view model_name) {
  const Config& config = draft.message();
  if (config.name().empty()) return Refuse("model configuration must specify 'name'");
  if (config.name() != model_name) {
    return Refuse("unexpected directory name '", model_name, "' for model '", config.name(),
                  "', directory name must equal model name");
  }
  RETURN_IF_ERROR(CheckBackend(config));
  if (config.max_batch_size() < 0) {
    return Refuse("'max_batch_size' must be non-negative value for ", config.name());
  }
  RETURN_IF_ERROR(CheckVersionPolicy(config));
  RETURN_IF_ERROR(CheckDynamicBatching(config));
  RETURN_IF_ERROR(CheckSequenceBatching(config));
  RETURN_IF_ERROR(CheckEnsemble(config));
  if (config.model_transaction_policy().decoupled() && config.response_cache().enable()) {
    return Refuse("Response Cache does not currently support model ", config.name(),
                  " with 'decoupled' transaction policy. Please disable the response cache.");
  }
  const Status tensors = CheckTensors(config);
  if (!tensors.ok()) return Refuse(tensors.message(), " for ", config.name());
  return {};
}

Status ValidateInstanceGroups(const ConfigDraft& draft, std::span<const int32_t> gpus) {
  const Config& config = draft.message();
  if (config.has_ensemble_scheduling()) return {};
  if (config.instance_group().empty()) {
    return Refuse("must specify one or more 'instance group's for ", config.name());
  }
  for (const auto& group : config.instance_group()) {
    RETURN_IF_ERROR(CheckGroup(group, config, gpus));
  }
  return {};
}

Status ValidateComplete(const ConfigDraft& draft) {
  const Config& config = draft.message();
  if (config.input().empty()) {
    return Refuse("model configuration must specify one or more 'input' for ", config.name());
  }
  if (config.output().empty()) {
    return Refuse("model configuration must specify one or more 'output' for ", config.name());
  }
  return {};
}

}  // namespace tepal
