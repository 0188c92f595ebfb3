#include "backends/onnxruntime/cuda_options.h"

#include <gmock/gmock.h>

namespace tepal_plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

ModelFacts Facts(const std::string& config) {
  ModelFacts facts;
  facts.name = "m";
  facts.config = Json::Parse(config);
  facts.max_batch_size = facts.config["max_batch_size"].AsInt();
  return facts;
}

std::string Refusal(const std::string& config) {
  CudaOptions options;
  Error* error = ReadCudaOptions(Facts(config), options);
  if (error == nullptr) return {};
  const std::string text = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  return text;
}

TEST(CudaOptions, TakesTritonsParametersAndOnnxRuntimesOwn) {
  CudaOptions options;
  ASSERT_EQ(ReadCudaOptions(Facts(R"({"max_batch_size":32,
      "optimization":{"execution_accelerators":{"gpu_execution_accelerator":[
        {"name":"cuda","parameters":{"use_tf32":"0","prefer_nhwc":"1"}}]}},
      "parameters":{"cudnn_conv_algo_search":{"string_value":"1"},
        "arena_extend_strategy":{"string_value":"1"},"gpu_mem_limit":{"string_value":"1048576"}}})"),
                            options),
            nullptr);
  EXPECT_THAT(options.provider, ElementsAre(Pair("use_tf32", "0"), Pair("prefer_nhwc", "1"),
                                            Pair("cudnn_conv_algo_search", "HEURISTIC"),
                                            Pair("arena_extend_strategy", "kSameAsRequested"),
                                            Pair("gpu_mem_limit", "1048576")));
}

TEST(CudaOptions, NothingAskedIsNothingSet) {
  CudaOptions options;
  ASSERT_EQ(ReadCudaOptions(Facts(R"({"max_batch_size":4})"), options), nullptr);
  EXPECT_TRUE(options.provider.empty());
}

TEST(CudaOptions, NamesWhatItRefuses) {
  EXPECT_EQ(Refusal(R"({"optimization":{"execution_accelerators":{"gpu_execution_accelerator":[
                {"name":"tensorrt"}]}}})"),
            "model 'm': gpu_execution_accelerator 'tensorrt' is not served by the onnxruntime "
            "backend, 'cuda' is");
  EXPECT_EQ(Refusal(R"({"parameters":{"cudnn_conv_algo_search":{"string_value":"3"}}})"),
            "model 'm': parameter 'cudnn_conv_algo_search' must be 0 to 2, got 3");
  EXPECT_THAT(Refusal(R"({"parameters":{"gpu_mem_limit":{"string_value":"much"}}})"),
              HasSubstr("'gpu_mem_limit' must be a whole number of 0 or more, got 'much'"));
  EXPECT_THAT(Refusal(R"({"max_batch_size":4,
                 "parameters":{"CUDA_GRAPH_BATCH_SIZES":{"string_value":"8"}}})"),
              HasSubstr("does not serve CUDA graphs"));
  EXPECT_THAT(Refusal(R"({"optimization":{"execution_accelerators":{"gpu_execution_accelerator":[
                 {"name":"cuda","parameters":{"enable_cuda_graph":"1"}}]}}})"),
              HasSubstr("does not serve CUDA graphs"));
}

}  // namespace
}  // namespace tepal_plugin
