#include <gtest/gtest.h>

#include <cmath>

#include "serving/client/load_report.h"
#include "serving/client/plot.h"
#include "serving/client/v2_client.h"

namespace tepal::client {
namespace {

net::HttpClient::Response Answer(int status, std::string_view body) {
  net::HttpClient::Response response;
  response.head.status = status;
  response.body = Buffer::Copy(body);
  return response;
}

TEST(V2Client, EncodesJsonThenTensors) {
  InferCall call;
  call.model = "m";
  call.inputs.push_back({"x", DataType::kFp32, {1, 2}, Buffer::Copy("12345678")});
  call.output = "y";
  call.classification = 3;
  const EncodedRequest request = EncodeInfer(call);
  EXPECT_EQ(request.head.target, "/v2/models/m/infer");
  EXPECT_EQ(request.head.headers.Get("inference-header-content-length"),
            std::to_string(request.body[0].size()));
  EXPECT_EQ(request.head.content_length, request.body[0].size() + 8);
  EXPECT_EQ(
      request.body[0].text(),
      R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":)"
      R"({"binary_data_size":8}}],"outputs":[{"name":"y","parameters":{"classification":3}}]})");
  EXPECT_EQ(request.body[1].text(), "12345678");
}

TEST(V2Client, ReadsAnswersAndErrors) {
  const auto answer = DecodeInfer(Answer(
      200, R"({"model_name":"m","model_version":"2","outputs":[{"name":"y","datatype":"BYTES",)"
           R"("shape":[1,1],"data":["0.5:3:sunflowers"]}]})"));
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->model_version, "2");
  ASSERT_EQ(answer->outputs.size(), 1u);
  EXPECT_EQ(*(*answer->outputs[0].data.AsArray())[0].AsString(), "0.5:3:sunflowers");

  EXPECT_EQ(DecodeInfer(Answer(404, R"({"error":"no such model"})")).status().message(),
            "the server answered 404: no such model");
  EXPECT_EQ(DecodeInfer(Answer(502, "Bad gateway")).status().message(),
            "the server answered 502: Bad gateway");
  EXPECT_FALSE(DecodeInfer(Answer(200, "[")).ok());
  EXPECT_FALSE(DecodeInfer(Answer(200, "{}")).ok());
}

TEST(V2Client, ReadsMetadataWithShapesAsNumbersOrText) {
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

TEST(V2Client, ReadsClassesWithAndWithoutLabels) {
  const auto labelled = ParseClassification("0.962:3:sun:flowers");
  ASSERT_TRUE(labelled.ok());
  EXPECT_DOUBLE_EQ(labelled->score, 0.962);
  EXPECT_EQ(labelled->index, 3);
  EXPECT_EQ(labelled->label, "sun:flowers");
  EXPECT_EQ(ParseClassification("44.000000:3")->index, 3);
  for (const char* bad : {"", "0.5", "x:1", "0.5:x", ":"}) {
    EXPECT_FALSE(ParseClassification(bad).ok()) << bad;
  }
}

LoadReport SmallReport() {
  LoadReport report;
  for (int second = 0; second < 20; ++second) {
    LoadInterval interval;
    interval.begin = std::chrono::seconds(second);
    interval.end = std::chrono::seconds(second + 1);
    interval.concurrency = second < 10 ? 4 : 8;
    interval.succeeded = static_cast<uint64_t>(100 + 10 * second);
    interval.p50_us = 2000 + 100 * second;
    interval.p99_us = 9000;
    report.intervals.push_back(interval);
    report.succeeded += interval.succeeded;
  }
  report.phases.push_back(report.intervals.front());
  report.failed = 2;
  report.failures["HTTP 503: busy"] = 2;
  return report;
}

TEST(LoadReport, TableCsvAndJsonSayTheSame) {
  const LoadReport report = SmallReport();
  EXPECT_NE(ReportTable(report).find("4 clients"), std::string::npos);
  EXPECT_NE(ReportTable(report).find("failed 2 times: HTTP 503: busy"), std::string::npos);
  EXPECT_NE(ReportCsv(report).find("\n4,0,1,100,0,100,2,0,9,0\n"), std::string::npos)
      << ReportCsv(report);
  const auto parsed = json::Parse(ReportJson(report));
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->Find("intervals")->AsArray()->size(), 20u);
  EXPECT_EQ(*parsed->Find("failed")->AsInt(), 2);
}

TEST(Plot, DrawsItsSeriesInTheirColours) {
  const image::Image image = Draw(ReportPlot(SmallReport()));
  EXPECT_EQ(image.width, 960);
  size_t blue = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    blue += Colour{image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]} == kBlue;
  }
  EXPECT_GT(blue, 1000u);
}

TEST(Plot, SurvivesEmptyAndOddData) {
  EXPECT_GT(Draw({}).pixels.size(), 0u);
  Plot plot{"x", {1, 1, 1}, {{"t", {{"s", kRed, {std::nan(""), 5, 1e300}}}}}};
  EXPECT_GT(Draw(plot).pixels.size(), 0u);
}

}  // namespace
}  // namespace tepal::client
