#include "serving/client/http_codec.h"

#include <gtest/gtest.h>

namespace tepal::client {
namespace {

net::HttpClient::Response Answer(int status, std::string_view body) {
  net::HttpClient::Response response;
  response.head.status = status;
  response.body = Buffer::Copy(body);
  return response;
}

TEST(HttpCodec, EncodesJsonThenTensors) {
  InferCall call;
  call.model = "m";
  call.inputs.push_back({"x", DataType::kFp32, {1, 2}, Buffer::Copy("12345678")});
  call.outputs.push_back({"y", 3});
  const Result<EncodedRequest> encoded = EncodeInfer(call, TensorForm::kBinary);
  ASSERT_TRUE(encoded.ok());
  const EncodedRequest& request = *encoded;
  EXPECT_EQ(request.head.target, "/v2/models/m/infer");
  EXPECT_EQ(request.head.headers.Get("inference-header-content-length"),
            std::to_string(request.body[0].size()));
  EXPECT_EQ(request.head.content_length, request.body[0].size() + 8);
  EXPECT_EQ(request.body[0].text(),
            R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":)"
            R"({"binary_data_size":8}}],"outputs":[{"name":"y","parameters":)"
            R"({"binary_data":true,"classification":3}}]})");
  EXPECT_EQ(request.body[1].text(), "12345678");
}

TEST(HttpCodec, EncodesTensorsAsJson) {
  const float values[] = {1, -0.5};
  InferCall call{"m", {}, {}};
  call.inputs.push_back(
      {"x", DataType::kFp32, {2}, Buffer::Copy({reinterpret_cast<const char*>(values), 8})});
  const auto request = EncodeInfer(call, TensorForm::kJson);
  ASSERT_TRUE(request.ok()) << request.status().message();
  EXPECT_FALSE(request->head.headers.Has("inference-header-content-length"));
  EXPECT_EQ(Flatten(request->body).text(),
            R"({"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1.0,-0.5]}]})");
  call.inputs.front().type = DataType::kFp16;
  call.inputs.front().shape = {4};
  EXPECT_FALSE(EncodeInfer(call, TensorForm::kJson).ok());
}

TEST(HttpCodec, NamesRegionsInsteadOfData) {
  InferCall call{"m", {}, {}};
  call.inputs.push_back({"x", DataType::kInt8, {4}, Buffer::Copy("1234"), RegionPart{"in", 64, 4}});
  call.outputs.push_back({"y", 0, RegionPart{"out", 0, 4}});
  const auto request = EncodeInfer(call, TensorForm::kBinary);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(Flatten(request->body).text(),
            R"({"inputs":[{"name":"x","shape":[4],"datatype":"INT8","parameters":)"
            R"({"shared_memory_region":"in","shared_memory_byte_size":4,)"
            R"("shared_memory_offset":64}}],"outputs":[{"name":"y","parameters":)"
            R"({"shared_memory_region":"out","shared_memory_byte_size":4}}]})");
}

TEST(HttpCodec, ReadsAnswersAndErrors) {
  const auto answer = DecodeInfer(Answer(
      200, R"({"model_name":"m","model_version":"2","outputs":[{"name":"y","datatype":"BYTES",)"
           R"("shape":[1,1],"data":["0.5:3:sunflowers"]}]})"));
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->model_version, "2");
  ASSERT_EQ(answer->outputs.size(), 1u);
  EXPECT_EQ(ReadStrings(answer->outputs[0].data)->front(), "0.5:3:sunflowers");

  EXPECT_EQ(DecodeInfer(Answer(404, R"({"error":"no such model"})")).status().message(),
            "the server answered 404: no such model");
  EXPECT_EQ(DecodeInfer(Answer(502, "Bad gateway")).status().message(),
            "the server answered 502: Bad gateway");
  EXPECT_FALSE(DecodeInfer(Answer(200, "[")).ok());
  EXPECT_FALSE(DecodeInfer(Answer(200, "{}")).ok());
}

TEST(HttpCodec, ReadsBinaryAndJsonTensorsOfOneAnswer) {
  const std::string json =
      R"({"model_version":"1","outputs":[{"data":[7,8],"name":"a","datatype":"UINT8","shape":[2]},)"
      R"({"name":"b","datatype":"INT8","shape":[3],"parameters":{"binary_data_size":3}}]})";
  net::HttpClient::Response response = Answer(200, json + "xyz");
  response.head.headers.Add("inference-header-content-length", std::to_string(json.size()));
  const auto answer = DecodeInfer(response);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->outputs[0].data.text(), "\7\10");
  EXPECT_EQ(answer->outputs[1].data.text(), "xyz");

  response.body = Buffer::Copy(json + "xy");
  EXPECT_FALSE(DecodeInfer(response).ok());
  response.head.headers.Set("inference-header-content-length", "9999");
  EXPECT_FALSE(DecodeInfer(response).ok());
}

TEST(HttpCodec, ReadsStatisticsOfAllVersions) {
  const auto statistics = DecodeStatistics(
      Answer(200, R"({"model_stats":[{"inference_count":4,"execution_count":2,"inference_stats":)"
                  R"({"success":{"count":3,"ns":30},"queue":{"count":3,"ns":9}}},)"
                  R"({"inference_count":1,"execution_count":1,"inference_stats":)"
                  R"({"success":{"count":1,"ns":10},"queue":{"count":1,"ns":1}}}]})"));
  ASSERT_TRUE(statistics.ok()) << statistics.status().message();
  EXPECT_EQ(statistics->inference_count, 5u);
  EXPECT_EQ(statistics->execution_count, 3u);
  EXPECT_EQ(statistics->success.count, 4u);
  EXPECT_EQ(statistics->queue.ns, 10u);
}

TEST(HttpCodec, ReadsLimits) {
  const auto limits = DecodeLimits(
      Answer(200, R"({"max_batch_size":8,"model_transaction_policy":{"decoupled":true}})"));
  ASSERT_TRUE(limits.ok());
  EXPECT_EQ(limits->max_batch_size, 8);
  EXPECT_TRUE(limits->decoupled);
}

TEST(HttpCodec, ReadsMetadataWithShapesAsNumbersOrText) {
  const auto model = DecodeMetadata(Answer(
      200, R"({"name":"m","platform":"p","inputs":[{"name":"x","datatype":"FP32",)"
           R"("shape":[-1,3]}],"outputs":[{"name":"y","datatype":"INT64","shape":["-1","5"]}]})"));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->inputs[0].shape, (Shape{-1, 3}));
  EXPECT_EQ(model->outputs[0].shape, (Shape{-1, 5}));
  EXPECT_FALSE(
      DecodeMetadata(Answer(200, R"({"inputs":[{"name":"x","datatype":"FLOAT"}],"outputs":[]})"))
          .ok());
}

}  // namespace
}  // namespace tepal::client
