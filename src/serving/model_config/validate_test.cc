#include "serving/model_config/validate.h"

#include <gtest/gtest.h>

#include "serving/model_config/normalise.h"

namespace tepal {
namespace {

constexpr char kGood[] = R"(name: "m" backend: "identity" max_batch_size: 8
    input { name: "A" data_type: TYPE_FP32 dims: [ 4 ] }
    output { name: "B" data_type: TYPE_FP32 dims: [ 4 ] } )";

Status Validated(std::string_view text, std::vector<int32_t> gpus = {}) {
  Result<ConfigDraft> draft = ParseConfigText(text);
  EXPECT_TRUE(draft.ok()) << draft.status().message();
  Normalise(*draft);
  NormaliseInstanceGroups(*draft, {.gpus = gpus, .preferred = {}});
  RETURN_IF_ERROR(Validate(*draft, "m"));
  return ValidateInstanceGroups(*draft, gpus);
}

TEST(ValidateTest, AcceptsGoodOnes) {
  EXPECT_TRUE(Validated(kGood).ok());
  for (const char* more :
       {"dynamic_batching { preferred_batch_size: [ 1, 8 ] }", "version_policy { all {} }",
        "dynamic_batching { priority_levels: 2 default_priority_level: 2 }",
        "instance_group { kind: KIND_MODEL }", "sequence_batching { oldest {} }",
        "input { name: \"C\" data_type: TYPE_STRING dims: 1 reshape { shape: [] } }",
        "input { name: \"C\" data_type: TYPE_FP32 dims: [ 2, 4, -1, 6 ] "
        "reshape { shape: [ 8, -1, 1, 6 ] } }"}) {
    const Status status = Validated(std::string(kGood) + more);
    EXPECT_TRUE(status.ok()) << more << ": " << status.message();
  }
  EXPECT_TRUE(Validated("name: \"m\" platform: \"ensemble\" ensemble_scheduling { step { "
                        "model_name: \"a\" input_map { key: \"x\" value: \"y\" } "
                        "output_map { key: \"x\" value: \"z\" } } }")
                  .ok());
}

struct RefusalCase {
  const char* more;
  const char* message;
};

TEST(ValidateTest, RefusesInTritonsWords) {
  const RefusalCase cases[] = {
      {"input { data_type: TYPE_FP32 dims: 1 }", "model input must specify 'name' for m"},
      {"input { name: \"C\" dims: 1 }", "model input 'C' must specify 'data_type' for m"},
      {"output { name: \"C\" data_type: TYPE_FP32 }", "model output 'C' must specify 'dims' for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: 0 }",
       "model input 'C' dimension must be integer >= 1, or -1 to indicate a variable-size "
       "dimension for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: [ 4, -2 ] }",
       "model input 'C' dimension must be integer >= 1, or -1 to indicate a variable-size "
       "dimension for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 3 ] } }",
       "model input 'C' has different size for dims and reshape for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: [ -1, -1, 2 ] reshape { shape: [ -1, 2 ] } "
       "}",
       "model input 'C' has different number of variable-size dimensions for dims and reshape for "
       "m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ 0, 4 ] } }",
       "model input 'C' reshape dimensions must be integer >= 1, or -1 to indicate a variable-size "
       "dimension for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: [ 4, 4 ] format: FORMAT_NCHW }",
       "model input NHWC/NCHW require 3 dims for m"},
      {"input { name: \"C\" data_type: TYPE_FP32 dims: 4 is_shape_tensor: true }",
       "shape tensors are only supported for TensorRT platform for m"},
      {"output { name: \"B\" data_type: TYPE_FP32 dims: 4 }",
       "model output 'B' is specified more than once for m"},
      {"dynamic_batching { preferred_batch_size: 0 }",
       "dynamic batching preferred size must be positive for m"},
      {"dynamic_batching { preferred_batch_size: 9 }",
       "dynamic batching preferred size must be <= max batch size for m"},
      {"dynamic_batching { priority_levels: 2 }",
       "default priority level must be in range [1, 2] for m"},
      {"dynamic_batching { priority_levels: 2 default_priority_level: 1 "
       "priority_queue_policy { key: 3 value {} } }",
       "priority queue policy must have priority level in range [1, 2] for m"},
      {"dynamic_batching { priority_levels: 2 default_priority_level: 1 preserve_ordering: true }",
       "Only one priority level is allowed when 'preserve_ordering' is true for m"},
      {"dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY "
       "default_timeout_microseconds: 1 } }",
       "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m"},
      {"sequence_batching { direct { minimum_slot_utilization: 1.5 } }",
       "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m"},
      {"sequence_batching { oldest { preferred_batch_size: 9 } }",
       "sequence batching preferred batch size must be <= max batch size for m"},
      {"version_policy { latest { num_versions: 0 } }",
       "version policy 'latest' must have 'num_versions' of at least 1 for m"},
      {"version_policy { specific {} }",
       "version policy 'specific' must list one or more 'versions' for m"},
      {"version_policy { specific { versions: 0 } }",
       "version policy 'specific' lists version 0, expected versions of at least 1 for m"},
      {"ensemble_scheduling {}",
       "ensemble scheduling cannot be set for model 'm' whose platform is not ensemble"},
      {"instance_group { kind: KIND_CPU gpus: 0 }",
       "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs"},
      {"instance_group { kind: KIND_MODEL gpus: 0 }",
       "instance group m_0 of model m has kind KIND_MODEL but specifies one or more GPUs"},
      {"instance_group { kind: KIND_GPU }",
       "instance group m_0 of model m has kind KIND_GPU but no GPUs are available"},
      {"instance_group { count: 5000 }",
       "instance group m_0 of model m has count 5000, expected 1 to 1024"},
      {"model_transaction_policy { decoupled: true } response_cache { enable: true }",
       "Response Cache does not currently support model m with 'decoupled' transaction policy. "
       "Please disable the response cache."},
  };
  for (const RefusalCase& c : cases) {
    const Status status = Validated(std::string(kGood) + c.more);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.more;
    EXPECT_EQ(status.message(), c.message) << c.more;
  }
}

TEST(ValidateTest, RefusesWrongNamesAndNumbers) {
  const RefusalCase cases[] = {
      {"", "model configuration must specify 'name'"},
      {"name: \"other\"",
       "unexpected directory name 'm' for model 'other', directory name must equal model name"},
      {"name: \"m\"", "unexpected platform type '' for m"},
      {"name: \"m\" backend: \"onnxruntime\" platform: \"x\"",
       "unexpected 'platform' and 'backend' pair, got:x, onnxruntime"},
      {"name: \"m\" backend: \"x\" platform: \"ensemble\"",
       "Ensemble model 'm' must have platform type 'ensemble' and empty backend type"},
      {"name: \"m\" platform: \"ensemble\"",
       "ensemble scheduling must be set for ensemble m whose platform is ensemble"},
      {"name: \"m\" backend: \"x\" max_batch_size: -1",
       "'max_batch_size' must be non-negative value for m"},
      {"name: \"m\" backend: \"x\" input { name: \"A\" data_type: TYPE_FP32 dims: 1 "
       "reshape { shape: [] } }",
       "model input 'A' cannot have empty reshape for non-batching model as scalar tensors are not "
       "supported for m"},
  };
  for (const RefusalCase& c : cases) EXPECT_EQ(Validated(c.more).message(), c.message);
}

TEST(ValidateTest, ChecksGpuNumbers) {
  const std::string text = std::string(kGood) + "instance_group { kind: KIND_GPU gpus: 3 }";
  EXPECT_EQ(Validated(text, {0, 1}).message(),
            "instance group m_0 of model m specifies invalid or unsupported gpu id 3. GPUs that "
            "the server may use are: 0, 1");
  EXPECT_TRUE(Validated(text, {0, 3}).ok());
}

TEST(ValidateTest, CompleteMeansInputsAndOutputs) {
  EXPECT_TRUE(ValidateComplete(*ParseConfigText(kGood)).ok());
  EXPECT_EQ(ValidateComplete(*ParseConfigText("name: \"m\"")).message(),
            "model configuration must specify one or more 'input' for m");
  EXPECT_EQ(ValidateComplete(*ParseConfigText("name: \"m\" input {}")).message(),
            "model configuration must specify one or more 'output' for m");
}

}  // namespace
}  // namespace tepal
