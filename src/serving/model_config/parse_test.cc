#include "serving/model_config/parse.h"

#include <gtest/gtest.h>

#include "serving/model_config/normalise.h"

namespace tepal {
namespace {

std::string TextError(std::string_view text) {
  const Result<ConfigDraft> draft = ParseConfigText(text);
  EXPECT_FALSE(draft.ok()) << text;
  EXPECT_EQ(draft.status().code(), StatusCode::kInvalidArgument);
  return draft.status().message();
}

std::string JsonError(std::string_view text) {
  const Result<ConfigDraft> draft = ParseConfigJson(text);
  EXPECT_FALSE(draft.ok()) << text;
  EXPECT_EQ(draft.status().code(), StatusCode::kInvalidArgument);
  return draft.status().message();
}

TEST(ParseConfigTextTest, EveryFieldArrivesInTheStruct) {
  const Result<ConfigDraft> draft = ParseConfigText(R"(
# A comment.
name: "tulip"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
runtime: "libx.so"
version_policy { specific { versions: 2 versions: 4 } }
max_batch_size: 16
input [
  { name: "A" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 224, -1 ] optional: true },
  { name: "B" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [] } allow_ragged_batch: true }
]
output { name: "C" data_type: TYPE_INT64 dims: [ 1000 ] label_filename: "labels.txt" }
instance_group [ { kind: KIND_GPU count: 3 gpus: [ 0, 2 ] passive: true host_policy: "p" } ]
default_model_filename: "m.onnx"
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 500
  preserve_ordering: true
  priority_levels: 2
  default_priority_level: 1
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 7
                         allow_timeout_override: true max_queue_size: 9 }
  priority_queue_policy { key: 2 value { max_queue_size: 5 } }
}
optimization {
  graph { level: -1 }
  input_pinned_memory { enable: false }
  execution_accelerators { gpu_execution_accelerator { name: "tensorrt" parameters { key: "k" value: "v" } }
                           cpu_execution_accelerator { name: "openvino" } }
}
parameters { key: "p" value: { string_value: "1" } }
metric_tags { key: "team" value: "garden" }
model_transaction_policy { decoupled: true }
response_cache { enable: true }
)");
  ASSERT_TRUE(draft.ok()) << draft.status().message();
  const ModelConfigPtr config = FinishConfig(*draft);
  EXPECT_EQ(config->name, "tulip");
  EXPECT_EQ(config->platform, "onnxruntime_onnx");
  EXPECT_EQ(config->backend, "onnxruntime");
  EXPECT_EQ(config->runtime, "libx.so");
  EXPECT_EQ(config->version_policy.kind, VersionPolicy::Kind::kSpecific);
  EXPECT_EQ(config->version_policy.versions, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(config->max_batch_size, 16);
  ASSERT_EQ(config->inputs.size(), 2u);
  const ModelInput& a = *config->FindInput("A");
  EXPECT_EQ(a.type, DataType::kFp32);
  EXPECT_EQ(a.format, ModelInput::Format::kNchw);
  EXPECT_EQ(a.dims, (Shape{3, 224, -1}));
  EXPECT_FALSE(a.reshape.has_value());
  EXPECT_TRUE(a.optional);
  const ModelInput& b = *config->FindInput("B");
  EXPECT_EQ(b.type, DataType::kBytes);
  EXPECT_EQ(b.reshape, Shape{});
  EXPECT_TRUE(b.allow_ragged_batch);
  EXPECT_EQ(config->FindInput("C"), nullptr);
  EXPECT_EQ(config->FindOutput("C")->label_filename, "labels.txt");
  EXPECT_EQ(config->FindOutput("C")->dims, Shape{1000});
  ASSERT_EQ(config->instance_groups.size(), 1u);
  EXPECT_EQ(config->instance_groups[0].kind, InstanceGroup::Kind::kGpu);
  EXPECT_EQ(config->instance_groups[0].count, 3);
  EXPECT_EQ(config->instance_groups[0].gpus, (std::vector<int32_t>{0, 2}));
  EXPECT_TRUE(config->instance_groups[0].passive);
  EXPECT_EQ(config->instance_groups[0].host_policy, "p");
  EXPECT_EQ(config->default_model_filename, "m.onnx");
  ASSERT_TRUE(config->dynamic_batching.has_value());
  const DynamicBatching& batching = *config->dynamic_batching;
  EXPECT_EQ(batching.preferred_batch_size, (std::vector<int32_t>{4, 8}));
  EXPECT_EQ(batching.max_queue_delay_us, 500u);
  EXPECT_TRUE(batching.preserve_ordering);
  EXPECT_EQ(batching.priority_levels, 2u);
  EXPECT_EQ(batching.default_priority_level, 1u);
  EXPECT_EQ(batching.default_queue_policy.timeout_action, QueuePolicy::TimeoutAction::kDelay);
  EXPECT_EQ(batching.default_queue_policy.default_timeout_us, 7u);
  EXPECT_TRUE(batching.default_queue_policy.allow_timeout_override);
  EXPECT_EQ(batching.default_queue_policy.max_queue_size, 9u);
  EXPECT_EQ(batching.priority_queue_policy.at(2).max_queue_size, 5u);
  EXPECT_TRUE(config->graph_optimization_set);
  EXPECT_EQ(config->graph_optimization_level, -1);
  EXPECT_FALSE(config->input_pinned_memory);
  EXPECT_TRUE(config->output_pinned_memory);
  ASSERT_EQ(config->gpu_execution_accelerators.size(), 1u);
  EXPECT_EQ(config->gpu_execution_accelerators[0].parameters.at("k"), "v");
  EXPECT_EQ(config->cpu_execution_accelerators[0].name, "openvino");
  EXPECT_EQ(config->parameters.at("p"), "1");
  EXPECT_EQ(config->metric_tags.at("team"), "garden");
  EXPECT_TRUE(config->decoupled);
  EXPECT_TRUE(config->response_cache);
  EXPECT_FALSE(config->sequence_batching);
  EXPECT_FALSE(config->ensemble_scheduling);
}

TEST(ParseConfigTextTest, AnEmptyTextIsAnEmptyConfiguration) {
  const Result<ConfigDraft> draft = ParseConfigText("");
  ASSERT_TRUE(draft.ok());
  const ModelConfigPtr config = FinishConfig(*draft);
  EXPECT_EQ(config->name, "");
  EXPECT_EQ(config->version_policy.kind, VersionPolicy::Kind::kLatest);
  EXPECT_EQ(config->version_policy.latest_count, 1u);
  EXPECT_FALSE(config->dynamic_batching.has_value());
}

TEST(ParseConfigTextTest, ErrorsHaveLineAndColumn) {
  EXPECT_EQ(TextError("name: \"x\"\nmax_batchsize: 3\n"),
            "config.pbtxt:2:1: Message type \"inference.ModelConfig\" has no field named "
            "\"max_batchsize\".");
  EXPECT_EQ(TextError("input {\n  data_type: FP32\n}").substr(0, 21), "config.pbtxt:2:3: Unk");
  EXPECT_EQ(TextError("\tnmae\t\t: 3").substr(0, 18), "config.pbtxt:1:9: ");
  EXPECT_EQ(TextError("max_batch_size: \"8\"").substr(0, 18), "config.pbtxt:1:17:");
  EXPECT_EQ(TextError("max_batch_size: 3000000000").substr(0, 18), "config.pbtxt:1:17:");
  EXPECT_EQ(TextError("input [ {name: \"x\" }").substr(0, 18), "config.pbtxt:1:21:");
  EXPECT_EQ(TextError("name: \"x").substr(0, 15), "config.pbtxt:1:");
  EXPECT_EQ(TextError("name: \"a\" name: \"b\"").substr(0, 15), "config.pbtxt:1:");
}

TEST(ParseConfigTextTest, TextsAreUtf8) {
  EXPECT_EQ(TextError("name: \"m\"\ninput { name: \"\xd2X\" }"), "config.pbtxt:2:16: not UTF-8");
  EXPECT_EQ(TextError("name: \"\\xff\""),
            "config.pbtxt: the escapes of a text make bytes that are not UTF-8");
}

TEST(ParseConfigTextTest, RefusesWhatIsTooLarge) {
  EXPECT_EQ(ParseConfigText(std::string(kConfigBytesMax + 1, ' ')).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(ParseConfigJson(std::string(kConfigBytesMax + 1, ' ')).status().code(),
            StatusCode::kResourceExhausted);
  TextError("input { reshape { " + std::string(100000, '{'));
  JsonError(std::string(100000, '['));
}

TEST(ParseConfigJsonTest, ReadsAnOverride) {
  const Result<ConfigDraft> draft = ParseConfigJson(
      R"({"backend":"python","max_batch_size":4,"version_policy":{"all":{}},
          "input":[{"name":"A","data_type":"TYPE_FP32","dims":[16, "-1"]}],
          "dynamic_batching":{"max_queue_delay_microseconds":5},
          "parameters":{"k":{"string_value":"v"}}})");
  ASSERT_TRUE(draft.ok()) << draft.status().message();
  const ModelConfigPtr config = FinishConfig(*draft);
  EXPECT_EQ(config->backend, "python");
  EXPECT_EQ(config->max_batch_size, 4);
  EXPECT_EQ(config->version_policy.kind, VersionPolicy::Kind::kAll);
  EXPECT_EQ(config->FindInput("A")->dims, (Shape{16, -1}));
  EXPECT_EQ(config->dynamic_batching->max_queue_delay_us, 5u);
  EXPECT_EQ(config->parameters.at("k"), "v");
}

TEST(ParseConfigJsonTest, ErrorsNameTheField) {
  EXPECT_NE(JsonError(R"({"max_batchsize":3})").find("max_batchsize"), std::string::npos);
  EXPECT_NE(JsonError(R"({"input":[{"name":"A"},{"dims":["x"]}]})").find("input[1].dims"),
            std::string::npos);
  EXPECT_NE(JsonError(R"({"input":[{"data_type":"FP32"}]})").find("data_type"), std::string::npos);
  JsonError("{nope");
  JsonError("");
  JsonError("[]");
  JsonError(R"({"max_batch_size":1e40})");
}

TEST(ConfigDraftTest, CopiesDoNotShare) {
  const Result<ConfigDraft> draft = ParseConfigText("max_batch_size: 4 dynamic_batching {}");
  ASSERT_TRUE(draft.ok());
  ConfigDraft copy = *draft;
  Normalise(copy);
  EXPECT_NE(ConfigText(copy), ConfigText(*draft));
  ConfigDraft assigned;
  assigned = copy;
  EXPECT_EQ(ConfigText(assigned), ConfigText(copy));
}

}  // namespace
}  // namespace tepal
