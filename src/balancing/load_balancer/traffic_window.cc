#include "balancing/load_balancer/traffic_window.h"

namespace tepal::lb {

bool RateWindow::Add(Instant now, uint64_t requests) {
  if (!readings_.empty()) {
    const Reading& last = readings_.back();
    if (now <= last.when) return false;
    history_.push_back(static_cast<double>(requests - last.requests) / ToSeconds(now - last.when));
    if (history_.size() > kHistory) history_.pop_front();
  }
  readings_.push_back({now, requests});
  while (readings_.size() > 2 && readings_[1].when <= now - kSpanMax) readings_.pop_front();
  return true;
}

const RateWindow::Reading& RateWindow::Before(Duration span) const {
  const Instant since = readings_.back().when - span;
  for (size_t i = readings_.size(); i-- > 0;) {
    if (readings_[i].when <= since) return readings_[i];
  }
  return readings_.front();
}

uint64_t RateWindow::Count(Duration span) const {
  return readings_.empty() ? 0 : readings_.back().requests - Before(span).requests;
}

double RateWindow::Rate(Duration span) const {
  if (readings_.size() < 2) return 0;
  const Reading& before = Before(span);
  const double seconds = ToSeconds(readings_.back().when - before.when);
  return seconds <= 0 ? 0
                      : static_cast<double>(readings_.back().requests - before.requests) / seconds;
}

void TrafficWindow::Add(Instant now, uint64_t requests, const Counts& latency) {
  if (!RateWindow::Add(now, requests)) return;
  latencies_.push_back({now, latency});
  while (latencies_.size() > 2 && latencies_[1].when <= now - kQuantileWindow) {
    latencies_.pop_front();
  }
}

std::optional<Duration> TrafficWindow::Quantile(double q) const {
  if (latencies_.size() < 2) return std::nullopt;
  Counts counts = latencies_.back().latency;
  const Counts& before = latencies_.front().latency;
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] -= before[i];
    total += counts[i];
  }
  if (total == 0) return std::nullopt;
  return std::chrono::microseconds(telemetry::LatencyHistogram::QuantileOf(counts, q));
}

}  // namespace tepal::lb
