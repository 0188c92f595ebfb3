#include "backends/pytorch/settings.h"

#include <gmock/gmock.h>

namespace tepal_plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Taken(Error* error) {
  if (error == nullptr) return {};
  std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  return message;
}

ModelFacts FactsWith(const std::string& parameters, const std::string& input_dims = "[3,4]",
                     const std::string& type = "TYPE_FP16") {
  ModelFacts facts;
  facts.name = "m";
  facts.max_batch_size = 32;
  facts.config =
      Json::Parse(R"({"input":[{"name":"x","data_type":")" + type + R"(","dims":)" + input_dims +
                  R"(}],)" + R"("output":[{"name":"y","data_type":"TYPE_BF16","dims":[5]}],)" +
                  R"("parameters":{)" + parameters + "}}");
  return facts;
}

std::string Parameter(const std::string& key, const std::string& value) {
  return "\"" + key + "\":{\"string_value\":\"" + value + "\"}";
}

std::vector<TensorSettings> Named(const std::vector<std::string>& names) {
  std::vector<TensorSettings> tensors;
  for (const std::string& name : names) tensors.emplace_back().name = name;
  return tensors;
}

TEST(TorchSettingsTest, DefaultsAndTensors) {
  TorchSettings settings;
  ASSERT_EQ(Taken(ReadTorchSettings(FactsWith(""), settings)), "");
  ASSERT_EQ(settings.inputs.size(), 1u);
  EXPECT_EQ(settings.inputs[0].type, TRITONSERVER_TYPE_FP16);
  EXPECT_THAT(settings.inputs[0].dims, ElementsAre(3, 4));
  EXPECT_EQ(settings.outputs.at(0).type, TRITONSERVER_TYPE_BF16);
  EXPECT_TRUE(settings.batches);
  EXPECT_TRUE(settings.optimized_execution);
  EXPECT_TRUE(settings.inference_mode);
  EXPECT_FALSE(settings.weight_sharing);
}

TEST(TorchSettingsTest, FlagsAreReadInAnyCase) {
  TorchSettings settings;
  const std::string parameters = Parameter("DISABLE_OPTIMIZED_EXECUTION", "TRUE") + "," +
                                 Parameter("INFERENCE_MODE", "false") + "," +
                                 Parameter("ENABLE_WEIGHT_SHARING", "1");
  ASSERT_EQ(Taken(ReadTorchSettings(FactsWith(parameters), settings)), "");
  EXPECT_FALSE(settings.optimized_execution);
  EXPECT_FALSE(settings.inference_mode);
  EXPECT_TRUE(settings.weight_sharing);
}

TEST(TorchSettingsTest, CompilerIsLeftAloneUnlessTheModelSays) {
  TorchSettings settings;
  ASSERT_EQ(Taken(ReadTorchSettings(FactsWith(Parameter("ENABLE_NVFUSER", "false")), settings)),
            "");
  EXPECT_EQ(settings.jit_executor, std::nullopt);
  EXPECT_EQ(settings.jit_profiling, std::nullopt);
  EXPECT_EQ(settings.tensor_fuser, std::nullopt);
  const std::string parameters = Parameter("ENABLE_JIT_EXECUTOR", "false") + "," +
                                 Parameter("ENABLE_JIT_PROFILING", "true") + "," +
                                 Parameter("ENABLE_TENSOR_FUSER", "False");
  ASSERT_EQ(Taken(ReadTorchSettings(FactsWith(parameters), settings)), "");
  EXPECT_EQ(settings.jit_executor, false);
  EXPECT_EQ(settings.jit_profiling, true);
  EXPECT_EQ(settings.tensor_fuser, false);
}

TEST(TorchSettingsTest, BadParametersAreNamed) {
  const struct {
    const char* key;
    const char* value;
    const char* error;
  } cases[] = {
      {"INFERENCE_MODE", "maybe", "'INFERENCE_MODE' must be true or false, got 'maybe'"},
      {"INTRA_OP_THREAD_COUNT", "-1", "must be a whole number of 0 or more, got '-1'"},
      {"INTER_OP_THREAD_COUNT", "5000", "must be at most 1024, got 5000"},
      {"ENABLE_JIT_EXECUTOR", "2", "'ENABLE_JIT_EXECUTOR' must be true or false, got '2'"},
      {"ENABLE_NVFUSER", "true", "'ENABLE_NVFUSER' must be false"},
      {"CUDA_GRAPH_BATCH_SIZES", "1,33", "numbers from 1 to max_batch_size 32"},
      {"CUDA_GRAPH_BATCH_SIZES", "1;2", "numbers from 1 to max_batch_size 32"},
  };
  for (const auto& c : cases) {
    TorchSettings settings;
    EXPECT_THAT(Taken(ReadTorchSettings(FactsWith(Parameter(c.key, c.value)), settings)),
                HasSubstr(c.error));
  }
}

TEST(TorchSettingsTest, GraphsNeedFixedInputs) {
  const std::string sizes = Parameter("CUDA_GRAPH_BATCH_SIZES", "8,1");
  TorchSettings settings;
  ASSERT_EQ(Taken(ReadTorchSettings(FactsWith(sizes), settings)), "");
  EXPECT_THAT(settings.graph_batch_sizes, ElementsAre(1, 8));
  TorchSettings open;
  EXPECT_THAT(Taken(ReadTorchSettings(FactsWith(sizes, "[3,-1]"), open)),
              HasSubstr("needs inputs of fixed dims, 'x' has [3,-1]"));
}

TEST(TorchSettingsTest, StringsAreRefused) {
  TorchSettings settings;
  EXPECT_THAT(Taken(ReadTorchSettings(FactsWith("", "[1]", "TYPE_STRING"), settings)),
              HasSubstr("input 'x' has data_type TYPE_STRING"));
}

TEST(TorchPlacesTest, ByArgumentByIndexByOrder) {
  std::vector<size_t> place;
  EXPECT_EQ(Taken(PlaceInputs("m", Named({"b", "a"}), {"a", "b"}, place)), "");
  EXPECT_THAT(place, ElementsAre(1, 0));
  EXPECT_EQ(Taken(PlaceInputs("m", Named({"INPUT__1", "INPUT__0"}), {"a", "b"}, place)), "");
  EXPECT_THAT(place, ElementsAre(1, 0));
  EXPECT_EQ(Taken(PlaceInputs("m", Named({"image", "mask"}), {"a", "b"}, place)), "");
  EXPECT_THAT(place, ElementsAre(0, 1));
  EXPECT_EQ(Taken(PlaceOutputs("m", Named({"scores__2", "boxes__0"}), place)), "");
  EXPECT_THAT(place, ElementsAre(2, 0));
}

TEST(TorchPlacesTest, NamesThatDoNotFitAreRefused) {
  std::vector<size_t> place;
  EXPECT_THAT(Taken(PlaceInputs("m", Named({"INPUT__0", "mask"}), {"a", "b"}, place)),
              HasSubstr("input 'mask' must be named <name>__<index>"));
  EXPECT_THAT(Taken(PlaceInputs("m", Named({"x__0", "y__0"}), {"a", "b"}, place)),
              HasSubstr("input 'y__0' has the index of another input"));
  EXPECT_THAT(Taken(PlaceInputs("m", Named({"x", "y"}), {"a"}, place)),
              HasSubstr("has 2 inputs, forward takes 1"));
  EXPECT_THAT(Taken(PlaceInputs("m", Named({"b"}), {"a", "b"}, place)),
              HasSubstr("input 'b' is argument 1 of forward(a, b)"));
  EXPECT_THAT(Taken(PlaceOutputs("m", Named({"y__0", "z__0"}), place)),
              HasSubstr("output 'z__0' has the index of another output"));
}

}  // namespace
}  // namespace tepal_plugin
