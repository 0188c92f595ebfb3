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

class RateWindow {
 public:
  static constexpr Duration kSpanMax = 10s;
  static constexpr size_t kHistory = 60;  // Readings whose rates are kept.

  // `requests` as they are now. False: no later than the last reading, and left out.
  bool Add(Instant now, uint64_t requests);

  // Requests a second over the last `span`, or as much of it as there is; 0 without two readings.
  double Rate(Duration span) const;
  // How many came in that time.
  uint64_t Count(Duration span) const;

  // Rates between readings, oldest first; at most kHistory.
  const std::deque<double>& history() const { return history_; }

 private:
  struct Reading {
    Instant when;
    uint64_t requests;
  };
  // The newest reading that is at least `span` older than the last; the oldest if none is.
  const Reading& Before(Duration span) const;

  std::deque<Reading> readings_;
  std::deque<double> history_;
};

// With the quantiles.
class TrafficWindow final : public RateWindow {
 public:
  using Counts = decltype(telemetry::LatencyHistogram().Read());

  static constexpr Duration kQuantileWindow = kSpanMax;

  // `requests` and `latency` as they are now.
  void Add(Instant now, uint64_t requests, const Counts& latency);

  // Over kQuantileWindow; nothing when no request was answered in it.
  std::optional<Duration> Quantile(double q) const;

 private:
  struct Reading {
    Instant when;
    Counts latency;
  };
  std::deque<Reading> latencies_;  // The first is kQuantileWindow old, or as old as there is.
};

}  // namespace tepal::lb
