#include <gtest/gtest.h>

#include <cmath>

#include "core/json/value.h"
#include "serving/client/load_report.h"
#include "serving/client/plot.h"

namespace tepal::client {
namespace {

TEST(InferCall, ReadsClassesWithAndWithoutLabels) {
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

TEST(InferCall, ReadsStrings) {
  using namespace std::string_view_literals;
  const Buffer data = Buffer::Copy("\3\0\0\0one\0\0\0\0\1\0\0\0x"sv);
  const auto strings = ReadStrings(data);
  ASSERT_TRUE(strings.ok()) << strings.status().message();
  EXPECT_EQ(*strings, (std::vector<std::string_view>{"one", "", "x"}));
  EXPECT_FALSE(ReadStrings(Buffer::Copy("\3\0\0\0on"sv)).ok());
  EXPECT_FALSE(ReadStrings(Buffer::Copy("\3\0"sv)).ok());
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
  report.costs.push_back({4.5, 12.5, PhaseCost::Work{2.5, 7, 1, 30, 2}});
  report.failed = 2;
  report.failures["HTTP 503: busy"] = 2;
  return report;
}

TEST(LoadReport, TableCsvAndJsonSayTheSame) {
  const LoadReport report = SmallReport();
  EXPECT_NE(ReportTable(report).find("4 clients"), std::string::npos);
  EXPECT_NE(ReportTable(report).find("failed 2 times: HTTP 503: busy"), std::string::npos);
  EXPECT_NE(ReportCsv(report).find("\n4,0,1,100,0,100,2,0,9,0,4.5,12.5,7,30,2.5\n"),
            std::string::npos)
      << ReportCsv(report);
  EXPECT_NE(ReportTable(report).find("4.5     12.5       7"), std::string::npos)
      << ReportTable(report);
  const auto parsed = json::Parse(ReportJson(report));
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->Find("intervals")->AsArray()->size(), 20u);
  EXPECT_EQ(*parsed->Find("failed")->AsInt(), 2);
  const json::Value& cost = parsed->Find("costs_per_request")->AsArray()->front();
  EXPECT_EQ(cost.Find("server_cpu_us")->AsNumber(), 12.5);
  EXPECT_EQ(cost.Find("rows_per_execution")->AsNumber(), 2.5);
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
