#include "balancing/load_balancer/traffic_window.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

TEST(TrafficWindowTest, RatesOverOneAndTenSeconds) {
  TrafficWindow window;
  telemetry::LatencyHistogram latency;
  Instant now{100s};
  uint64_t requests = 0;
  EXPECT_EQ(window.Rate(1s), 0);
  for (int second = 0; second <= 20; ++second) {
    window.Add(now, requests, latency.Read());
    requests += second < 19 ? 100 : 300;
    now += 1s;
  }
  EXPECT_DOUBLE_EQ(window.Rate(1s), 300);
  EXPECT_DOUBLE_EQ(window.Rate(10s), 120);
  EXPECT_EQ(window.Count(10s), 1200u);
  EXPECT_EQ(window.history().size(), 20u);
  EXPECT_DOUBLE_EQ(window.history().back(), 300);
}

TEST(TrafficWindowTest, QuantilesForgetWhatIsOld) {
  TrafficWindow window;
  telemetry::LatencyHistogram latency;
  Instant now{100s};
  window.Add(now, 0, latency.Read());
  EXPECT_FALSE(window.Quantile(0.5).has_value());
  for (int i = 0; i < 100; ++i) latency.Record(1000);
  window.Add(now += 1s, 100, latency.Read());
  EXPECT_NEAR(ToMilliseconds(*window.Quantile(0.5)), 1, 0.1);
  for (int second = 0; second < 10; ++second) {
    for (int i = 0; i < 10; ++i) latency.Record(50'000);
    window.Add(now += 1s, 0, latency.Read());
  }
  EXPECT_NEAR(ToMilliseconds(*window.Quantile(0.01)), 50, 5);
  for (int second = 0; second < 11; ++second) window.Add(now += 1s, 0, latency.Read());
  EXPECT_FALSE(window.Quantile(0.5).has_value());
}

}  // namespace
}  // namespace tepal::lb
