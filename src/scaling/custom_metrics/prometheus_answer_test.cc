#include "scaling/custom_metrics/prometheus_answer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tepal::custom_metrics {
namespace {

TEST(PrometheusAnswer, ReadsSeries) {
  const auto series = ReadSeriesAnswer(
      R"({"status":"success","data":[{"__name__":"up","pod":"a","job":"x"},{"pod":"b"}]})");
  ASSERT_TRUE(series.ok()) << series.status().ToString();
  ASSERT_EQ(series->size(), 2u);
  EXPECT_EQ((*series)[0].name, "up");
  EXPECT_EQ((*series)[0].labels, (std::map<std::string, std::string>{{"job", "x"}, {"pod", "a"}}));
  EXPECT_EQ((*series)[1].name, "");
  EXPECT_TRUE(ReadSeriesAnswer(R"({"status":"success","data":[]})")->empty());
}

TEST(PrometheusAnswer, ReadsVectorsAndScalars) {
  const auto vector = ReadQueryAnswer(
      R"({"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"pod":"a"},"value":[1435781430.781,"1.5"]},
        {"metric":{},"value":[1435781430,"NaN"]},{"metric":{},"value":[1.5,"-Inf"]},
        {"metric":{},"histogram":[1,{}]}]}})");
  ASSERT_TRUE(vector.ok()) << vector.status().ToString();
  ASSERT_EQ(vector->samples.size(), 3u);
  EXPECT_EQ(vector->samples[0].value, 1.5);
  EXPECT_EQ(vector->samples[0].labels.at("pod"), "a");
  EXPECT_EQ(vector->samples[0].time, WallTime(1435781430781ms));
  EXPECT_TRUE(std::isnan(vector->samples[1].value));
  EXPECT_TRUE(std::isinf(vector->samples[2].value));
  const auto scalar =
      ReadQueryAnswer(R"({"status":"success","data":{"resultType":"scalar","result":[10,"42"]}})");
  ASSERT_TRUE(scalar.ok());
  EXPECT_TRUE(scalar->scalar);
  EXPECT_EQ(scalar->samples.at(0).value, 42);
}

TEST(PrometheusAnswer, TellsARefusalFromGarbage) {
  const auto refused =
      ReadQueryAnswer(R"({"status":"error","errorType":"bad_data","error":"parse error: x"})");
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.status().message(), "Prometheus refused it: bad_data: parse error: x");
  for (
      const char* garbage :
      {"", "<html>", "{}", "[]", R"({"status":"success"})", R"({"status":"success","data":{}})",
       R"({"status":"success","data":{"resultType":"vector","result":[{}]}})",
       R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}})",
       R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e300,"2"]}]}})",
       R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}})",
       R"({"status":"success","data":{"resultType":"scalar","result":[1]}})"}) {
    EXPECT_EQ(ReadQueryAnswer(garbage).status().code(), StatusCode::kUnavailable) << garbage;
  }
  EXPECT_EQ(ReadSeriesAnswer(R"({"status":"success","data":[1]})").status().code(),
            StatusCode::kUnavailable);
  EXPECT_FALSE(
      ReadQueryAnswer(R"({"status":"success","data":{"resultType":"matrix","result":[]}})").ok());
}

TEST(PrometheusAnswer, FindsTheWindow) {
  EXPECT_EQ(WindowOfQuery("sum(rate(x{a=\"b\"}[2m])) by (pod)"), 120s);
  EXPECT_EQ(WindowOfQuery("rate(x[1h30m]) / rate(y[30s])"), 5400s);
  EXPECT_EQ(WindowOfQuery("max_over_time(rate(x[30s])[5m:1m])"), 300s);
  EXPECT_EQ(WindowOfQuery("x{a=\"[5m]\",b='\\'[5m]'}"), std::nullopt);
  EXPECT_EQ(WindowOfQuery("up # [5m]"), std::nullopt);
  EXPECT_EQ(WindowOfQuery("up"), std::nullopt);
  EXPECT_EQ(WindowOfQuery("x[bad] y[9999999999s] z["), std::nullopt);
}

}  // namespace
}  // namespace tepal::custom_metrics
