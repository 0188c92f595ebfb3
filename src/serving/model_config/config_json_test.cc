#include <gtest/gtest.h>

#include "serving/model_config/normalise.h"
#include "serving/model_config/parse.h"

namespace tepal {
namespace {

ConfigDraft Parsed(std::string_view text) {
  Result<ConfigDraft> draft = ParseConfigText(text);
  EXPECT_TRUE(draft.ok()) << draft.status().message();
  return draft.ok() ? *std::move(draft) : ConfigDraft();
}

// The steps of a model whose backend reports nothing, on a machine without GPUs.
std::string Finished(std::string_view text, std::string_view model) {
  ConfigDraft draft = Parsed(text);
  EXPECT_TRUE(CompleteBackend(draft, model, {}).ok());
  Normalise(draft);
  NormaliseInstanceGroups(draft, {});
  return FinishConfig(draft)->json;
}

constexpr char kOptimization[] =
    R"("optimization":{"priority":"PRIORITY_DEFAULT","input_pinned_memory":{"enable":true},)"
    R"("output_pinned_memory":{"enable":true},"gather_kernel_buffer_threshold":0,)"
    R"("eager_batching":false})";

TEST(ConfigJsonTest, WritesEveryDefaultInTheDeclaredOrder) {
  EXPECT_EQ(
      Finished(R"(backend: "python" max_batch_size: 8
                  input { name: "A" data_type: TYPE_FP32 dims: [ -1, 3 ] }
                  output { name: "B" data_type: TYPE_STRING dims: 1 reshape { shape: [] } }
                  dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
                  instance_group { kind: KIND_CPU count: 2 }
                  parameters { key: "b" value { string_value: "2" } }
                  parameters { key: "a" value { string_value: "1" } }
                  model_transaction_policy { decoupled: true })",
               "tulip"),
      std::string(
          R"({"name":"tulip","platform":"","backend":"python","runtime":"",)"
          R"("version_policy":{"latest":{"num_versions":1}},"max_batch_size":8,)"
          R"("input":[{"name":"A","data_type":"TYPE_FP32","format":"FORMAT_NONE","dims":[-1,3],)"
          R"("is_shape_tensor":false,"allow_ragged_batch":false,"optional":false,)"
          R"("is_non_linear_format_io":false}],)"
          R"("output":[{"name":"B","data_type":"TYPE_STRING","dims":[1],"reshape":{"shape":[]},)"
          R"("label_filename":"","is_shape_tensor":false,"is_non_linear_format_io":false}],)"
          R"("batch_input":[],"batch_output":[],)") +
          kOptimization +
          R"(,"dynamic_batching":{"preferred_batch_size":[4,8],"max_queue_delay_microseconds":100,)"
          R"("preserve_ordering":false,"priority_levels":0,"default_priority_level":0,)"
          R"("priority_queue_policy":{}},)"
          R"("instance_group":[{"name":"tulip_0","kind":"KIND_CPU","count":2,"gpus":[],)"
          R"("secondary_devices":[],"profile":[],"passive":false,"host_policy":""}],)"
          R"("default_model_filename":"model.py","cc_model_filenames":{},"metric_tags":{},)"
          R"("parameters":{"a":{"string_value":"1"},"b":{"string_value":"2"}},"model_warmup":[],)"
          R"("model_transaction_policy":{"decoupled":true}})");
}

TEST(ConfigJsonTest, WritesOnlyTheChosenMemberOfAOneof) {
  const std::string json = Finished(
      R"(backend: "sequence" max_batch_size: 4
         sequence_batching { direct {} control_input { name: "START" control {
           kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 0.5 ] } } })",
      "seq");
  EXPECT_NE(json.find(R"("sequence_batching":{"direct":{"max_queue_delay_microseconds":0,)"
                      R"("minimum_slot_utilization":0},"max_sequence_idle_microseconds":1000000,)"
                      R"("control_input":[{"name":"START","control":[{)"
                      R"("kind":"CONTROL_SEQUENCE_START","int32_false_true":[],)"
                      R"("fp32_false_true":[0,0.5],"bool_false_true":[],)"
                      R"("data_type":"TYPE_INVALID"}]}],"state":[],"iterative_sequence":false})"),
            std::string::npos)
      << json;
  EXPECT_EQ(json.find("oldest"), std::string::npos);
  EXPECT_EQ(json.find("dynamic_batching"), std::string::npos);
}

TEST(ConfigJsonTest, SortsNumberedKeysByNumber) {
  const std::string json = ConfigJson(Parsed(
      R"(dynamic_batching { priority_levels: 11
           priority_queue_policy { key: 10 value { max_queue_size: 1 } }
           priority_queue_policy { key: 9 value { default_timeout_microseconds: 18446744073709551615 } } })"));
  const size_t nine = json.find(R"("9":{)");
  EXPECT_LT(nine, json.find(R"("10":{)"));
  EXPECT_NE(json.find(R"("default_timeout_microseconds":18446744073709551615)"), std::string::npos);
}

TEST(ConfigJsonTest, ReadsBackWhatItWrites) {
  const ConfigDraft draft = Parsed(R"(
    name: "t\"1" max_batch_size: 3 version_policy { specific { versions: [ 1, 5 ] } }
    input { name: "A" data_type: TYPE_BF16 dims: 9223372036854775807 optional: true }
    instance_group { kind: KIND_GPU gpus: [ 0, 1 ] rate_limiter { resources { name: "r" count: 2 } } }
    ensemble_scheduling { step { model_name: "a" model_version: -1 input_map { key: "x" value: "y" } } }
    model_metrics { metric_control { metric_identifier { family: "f" }
                                     histogram_options { buckets: [ 0.5, 1, 2.25 ] } } }
    model_warmup { name: "w" batch_size: 1 inputs { key: "A" value { dims: 1 zero_data: true } } })");
  const Result<ConfigDraft> again = ParseConfigJson(ConfigJson(draft));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(ConfigText(*again), ConfigText(draft));
  const Result<ConfigDraft> from_text = ParseConfigText(ConfigText(draft));
  ASSERT_TRUE(from_text.ok());
  EXPECT_EQ(ConfigJson(*from_text), ConfigJson(draft));
}

}  // namespace
}  // namespace tepal
