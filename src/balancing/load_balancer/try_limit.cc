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

void TryLimit::SetUsualQuantile(double quantile) {
  usual_quantile_ = quantile;
  measured_ = 0;
}

void TryLimit::Measure() {
  Counts both = now_.counts;
  for (size_t i = 0; i < both.size(); ++i) both[i] += before_.counts[i];
  using Histogram = telemetry::LatencyHistogram;
  quantile_ = std::chrono::microseconds(Histogram::QuantileOf(both, kQuantile));
  // The end of its bucket: of answers that all take alike, half would else be later than usual.
  const int bucket = Histogram::BucketOf(Histogram::QuantileOf(both, usual_quantile_));
  const int next = std::min(bucket + 1, Histogram::kBuckets - 1);
  usual_ =
      std::chrono::microseconds((Histogram::ValueOf(bucket) + Histogram::ValueOf(next) + 1) / 2);
  measured_ = now_.answers;
}

bool TryLimit::Knows(Instant now) const {
  return quantile_ > Duration(0) && now - now_.began < 2 * Duration(kWindow);
}

std::optional<Duration> TryLimit::Usual(Instant now) const {
  return Knows(now) ? std::optional(usual_) : std::nullopt;
}

std::optional<Duration> TryLimit::Quantile(double q, Instant now) const {
  const auto recent = [now](const Window& window) {
    return window.answers > 0 && now - window.began < 2 * Duration(kWindow);
  };
  if (!recent(now_)) return std::nullopt;
  Counts counts = now_.counts;
  if (recent(before_)) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += before_.counts[i];
  }
  return std::chrono::microseconds(telemetry::LatencyHistogram::QuantileOf(counts, q));
}

std::optional<Duration> TryLimit::Limit(double expected, Instant now) const {
  if (!Knows(now)) return std::nullopt;
  const Duration usual = std::max<Duration>(quantile_, FromSeconds(std::min(expected, 3600.0)));
  return std::max<Duration>(FromSeconds(kMultiple * ToSeconds(usual)), kTryTimeMin);
}

}  // namespace tepal::lb
