#include "scaling/custom_metrics/model_signals.h"

#include <algorithm>

namespace tepal::custom_metrics {

void GaugeGrowth::Add(Instant when, double value) {
  samples_.emplace_back(when, value);
  while (when - samples_.front().first > window_) samples_.pop_front();
}

std::optional<double> GaugeGrowth::Rate(Instant now) const {
  const auto first = std::find_if(samples_.begin(), samples_.end(), [&](const auto& sample) {
    return now - sample.first <= window_;
  });
  if (samples_.end() - first < 2 || samples_.back().first <= first->first) return std::nullopt;
  return (samples_.back().second - first->second) / ToSeconds(samples_.back().first - first->first);
}

void WaitingSince::Add(Instant when, double value) {
  value_ = value;
  if (value <= 0) {
    since_.reset();
  } else if (!since_) {
    since_ = when;
  }
}

ModelSignals::ModelSignals(const Windows& windows)
    : windows_(windows),
      queue_us_(windows.queue),
      queue_requests_(windows.queue),
      succeeded_(windows.load),
      finished_(windows.load),
      executions_(windows.load),
      compute_us_(windows.load),
      in_flight_(windows.load),
      unfinished_(windows.load) {}

void ModelSignals::Add(Instant when, const ModelReading& reading) {
  queue_us_.Add(when, reading.queue_us);
  queue_requests_.Add(when, reading.succeeded);
  succeeded_.Add(when, reading.succeeded);
  finished_.Add(when, reading.succeeded + reading.failed);
  executions_.Add(when, reading.executions);
  compute_us_.Add(when, reading.compute_us);
  std::erase_if(busy_us_,
                [&](const auto& entry) { return !reading.busy_us.contains(entry.first); });
  for (const auto& [instance, busy] : reading.busy_us) {
    busy_us_.try_emplace(instance, windows_.load).first->second.Add(when, busy);
  }
  if (reading.in_flight) in_flight_.Add(when, *reading.in_flight);
  unfinished_.Add(when, reading.in_flight.value_or(reading.pending.value_or(0)));
  has_pending_ = reading.pending.has_value();
  pending_.Add(when, reading.pending.value_or(0));
}

std::optional<ModelSignals::Queue> ModelSignals::QueueGrowth(Instant now) const {
  const std::optional<double> us = queue_us_.Increase(now);
  const std::optional<double> requests = queue_requests_.Increase(now);
  if (!us || !requests) return std::nullopt;
  return Queue{*us, *requests};
}

std::optional<double> ModelSignals::QueueAgeUs(Instant now) const {
  if (!has_pending_) return std::nullopt;
  if (pending_.value() <= 0) return 0;
  const double most = static_cast<double>(ToMicroseconds(pending_.Age(now)));
  const double served = finished_.Rate(now).value_or(0);
  return served > 0 ? std::min(most, pending_.value() / served * 1e6) : most;
}

std::optional<double> ModelSignals::InFlight(Instant now) const { return in_flight_.Mean(now); }

std::optional<double> ModelSignals::Busy(Instant now) const {
  if (!busy_us_.empty()) {
    double sum = 0;
    for (const auto& [instance, window] : busy_us_) sum += window.Rate(now).value_or(0);
    return sum / 1e6;
  }
  // Every request of a batch counts the time of the whole batch: divided by the batch's size.
  const std::optional<double> compute_us = compute_us_.Rate(now);
  const std::optional<double> executions = executions_.Rate(now);
  const std::optional<double> succeeded = succeeded_.Rate(now);
  if (!compute_us || !executions || !succeeded) return std::nullopt;
  if (*succeeded <= 0) return 0;
  return *compute_us / 1e6 * std::min(1.0, *executions / *succeeded);
}

std::optional<ModelSignals::Load> ModelSignals::LoadNow(Instant now) const {
  const std::optional<double> finished = finished_.Rate(now);
  const std::optional<double> succeeded = succeeded_.Rate(now);
  const std::optional<double> busy = Busy(now);
  if (!finished || !succeeded || !busy) return std::nullopt;
  Load load;
  load.arrivals = std::max(0.0, *finished + unfinished_.Rate(now).value_or(0));
  load.succeeded = *succeeded;
  load.busy = *busy;
  load.instances = std::max<double>(1, static_cast<double>(busy_us_.size()));
  return load;
}

}  // namespace tepal::custom_metrics
