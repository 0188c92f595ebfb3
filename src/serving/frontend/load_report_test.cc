#include "serving/frontend/load_report.h"

#include <gtest/gtest.h>

#include "serving/frontend/frontend_fakes.h"

namespace tepal {
namespace {

class LoadReportTest : public testing::Test {
 protected:
  std::string Text(Instant now) { return reporter.Text(LoadReportFormat::kText, now); }

  FakeCore core;  // Says that three requests are in flight.
  Duration processor_time = 10s;
  LoadReporter reporter{core, [this] { return processor_time; }, 4};
};

TEST_F(LoadReportTest, RatesAreThoseSinceTheReportBefore) {
  EXPECT_EQ(Text(Instant(5s)),
            "TEXT cpu_utilization=0.0,rps_fractional=0.0,eps=0.0,named_metrics.tepal_in_flight=3,"
            "named_metrics.tepal_queue_depth=0");
  processor_time += 2s;
  for (int i = 0; i < 3; ++i) core.echo->statistics_.AddSuccess({});
  core.echo->statistics_.AddFailure(FailureReason::kBackend, 1ms);
  core.echo->statistics_.AddPending(7);
  EXPECT_EQ(Text(Instant(7s)),
            "TEXT cpu_utilization=0.25,rps_fractional=2.0,eps=0.5,named_metrics.tepal_in_flight=3,"
            "named_metrics.tepal_queue_depth=7");
}

TEST_F(LoadReportTest, AYoungReportIsToldAgain) {
  Text(Instant(5s));
  processor_time += 400ms;
  const std::string first = Text(Instant(6s));
  processor_time += 10s;
  EXPECT_EQ(Text(Instant(6s) + LoadReporter::kReportAge - 1ns), first);
  EXPECT_NE(Text(Instant(6s) + LoadReporter::kReportAge), first);
}

TEST_F(LoadReportTest, AModelThatIsUnloadedTakesNoRateBelowZero) {
  core.echo->statistics_.AddSuccess({});
  Text(Instant(5s));
  core.echo = std::make_shared<FakeModel>("echo");
  EXPECT_NE(Text(Instant(6s)).find("rps_fractional=0.0"), std::string::npos);
}

TEST_F(LoadReportTest, Json) {
  EXPECT_EQ(reporter.Text(LoadReportFormat::kJson, Instant(5s)),
            R"(JSON {"cpu_utilization":0.0,"rps_fractional":0.0,"eps":0.0,)"
            R"("named_metrics":{"tepal_in_flight":3,"tepal_queue_depth":0}})");
}

TEST_F(LoadReportTest, BinaryIsAnOrcaLoadReport) {
  reporter.Binary(Instant(5s));
  processor_time += 1s;
  using namespace std::string_view_literals;
  EXPECT_EQ(reporter.Binary(Instant(6s)),
            "\x09\0\0\0\0\0\0\xd0\x3f"  // cpu_utilization: 0.25
            "\x42\x1a\x0a\x0ftepal_in_flight\x11\0\0\0\0\0\0\x08\x40"
            "\x42\x1c\x0a\x11tepal_queue_depth\x11\0\0\0\0\0\0\0\0"sv);
}

TEST(AskedLoadReportTest, KnowsTextAndJson) {
  EXPECT_EQ(AskedLoadReport("text"), LoadReportFormat::kText);
  EXPECT_EQ(AskedLoadReport("JSON"), LoadReportFormat::kJson);
  EXPECT_EQ(AskedLoadReport("xml"), std::nullopt);
  EXPECT_EQ(AskedLoadReport(std::nullopt), std::nullopt);
}

}  // namespace
}  // namespace tepal
