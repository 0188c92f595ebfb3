// The last step of parse.h: the message becomes the struct.

#include "core/proto/model_config.pb.h"
#include "serving/model_config/parse.h"

namespace tepal {
namespace {

template <typename Numbers>
Shape ShapeOf(const Numbers& dims) {
  return Shape(dims.begin(), dims.end());
}

template <typename Message>
std::optional<Shape> ReshapeOf(const Message& tensor) {
  if (!tensor.has_reshape()) return std::nullopt;
  return ShapeOf(tensor.reshape().shape());
}

ModelInput InputOf(const inference::ModelInput& from) {
  ModelInput to;
  to.name = from.name();
  to.type = static_cast<DataType>(from.data_type());
  to.format = static_cast<ModelInput::Format>(from.format());
  to.dims = ShapeOf(from.dims());
  to.reshape = ReshapeOf(from);
  to.is_shape_tensor = from.is_shape_tensor();
  to.allow_ragged_batch = from.allow_ragged_batch();
  to.optional = from.optional();
  to.is_non_linear_format_io = from.is_non_linear_format_io();
  return to;
}

ModelOutput OutputOf(const inference::ModelOutput& from) {
  ModelOutput to;
  to.name = from.name();
  to.type = static_cast<DataType>(from.data_type());
  to.dims = ShapeOf(from.dims());
  to.reshape = ReshapeOf(from);
  to.label_filename = from.label_filename();
  to.is_shape_tensor = from.is_shape_tensor();
  to.is_non_linear_format_io = from.is_non_linear_format_io();
  return to;
}

InstanceGroup GroupOf(const inference::ModelInstanceGroup& from) {
  InstanceGroup to;
  to.name = from.name();
  to.kind = static_cast<InstanceGroup::Kind>(from.kind());
  to.count = from.count();
  to.gpus.assign(from.gpus().begin(), from.gpus().end());
  to.passive = from.passive();
  to.host_policy = from.host_policy();
  to.profile.assign(from.profile().begin(), from.profile().end());
  return to;
}

QueuePolicy PolicyOf(const inference::ModelQueuePolicy& from) {
  QueuePolicy to;
  to.timeout_action = static_cast<QueuePolicy::TimeoutAction>(from.timeout_action());
  to.default_timeout_us = from.default_timeout_microseconds();
  to.allow_timeout_override = from.allow_timeout_override();
  to.max_queue_size = from.max_queue_size();
  return to;
}

DynamicBatching BatchingOf(const inference::ModelDynamicBatching& from) {
  DynamicBatching to;
  to.preferred_batch_size.assign(from.preferred_batch_size().begin(),
                                 from.preferred_batch_size().end());
  to.max_queue_delay_us = from.max_queue_delay_microseconds();
  to.preserve_ordering = from.preserve_ordering();
  to.priority_levels = from.priority_levels();
  to.default_priority_level = from.default_priority_level();
  to.default_queue_policy = PolicyOf(from.default_queue_policy());
  for (const auto& [level, policy] : from.priority_queue_policy()) {
    to.priority_queue_policy[level] = PolicyOf(policy);
  }
  return to;
}

VersionPolicy VersionPolicyOf(const inference::ModelVersionPolicy& from) {
  VersionPolicy to;
  if (from.has_latest()) {
    to.latest_count = from.latest().num_versions();
  } else if (from.has_all()) {
    to.kind = VersionPolicy::Kind::kAll;
  } else if (from.has_specific()) {
    to.kind = VersionPolicy::Kind::kSpecific;
    to.versions.assign(from.specific().versions().begin(), from.specific().versions().end());
  }
  return to;
}

template <typename Accelerators>
std::vector<Accelerator> AcceleratorsOf(const Accelerators& from) {
  std::vector<Accelerator> to;
  for (const auto& accelerator : from) {
    to.push_back(
        {accelerator.name(), {accelerator.parameters().begin(), accelerator.parameters().end()}});
  }
  return to;
}

void FinishOptimization(const inference::ModelOptimizationPolicy& from, ModelConfig& to) {
  to.graph_optimization_set = from.has_graph();
  to.graph_optimization_level = from.graph().level();
  const auto& accelerators = from.execution_accelerators();
  to.gpu_execution_accelerators = AcceleratorsOf(accelerators.gpu_execution_accelerator());
  to.cpu_execution_accelerators = AcceleratorsOf(accelerators.cpu_execution_accelerator());
  if (from.has_input_pinned_memory()) to.input_pinned_memory = from.input_pinned_memory().enable();
  if (from.has_output_pinned_memory()) {
    to.output_pinned_memory = from.output_pinned_memory().enable();
  }
}

void FinishScheduling(const inference::ModelConfig& from, ModelConfig& to) {
  if (from.has_dynamic_batching()) to.dynamic_batching = BatchingOf(from.dynamic_batching());
  to.sequence_batching = from.has_sequence_batching();
  to.ensemble_scheduling = from.has_ensemble_scheduling();
  to.decoupled = from.model_transaction_policy().decoupled();
  to.response_cache = from.response_cache().enable();
}

}  // namespace

ModelConfigPtr FinishConfig(const ConfigDraft& draft) {
  const inference::ModelConfig& from = draft.message();
  auto to = std::make_shared<ModelConfig>();
  to->name = from.name();
  to->platform = from.platform();
  to->backend = from.backend();
  to->runtime = from.runtime();
  to->version_policy = VersionPolicyOf(from.version_policy());
  to->max_batch_size = from.max_batch_size();
  for (const auto& input : from.input()) to->inputs.push_back(InputOf(input));
  for (const auto& output : from.output()) to->outputs.push_back(OutputOf(output));
  for (const auto& group : from.instance_group()) to->instance_groups.push_back(GroupOf(group));
  to->default_model_filename = from.default_model_filename();
  FinishScheduling(from, *to);
  FinishOptimization(from.optimization(), *to);
  for (const auto& [key, value] : from.parameters()) to->parameters[key] = value.string_value();
  to->metric_tags = {from.metric_tags().begin(), from.metric_tags().end()};
  to->json = ConfigJson(draft);
  return to;
}

}  // namespace tepal
