// What a model is, as its config.pbtxt and its backend say: one immutable struct.
//
// Field names, meanings and defaults are those of the wire contract (Triton's model_config.proto);
// the text and protobuf forms are read and written in parse.h, so no protobuf type is seen above
// this room.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/tensor/data_type.h"
#include "serving/tensor/shape.h"

namespace tepal {

struct ModelInput {
  enum class Format { kNone = 0, kNhwc = 1, kNchw = 2 };
  std::string name;
  DataType type = DataType::kInvalid;
  Format format = Format::kNone;
  Shape dims;                    // Without the batch dimension; -1 is any length.
  std::optional<Shape> reshape;  // What the backend sees instead of `dims`.
  bool is_shape_tensor = false;
  bool allow_ragged_batch = false;
  bool optional = false;
  bool is_non_linear_format_io = false;
};

struct ModelOutput {
  std::string name;
  DataType type = DataType::kInvalid;
  Shape dims;
  std::optional<Shape> reshape;
  std::string label_filename;
  bool is_shape_tensor = false;
  bool is_non_linear_format_io = false;
};

struct InstanceGroup {
  enum class Kind { kAuto = 0, kGpu = 1, kCpu = 2, kModel = 3 };
  std::string name;
  Kind kind = Kind::kAuto;
  int32_t count = 1;
  std::vector<int32_t> gpus;
  bool passive = false;
  std::string host_policy;
  std::vector<std::string> profile;
};

struct QueuePolicy {
  enum class TimeoutAction { kReject = 0, kDelay = 1 };
  TimeoutAction timeout_action = TimeoutAction::kReject;
  uint64_t default_timeout_us = 0;  // 0: none.
  bool allow_timeout_override = false;
  uint32_t max_queue_size = 0;  // 0: no limit.
};

struct DynamicBatching {
  std::vector<int32_t> preferred_batch_size;
  uint64_t max_queue_delay_us = 0;
  bool preserve_ordering = false;
  uint64_t priority_levels = 0;
  uint64_t default_priority_level = 0;
  QueuePolicy default_queue_policy;
  std::map<uint64_t, QueuePolicy> priority_queue_policy;
};

struct VersionPolicy {
  enum class Kind { kLatest, kAll, kSpecific };
  Kind kind = Kind::kLatest;
  uint32_t latest_count = 1;
  std::vector<int64_t> versions;
};

struct Accelerator {
  std::string name;
  std::map<std::string, std::string> parameters;
};

struct ModelConfig {
  std::string name;
  std::string platform;
  std::string backend;
  std::string runtime;
  VersionPolicy version_policy;
  int32_t max_batch_size = 0;  // 0: the model does not batch.
  std::vector<ModelInput> inputs;
  std::vector<ModelOutput> outputs;
  std::vector<InstanceGroup> instance_groups;
  std::string default_model_filename;
  std::optional<DynamicBatching> dynamic_batching;
  bool sequence_batching = false;    // Recognised, not served yet.
  bool ensemble_scheduling = false;  // Likewise.
  bool decoupled = false;
  bool response_cache = false;
  std::map<std::string, std::string> parameters;
  std::map<std::string, std::string> metric_tags;
  std::vector<Accelerator> gpu_execution_accelerators;
  std::vector<Accelerator> cpu_execution_accelerators;
  int32_t graph_optimization_level = 0;
  bool graph_optimization_set = false;
  bool input_pinned_memory = true;
  bool output_pinned_memory = true;

  // The whole configuration as the protocol prints it: protobuf field names, every default written
  // out, 64-bit integers as numbers. What /v2/models/M/config answers and backends are given.
  std::string json;

  const ModelInput* FindInput(std::string_view input) const;
  const ModelOutput* FindOutput(std::string_view output) const;
};

using ModelConfigPtr = std::shared_ptr<const ModelConfig>;

}  // namespace tepal
