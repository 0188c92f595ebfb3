// Rates and quantiles of the last seconds, from counters that only grow.
//
// The owner adds a reading about once a second. Pure; owned by one thread.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/base/time.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

class TrafficWindow {
 public:
  using Counts = decltype(telemetry::LatencyHistogram().Read());

  static constexpr Duration kQuantileWindow = 10s;
  static constexpr size_t kHistory = 60;  // Readings whose rates are kept.

  // `requests` and `latency` as they are now.
  void Add(Instant now, uint64_t requests, const Counts& latency);

  // Requests a second over the last `span`, or as much of it as there is; 0 without two readings.
  double Rate(Duration span) const;
  // How many came in that time.
  uint64_t Count(Duration span) const;

  // Over kQuantileWindow; nothing when no request was answered in it.
  std::optional<Duration> Quantile(double q) const;

  // Rates between readings, oldest first; at most kHistory.
  const std::deque<double>& history() const { return history_; }

 private:
  struct Reading {
    Instant when;
    uint64_t requests;
    Counts latency;
  };
  // The newest reading that is at least `span` older than the last; the oldest if none is.
  const Reading& Before(Duration span) const;

  std::deque<Reading> readings_;
  std::deque<double> history_;
};

}  // namespace tepal::lb
