#include "serving/kserve/generate.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tepal::kserve {
namespace {

ModelConfig Model(Shape dims, int batch_max = 0, DataType type = DataType::kFp32) {
  ModelConfig model;
  model.name = "m";
  model.max_batch_size = batch_max;
  model.inputs = {{.name = "X", .type = type, .dims = std::move(dims), .reshape = {}}};
  return model;
}

std::string Error(std::string_view body, const ModelConfig& model) {
  InferenceRequest request;
  return ReadGenerateRequest(body, model, request).ToString();
}

TEST(Generate, ReadsElementsListsAndParameters) {
  InferenceRequest request;
  const Status read = ReadGenerateRequest(
      R"({"id":"7","X":[1,2.5],"words":"w","parameters":{"n":-3,"t":0.5,"b":true}} )",
      Model({-1, 1}, 8), request);
  ASSERT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(request.id, "7");
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 2, 1}));
  float values[2];
  ASSERT_EQ(request.inputs[0].data.front().size(), sizeof(values));
  std::memcpy(values, request.inputs[0].data.front().data(), sizeof(values));
  EXPECT_EQ(values[1], 2.5f);
  ASSERT_EQ(request.parameters.size(), 4u);
  EXPECT_EQ(request.parameters[0].name, "words");
  EXPECT_EQ(std::get<int64_t>(request.parameters[1].value), -3);
  EXPECT_EQ(std::get<bool>(request.parameters[3].value), true);
}

TEST(Generate, ReadsASingleString) {
  InferenceRequest request;
  ASSERT_TRUE(
      ReadGenerateRequest(R"({ "X" : "a\"b" })", Model({1}, 0, DataType::kBytes), request).ok());
  EXPECT_EQ(request.inputs[0].shape, (Shape{1}));
  EXPECT_EQ(Flatten(request.inputs[0].data).text(), std::string_view("\3\0\0\0a\"b", 7));
}

TEST(Generate, RefusesInTritonsWords) {
  EXPECT_EQ(Error(R"({"X":[1,2,3]})", Model({4})),
            "INVALID_ARGUMENT: The schema can not convert input 'X' to tensor with proper shape");
  EXPECT_EQ(Error(R"({"X":"text"})", Model({1})),
            "INVALID_ARGUMENT: Unable to parse 'data': attempt to access JSON non-number as "
            "double");
  EXPECT_EQ(Error("[1]", Model({1})), "INVALID_ARGUMENT: attempt to get members for non-object");
  EXPECT_EQ(Error(R"({"X":1,"list":[]})", Model({1})),
            "INVALID_ARGUMENT: parameter 'list' has invalid type. It should be either 'int', "
            "'bool', or 'string'.");
  // No JSON goes before no meaning.
  EXPECT_EQ(Error(R"({"X":"text",})", Model({1})),
            "INVALID_ARGUMENT: failed to parse the request JSON buffer: Missing a name for object "
            "member. at 12");
  EXPECT_EQ(Error(R"({"X":[1,)", Model({1})),
            "INVALID_ARGUMENT: failed to parse the request JSON buffer: Invalid value. at 8");
  EXPECT_EQ(Error(R"({"X":[[1,2],[3,4]],"p":1})", Model({-1})),
            "INVALID_ARGUMENT: Unable to parse 'data': Shape does not match true shape of 'data' "
            "field");
}

TEST(Generate, WritesMembersInOrderOfName) {
  InferenceResponse response;
  response.model_name = "m";
  response.model_version = 3;
  response.id = "i";
  response.parameters = {{"done", true}, {"rate", 0.5}};
  const float one = 7;
  const int32_t two[] = {1, -2};
  response.outputs.push_back(
      {"Z", DataType::kInt32, {2}, Buffer::Copy({reinterpret_cast<const char*>(two), 8})});
  response.outputs.push_back(
      {"Y", DataType::kFp32, {1, 1}, Buffer::Copy({reinterpret_cast<const char*>(&one), 4})});
  const Result<Buffer> written = WriteGenerateResponse(response);
  ASSERT_TRUE(written.ok()) << written.status().message();
  EXPECT_EQ(
      written->text(),
      R"({"Y":7.0,"Z":[1,-2],"done":true,"id":"i","model_name":"m","model_version":"3","rate":0.5})");
}

}  // namespace
}  // namespace tepal::kserve
