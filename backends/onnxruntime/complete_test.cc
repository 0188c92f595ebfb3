#include "backends/onnxruntime/complete.h"

#include <gmock/gmock.h>

namespace tepal_plugin {
namespace {

using ::testing::HasSubstr;

const std::vector<OrtTensorFacts> kFree = {{"x", TRITONSERVER_TYPE_FP32, {-1, 3}}};
const std::vector<OrtTensorFacts> kFreeOut = {{"y", TRITONSERVER_TYPE_BYTES, {-1}}};
const std::vector<OrtTensorFacts> kFixed = {{"x", TRITONSERVER_TYPE_FP32, {8, 3}}};

std::string Message(Error* error) {
  if (error == nullptr) return {};
  const std::string text = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  return text;
}

std::string Completed(const std::string& config, const std::vector<OrtTensorFacts>& inputs,
                      const std::vector<OrtTensorFacts>& outputs) {
  Json json = Json::Parse(config);
  const std::string problem = Message(CompleteConfig("m", inputs, outputs, 4, json));
  return problem.empty() ? json.Write() : problem;
}

TEST(CompleteConfig, FreeFirstDimensionsMeanDynamicBatching) {
  EXPECT_EQ(Completed(R"({"max_batch_size":0})", kFree, kFreeOut),
            R"({"max_batch_size":4,"dynamic_batching":{},)"
            R"("input":[{"name":"x","data_type":"TYPE_FP32","dims":[3]}],)"
            R"("output":[{"name":"y","data_type":"TYPE_STRING","reshape":{"shape":[]},)"
            R"("dims":[1]}]})");
}

TEST(CompleteConfig, FixedFirstDimensionIsPartOfTheShape) {
  EXPECT_EQ(Completed(R"({"max_batch_size":0})", kFixed, kFixed),
            R"({"max_batch_size":0,"input":[{"name":"x","data_type":"TYPE_FP32","dims":[8,3]}],)"
            R"("output":[{"name":"x","data_type":"TYPE_FP32","dims":[8,3]}]})");
}

TEST(CompleteConfig, ChosenBatchSizeAndSchedulerStay) {
  const std::string config =
      Completed(R"({"max_batch_size":1,"sequence_batching":{}})", kFree, kFreeOut);
  EXPECT_THAT(config, HasSubstr(R"("max_batch_size":1)"));
  EXPECT_THAT(config, ::testing::Not(HasSubstr("dynamic_batching")));
}

TEST(CompleteConfig, BatchSizeForAModelThatCannotBatchIsAnError) {
  EXPECT_THAT(Completed(R"({"max_batch_size":2})", kFixed, kFixed),
              HasSubstr("does not support batching while non-zero max_batch_size"));
}

TEST(CompleteConfig, WhatIsThereIsLeftAlone) {
  const std::string config =
      R"({"max_batch_size":0,"input":[{"name":"x"}],"output":[{"name":"y"}]})";
  EXPECT_EQ(Completed(config, kFree, kFreeOut), config);
}

std::string Checked(const std::string& config) {
  return Message(CheckConfig("m", kFree, kFree, Json::Parse(config)));
}

TEST(CheckConfig, SaysWhatDoesNotFit) {
  const std::string good = R"({"name":"x","data_type":"TYPE_FP32","dims":[-1]})";
  const std::string output = R"(],"output":[)" + good + "]}";
  const std::string head = R"({"max_batch_size":4,"input":[)";
  EXPECT_EQ(Checked(head + good + output), "");
  EXPECT_THAT(Checked(head + output), HasSubstr("expects 0 inputs, model provides 1"));
  EXPECT_EQ(Checked(head + R"({"name":"z","data_type":"TYPE_FP32","dims":[3]})" + output),
            "model 'm': input 'z' is not in the ONNX file; it has x");
  EXPECT_EQ(Checked(head + R"({"name":"x","data_type":"TYPE_INT8","dims":[3]})" + output),
            "model 'm': input 'x' has data_type TYPE_INT8 in the configuration, the ONNX file has "
            "TYPE_FP32");
  EXPECT_EQ(Checked(head + R"({"name":"x","data_type":"TYPE_FP32","dims":[4]})" + output),
            "model 'm': input 'x' has shape [-1,4] in the configuration (the batch dimension "
            "first), the ONNX file has [-1,3]");
}

}  // namespace
}  // namespace tepal_plugin
