#include "scaling/autoscaling/metric_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/env/random.h"

namespace tepal::autoscaling {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;
using ::testing::Optional;

constexpr Instant kStart{std::chrono::hours(1)};

TEST(CounterWindow, GrowthWithinTheWindow) {
  CounterWindow window(30s);
  EXPECT_EQ(window.Increase(kStart), std::nullopt);
  window.Add(kStart, 100);
  EXPECT_EQ(window.Increase(kStart), std::nullopt);
  window.Add(kStart + 10s, 130);
  EXPECT_THAT(window.Increase(kStart + 10s), Optional(DoubleEq(30)));
  window.Add(kStart + 20s, 150);
  window.Add(kStart + 40s, 150);
  EXPECT_THAT(window.Increase(kStart + 40s), Optional(DoubleEq(20)));
}

TEST(CounterWindow, ARestartIsNotNegative) {
  CounterWindow window(30s);
  window.Add(kStart, 1000);
  window.Add(kStart + 1s, 1010);
  window.Add(kStart + 2s, 3);  // Restarted, and 3 since.
  window.Add(kStart + 3s, 8);
  EXPECT_THAT(window.Increase(kStart + 3s), Optional(DoubleEq(18)));
}

TEST(CounterWindow, TheRateIsPerSecondOfWhatWasSeen) {
  CounterWindow window(30s);
  window.Add(kStart, 10);
  EXPECT_EQ(window.Rate(kStart), std::nullopt);
  window.Add(kStart + 10s, 30);
  EXPECT_THAT(window.Rate(kStart + 20s), Optional(DoubleEq(2)));
  window.Add(kStart + 35s, 5);  // Restarted; the first sample has left the window.
  EXPECT_THAT(window.Rate(kStart + 35s), Optional(DoubleEq(0.2)));
}

TEST(CounterWindow, AStaleCounterIsUnknown) {
  CounterWindow window(30s);
  window.Add(kStart, 1);
  window.Add(kStart + 1s, 2);
  EXPECT_TRUE(window.Increase(kStart + 30s).has_value());
  EXPECT_EQ(window.Increase(kStart + 31s), std::nullopt);
}

TEST(CounterWindow, IgnoresWhatIsNoCounter) {
  CounterWindow window(30s);
  window.Add(kStart, 5);
  window.Add(kStart + 1s, NAN);
  window.Add(kStart + 1s, -1);
  window.Add(kStart + 2s, 7);
  EXPECT_THAT(window.Increase(kStart + 2s), Optional(DoubleEq(2)));
}

// Against the plain sum of all growth in the window, with restarts at random.
TEST(CounterWindow, EqualsTheSumOfItsSteps) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    env::SeededRandom random(seed);
    CounterWindow window(10s);
    struct Step {
      Instant when;
      double grown;
    };
    std::vector<Step> steps;
    double raw = 0;
    Instant now = kStart;
    for (int i = 0; i < 200; ++i) {
      now += std::chrono::milliseconds(random.Below(1500) + 1);
      const bool restart = random.Below(20) == 0;
      const double more = static_cast<double>(random.Below(100));
      // A restart that has grown past the old value within one reading cannot be seen by anyone.
      if (restart && more < raw) raw = 0;
      raw += more;
      window.Add(now, raw);
      steps.push_back({now, more});
      double expected = 0;
      int inside = 0;
      for (const Step& step : steps) {
        if (now - step.when > 10s) continue;
        if (inside++ > 0) expected += step.grown;
      }
      const std::optional<double> increase = window.Increase(now);
      ASSERT_EQ(increase.has_value(), inside >= 2);
      if (increase.has_value()) {
        ASSERT_DOUBLE_EQ(*increase, expected);
      }
    }
  }
}

TEST(GaugeWindow, WeighsByTime) {
  GaugeWindow window(10s);
  EXPECT_EQ(window.Mean(kStart), std::nullopt);
  window.Add(kStart, 4);
  EXPECT_THAT(window.Mean(kStart), Optional(DoubleEq(4)));
  window.Add(kStart + 9s, 14);
  EXPECT_THAT(window.Mean(kStart + 10s), Optional(DoubleNear(5, 1e-9)));
  // The first value stood until 9 s: of the window from 5 s to 15 s, 4 s are its own.
  EXPECT_THAT(window.Mean(kStart + 15s), Optional(DoubleNear(10, 1e-9)));
  EXPECT_EQ(window.Mean(kStart + 20s), std::nullopt);
}

TEST(QueueTimeWindow, IsTheFormulaOfTheRecipe) {
  QueueTimeWindow window(30s);
  window.Add(kStart, 1000, 10);
  EXPECT_EQ(window.MeanUs(kStart), std::nullopt);
  window.Add(kStart + 10s, 61000, 19);
  EXPECT_THAT(window.MeanUs(kStart + 10s), Optional(DoubleEq(6000)));  // 60000 / (1 + 9).
  window.Add(kStart + 20s, 0, 0);                                      // Restarted.
  EXPECT_THAT(window.MeanUs(kStart + 20s), Optional(DoubleEq(6000)));
  window.Clear();
  EXPECT_EQ(window.MeanUs(kStart + 20s), std::nullopt);
}

}  // namespace
}  // namespace tepal::autoscaling
