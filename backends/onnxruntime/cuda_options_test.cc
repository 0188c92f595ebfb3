#include "backends/onnxruntime/cuda_options.h"

#include <gmock/gmock.h>

namespace tepal_plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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
              HasSubstr("'CUDA_GRAPH_BATCH_SIZES' must be numbers from 1 to max_batch_size 4"));
  EXPECT_THAT(Refusal(R"({"optimization":{"cuda":{"graphs":true}}})"),
              HasSubstr("CUDA graphs need max_batch_size of 1 or more"));
  EXPECT_THAT(Refusal(R"({"max_batch_size":4,"optimization":{"cuda":{"graphs":true,
                 "graph_spec":[{"batch_size":5}]}}})"),
              HasSubstr("from 1 to max_batch_size 4, got 2 from 4 to 5"));
  EXPECT_THAT(Refusal(R"({"max_batch_size":4,"optimization":{"cuda":{"graphs":true}},
                 "input":[{"name":"x","dims":["-1"]}]})"),
              HasSubstr("inputs of fixed dimensions, input 'x' has -1"));
}

std::vector<int64_t> Sizes(const std::string& config) {
  CudaOptions options;
  EXPECT_EQ(ReadCudaOptions(Facts(config), options), nullptr);
  return options.graph_batch_sizes;
}

TEST(CudaOptions, GraphsAreAskedForInThreeWays) {
  const std::string accelerator = R"("execution_accelerators":{"gpu_execution_accelerator":[
      {"name":"cuda","parameters":{"enable_cuda_graph":")";
  EXPECT_THAT(Sizes(R"({"max_batch_size":12,"optimization":{)" + accelerator + R"(1"}}]}}})"),
              ElementsAre(1, 2, 4, 8, 12));
  EXPECT_THAT(Sizes(R"({"max_batch_size":12,"optimization":{)" + accelerator + R"(0"}}]}}})"),
              IsEmpty());
  EXPECT_THAT(Sizes(R"({"max_batch_size":8,"dynamic_batching":{"preferred_batch_size":[3,8]},
                 "optimization":{"cuda":{"graphs":true}}})"),
              ElementsAre(1, 2, 3, 4, 8));
  EXPECT_THAT(Sizes(R"({"max_batch_size":8,"optimization":{"cuda":{"graphs":true,
                 "graph_spec":[{"batch_size":3}]}}})"),
              ElementsAre(3, 8));
  EXPECT_THAT(Sizes(R"({"max_batch_size":64,
                 "parameters":{"CUDA_GRAPH_BATCH_SIZES":{"string_value":"32,8"}}})"),
              ElementsAre(8, 32, 64));
}

TEST(CudaOptions, GraphInputsHaveTheShapeThatTheFileSees) {
  CudaOptions options;
  ASSERT_EQ(ReadCudaOptions(Facts(R"({"max_batch_size":2,"optimization":{"cuda":{"graphs":true}},
      "input":[{"name":"x","dims":["3","224"]},
               {"name":"n","dims":["1"],"reshape":{"shape":[]}}]})"),
                            options),
            nullptr);
  EXPECT_THAT(options.graph_inputs["x"], ElementsAre(3, 224));
  EXPECT_THAT(options.graph_inputs["n"], IsEmpty());
}

}  // namespace
}  // namespace tepal_plugin
