#include "serving/kserve/infer_response.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace tepal::kserve {
namespace {

template <typename T>
OutputTensor Tensor(std::string name, DataType type, Shape shape, const std::vector<T>& elements) {
  OutputTensor output;
  output.name = std::move(name);
  output.type = type;
  output.shape = std::move(shape);
  output.data =
      Buffer::Copy({reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)});
  return output;
}

InferenceResponse Response(OutputTensor output) {
  InferenceResponse response;
  response.model_name = "add_sub";
  response.model_version = 1;
  response.outputs.push_back(std::move(output));
  return response;
}

std::string Written(const InferenceResponse& response, const AnswerForm& form = {},
                    bool batched = false, ClassLabels labels = nullptr) {
  Result<InferAnswer> answer = WriteInferResponse(response, form, batched, labels);
  if (!answer.ok()) return answer.status().message();
  return std::string(Flatten(answer->body).text());
}

// "data" of a one-output answer.
template <typename T>
std::string Data(DataType type, const std::vector<T>& elements) {
  const std::string text =
      Written(Response(Tensor("O", type, {static_cast<int64_t>(elements.size())}, elements)));
  const size_t at = text.find("\"data\":");
  return text.substr(at + 7, text.size() - at - 10);
}

TEST(InferResponse, WritesKeysInTritonsOrder) {
  InferenceResponse response =
      Response(Tensor<float>("OUTPUT0", DataType::kFp32, {4}, {11, 22, 33, 44}));
  response.id = "42";
  EXPECT_EQ(Written(response),
            R"({"id":"42","model_name":"add_sub","model_version":"1","outputs":[{"name":"OUTPUT0",)"
            R"("datatype":"FP32","shape":[4],"data":[11.0,22.0,33.0,44.0]}]})");
  response.id = "";
  response.parameters = {{"a", true}, {"b", int64_t{-1}}, {"c", 0.5}, {"d", std::string("x\"y")}};
  EXPECT_EQ(
      Written(response).substr(0, 96),
      R"({"model_name":"add_sub","model_version":"1","parameters":{"a":true,"b":-1,"c":0.5,"d":"x\"y"},"o)");
}

TEST(InferResponse, WritesNumbers) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Data<float>(DataType::kFp32,
                        {0.1f, -9, 6.5f, std::nanf(""), inf, -inf, -0.0f, 1e20f, 16777216, 1e-10f}),
            "[0.1,-9.0,6.5,NaN,Infinity,-Infinity,-0.0,1e+20,16777216.0,1e-10]");
  EXPECT_EQ(Data<double>(DataType::kFp64, {0.1, 1e300, 123456789012.0}),
            "[0.1,1e+300,123456789012.0]");
  EXPECT_EQ(Data<int8_t>(DataType::kInt8, {-128, 127}), "[-128,127]");
  EXPECT_EQ(Data<uint64_t>(DataType::kUint64, {UINT64_MAX}), "[18446744073709551615]");
  EXPECT_EQ(Data<uint8_t>(DataType::kBool, {1, 0}), "[true,false]");
  EXPECT_EQ(Data<uint8_t>(DataType::kUint8, {}), "[]");
}

TEST(InferResponse, WritesStrings) {
  OutputTensor output;
  output.name = "O";
  output.type = DataType::kBytes;
  output.shape = {1, 2};
  output.data = Buffer::Copy(std::string_view("\3\0\0\0h\xc3\xa9\4\0\0\0\"\n\x01\\", 15));
  EXPECT_EQ(
      Written(Response(output)),
      R"({"model_name":"add_sub","model_version":"1","outputs":[{"name":"O","datatype":"BYTES",)"
      "\"shape\":[1,2],\"data\":[\"h\xc3\xa9\",\"\\\"\\n\\u0001\\\\\"]}]}");
  output.data.Truncate(14);
  EXPECT_EQ(Written(Response(output)), "output tensor shape does not match size of output for 'O'");
}

TEST(InferResponse, BinaryOutputsAreSentAsTheyAre) {
  const InferenceResponse response =
      Response(Tensor<float>("OUTPUT0", DataType::kFp32, {2}, {1, 2}));
  AnswerForm form;
  form.binary = true;
  ClassLabels none;
  Result<InferAnswer> answer = WriteInferResponse(response, form, false, none);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->binary);
  ASSERT_EQ(answer->body.size(), 2u);
  EXPECT_EQ(answer->body[1].data(), response.outputs[0].data.data());
  EXPECT_EQ(answer->json_size, answer->body[0].size());
  EXPECT_EQ(answer->body[0].text(),
            R"({"model_name":"add_sub","model_version":"1","outputs":[{"name":"OUTPUT0",)"
            R"("datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]})");
  // A listed output is JSON unless it asks for binary itself.
  form.outputs = {{.name = "OUTPUT0"}};
  EXPECT_FALSE(WriteInferResponse(response, form, false, none)->binary);
}

TEST(InferResponse, HalfPrecisionNeedsBinary) {
  EXPECT_EQ(Written(Response(Tensor<uint16_t>("O", DataType::kFp16, {1}, {0}))),
            "sending FP16 data via JSON is not supported. Please use the binary data format for "
            "output");
}

TEST(InferResponse, Classifies) {
  AnswerForm form;
  form.outputs = {{.name = "O", .classes = 2}};
  const auto output = Tensor<float>("O", DataType::kFp32, {2, 3}, {1, 3, 2, 0.5f, 0.5f, NAN});
  EXPECT_EQ(
      Written(Response(output), form, true),
      R"({"model_name":"add_sub","model_version":"1","outputs":[{"name":"O","datatype":"BYTES",)"
      R"("shape":[2,2],"data":["3.000000:1","2.000000:2","0.500000:0","0.500000:1"]}]})");
  form.outputs[0].classes = 99;
  EXPECT_EQ(
      Written(Response(Tensor<int32_t>("O", DataType::kInt32, {2}, {-1, 5})), form, false,
              [](std::string_view, size_t index) {
                return index == 0 ? std::string_view("rose") : std::string_view();
              }),
      R"({"model_name":"add_sub","model_version":"1","outputs":[{"name":"O","datatype":"BYTES",)"
      R"("shape":[2],"data":["5:1","-1:0:rose"]}]})");
}

}  // namespace
}  // namespace tepal::kserve
