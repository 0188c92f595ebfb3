// Readings of counters and gauges over the last seconds.
//
// Plain state machines without a clock; owned by one thread. Scraping is somebody else's work.

#pragma once

#include <deque>
#include <optional>

#include "core/base/time.h"

namespace tepal::autoscaling {

// By how much a counter has grown over the last `window`.
//
// A counter that has fallen was restarted from 0, as Prometheus' increase() takes it, so growth is
// never negative (the recipe's delta() was). Nothing is extrapolated beyond the samples there are.
class CounterWindow {
 public:
  explicit CounterWindow(Duration window) : window_(window) {}

  // `when` never goes back. A value that is not finite or is negative is ignored.
  void Add(Instant when, double value);

  // Nothing until two samples are in the window: a stale counter is unknown, not idle.
  std::optional<double> Increase(Instant now) const;

  // The same for each second between the first and the last of those samples.
  std::optional<double> Rate(Instant now) const;

  // The replica is another one now.
  void Clear() { samples_.clear(); }

 private:
  struct Sample {
    Instant when;
    double grown;  // Since the first sample ever, restarts taken out.
    double raw;
  };
  // The first in the window; the end when there are not two.
  std::deque<Sample>::const_iterator First(Instant now) const;

  Duration window_;
  std::deque<Sample> samples_;
};

// The mean of a gauge over the last `window`, each value weighted by how long it stood.
class GaugeWindow {
 public:
  explicit GaugeWindow(Duration window) : window_(window) {}

  void Add(Instant when, double value);

  // From one sample on; nothing when the newest is older than the window.
  std::optional<double> Mean(Instant now) const;
  void Clear() { samples_.clear(); }

 private:
  struct Sample {
    Instant when;
    double value;
  };
  Duration window_;
  std::deque<Sample> samples_;
};

// The recipe's signal for one replica, in microseconds:
//   delta(nv_inference_queue_duration_us[window]) / (1 +
//   delta(nv_inference_request_success[window]))
// to be averaged over the replicas (MetricReading::replica_values does).
class QueueTimeWindow {
 public:
  explicit QueueTimeWindow(Duration window) : queue_us_(window), requests_(window) {}

  void Add(Instant when, double queue_duration_us, double request_success) {
    queue_us_.Add(when, queue_duration_us);
    requests_.Add(when, request_success);
  }
  std::optional<double> MeanUs(Instant now) const;
  void Clear() {
    queue_us_.Clear();
    requests_.Clear();
  }

 private:
  CounterWindow queue_us_;
  CounterWindow requests_;
};

}  // namespace tepal::autoscaling
