#include "core/telemetry/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tepal::telemetry {
namespace {

TEST(PrometheusWriter, WritesFamiliesThatItsParserReads) {
  PrometheusWriter writer;
  writer.Family("nv_inference_count", "Rows", PrometheusWriter::Type::kCounter);
  writer.Sample({{"model", "a\"b\\c\nd"}, {"version", "1"}}, uint64_t{18446744073709551615u});
  writer.Family("load", "Load", PrometheusWriter::Type::kGauge);
  writer.Sample({}, -0.25);
  const std::string text = writer.Take();
  EXPECT_NE(text.find("# TYPE nv_inference_count counter\n"), std::string::npos);

  const auto samples = ParsePrometheusText(text);
  ASSERT_TRUE(samples.ok()) << samples.status().message();
  ASSERT_EQ(samples->size(), 2u);
  EXPECT_EQ((*samples)[0].labels[0].second, "a\"b\\c\nd");
  EXPECT_EQ((*samples)[0].value, 18446744073709551615.0);
  EXPECT_EQ((*samples)[1].value, -0.25);
}

TEST(PrometheusParser, ReadsWhatServersWrite) {
  const auto samples = ParsePrometheusText(
      "# HELP x y\n\nx{a=\"1\",} 3 1700000000000\r\ny NaN\nz{ b = \"2\" } +Inf\nw{} 1e3");
  ASSERT_TRUE(samples.ok()) << samples.status().message();
  ASSERT_EQ(samples->size(), 4u);
  EXPECT_EQ((*samples)[0].value, 3);
  EXPECT_TRUE(std::isnan((*samples)[1].value));
  EXPECT_TRUE(std::isinf((*samples)[2].value));
  EXPECT_EQ((*samples)[3].value, 1000);
}

TEST(PrometheusParser, NamesTheLineItRefuses) {
  for (const char* page : {"x 1\ny", "x 1\n{a=\"1\"} 2", "x 1\ny{a=1} 2", "x 1\ny{a=\"1} 2",
                           "x 1\ny abc", "x 1\ny{a=\"1\"", "x 1\ny{a=\"1\" b=\"2\"} 1"}) {
    const auto samples = ParsePrometheusText(page);
    ASSERT_FALSE(samples.ok()) << page;
    EXPECT_NE(samples.status().message().find("line 2"), std::string::npos) << page;
  }
}

TEST(LatencyHistogram, QuantilesAreWithinABucket) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), 0);
  for (int i = 1; i <= 10'000; ++i) histogram.Record(i);
  EXPECT_EQ(histogram.count(), 10'000u);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.5)), 5000, 5000 * 0.07);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.99)), 9900, 9900 * 0.07);
}

TEST(LatencyHistogram, EveryValueFallsInABucketOfItsSize) {
  for (int64_t value = 1; value < (int64_t{1} << 40); value = value * 17 / 16 + 1) {
    LatencyHistogram histogram;
    histogram.Record(value);
    EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.5)), static_cast<double>(value),
                static_cast<double>(value) * 0.07 + 1);
  }
}

TEST(Counter, SumsItsCells) {
  Counter counter;
  counter.Add();
  counter.Add(41);
  EXPECT_EQ(counter.value(), 42u);
}

}  // namespace
}  // namespace tepal::telemetry
