#include "core/telemetry/latency_window.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

namespace tepal::telemetry {
namespace {

constexpr WallTime kStart{std::chrono::hours(500'000)};  // A multiple of twelve seconds.

uint64_t CountAt(const LatencyWindow& window, WallTime now) {
  const LatencyWindow::Counts counts = window.Read(now);
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

TEST(LatencyWindow, ForgetsWhatIsOlderThanAMinute) {
  LatencyWindow window;
  EXPECT_EQ(CountAt(window, kStart), 0u);
  window.Record(100, kStart);
  window.Record(5000, kStart + 30s);
  EXPECT_EQ(CountAt(window, kStart + 59s), 2u);
  EXPECT_EQ(CountAt(window, kStart + 60s), 1u);
  EXPECT_NEAR(static_cast<double>(LatencyHistogram::QuantileOf(window.Read(kStart + 60s), 0.5)),
              5000, 350);
  EXPECT_EQ(CountAt(window, kStart + 200s), 0u);
}

TEST(LatencyWindow, ASlotIsUsedAgain) {
  LatencyWindow window;
  for (int i = 0; i < 100; ++i) window.Record(i, kStart);
  window.Record(7, kStart + 60s);  // The slot of kStart.
  EXPECT_EQ(CountAt(window, kStart + 60s), 1u);
}

TEST(LatencyWindow, GoesOnAfterTheClockWasSetBack) {
  LatencyWindow window;
  window.Record(1, kStart + 600s);
  EXPECT_EQ(CountAt(window, kStart), 0u);
  window.Record(2, kStart);
  EXPECT_EQ(CountAt(window, kStart), 1u);
}

TEST(LatencyWindow, LosesNothingWithinASlot) {
  constexpr int kThreads = 4, kRounds = 5000;
  LatencyWindow window;
  window.Record(1, kStart);
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) window.Record(i, kStart + 1s);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(CountAt(window, kStart + 1s), uint64_t{kThreads * kRounds + 1});
}

}  // namespace
}  // namespace tepal::telemetry
