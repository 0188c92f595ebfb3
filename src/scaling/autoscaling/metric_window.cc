#include "scaling/autoscaling/metric_window.h"

#include <algorithm>
#include <cmath>

namespace tepal::autoscaling {

void CounterWindow::Add(Instant when, double value) {
  if (!std::isfinite(value) || value < 0) return;
  double grown = 0;
  if (!samples_.empty()) {
    const Sample& last = samples_.back();
    grown = last.grown + (value >= last.raw ? value - last.raw : value);
  }
  samples_.push_back({when, grown, value});
  while (when - samples_.front().when > window_) samples_.pop_front();
}

std::deque<CounterWindow::Sample>::const_iterator CounterWindow::First(Instant now) const {
  const auto first = std::find_if(samples_.begin(), samples_.end(), [&](const Sample& sample) {
    return now - sample.when <= window_;
  });
  return samples_.end() - first < 2 ? samples_.end() : first;
}

std::optional<double> CounterWindow::Increase(Instant now) const {
  const auto first = First(now);
  if (first == samples_.end()) return std::nullopt;
  return samples_.back().grown - first->grown;
}

std::optional<double> CounterWindow::Rate(Instant now) const {
  const auto first = First(now);
  if (first == samples_.end() || samples_.back().when <= first->when) return std::nullopt;
  return (samples_.back().grown - first->grown) / ToSeconds(samples_.back().when - first->when);
}

void GaugeWindow::Add(Instant when, double value) {
  if (!std::isfinite(value)) return;
  samples_.push_back({when, value});
  // One sample from before the window stays: its value stood when the window began.
  while (samples_.size() > 1 && when - samples_[1].when >= window_) samples_.pop_front();
}

std::optional<double> GaugeWindow::Mean(Instant now) const {
  if (samples_.empty() || now - samples_.back().when > window_) return std::nullopt;
  double weighted = 0;
  double seconds = 0;
  for (size_t i = 0; i < samples_.size(); ++i) {
    const Instant begin = std::max(samples_[i].when, now - window_);
    const Instant end = i + 1 < samples_.size() ? samples_[i + 1].when : now;
    if (end <= begin) continue;
    weighted += samples_[i].value * ToSeconds(end - begin);
    seconds += ToSeconds(end - begin);
  }
  return seconds > 0 ? weighted / seconds : samples_.back().value;
}

std::optional<double> QueueTimeWindow::MeanUs(Instant now) const {
  const std::optional<double> queue_us = queue_us_.Increase(now);
  const std::optional<double> requests = requests_.Increase(now);
  if (!queue_us.has_value() || !requests.has_value()) return std::nullopt;
  return *queue_us / (1 + *requests);
}

}  // namespace tepal::autoscaling
