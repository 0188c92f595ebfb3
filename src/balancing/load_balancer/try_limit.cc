#include "balancing/load_balancer/try_limit.h"

#include <algorithm>

namespace tepal::lb {

namespace {

constexpr uint64_t kMeasureEvery = 64;  // Answers.

}  // namespace

void TryLimit::OnAnswer(Duration latency, Instant now) {
  if (now - now_.began >= Duration(kWindow)) {
    before_ = now_;
    now_ = Window();
    now_.began = now;
    measured_ = 0;
  }
  ++now_.answers;
  const int bucket = telemetry::LatencyHistogram::BucketOf(ToMicroseconds(latency));
  ++now_.counts[static_cast<size_t>(bucket)];
  if (now_.answers + before_.answers < kAnswersMin) return;
  if (measured_ == 0 || now_.answers - measured_ >= kMeasureEvery) Measure();
}

void TryLimit::Measure() {
  Counts both = now_.counts;
  for (size_t i = 0; i < both.size(); ++i) both[i] += before_.counts[i];
  quantile_ = std::chrono::microseconds(telemetry::LatencyHistogram::QuantileOf(both, kQuantile));
  measured_ = now_.answers;
}

std::optional<Duration> TryLimit::Limit(double expected, Instant now) const {
  if (quantile_ <= Duration(0) || now - now_.began >= 2 * Duration(kWindow)) return std::nullopt;
  const Duration usual = std::max<Duration>(quantile_, FromSeconds(std::min(expected, 3600.0)));
  return std::max<Duration>(FromSeconds(kMultiple * ToSeconds(usual)), kTryTimeMin);
}

}  // namespace tepal::lb
