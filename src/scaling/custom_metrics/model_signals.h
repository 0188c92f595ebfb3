// One model version on one replica over the last seconds: what is waiting, how long, how much comes
// and what it costs. Fed with the readings of its pages.
//
// Plain state machines without a clock; owned by one thread. Restarts are taken out: a counter that
// fell began again from 0.

#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "scaling/autoscaling/metric_window.h"
#include "scaling/custom_metrics/page_reading.h"

namespace tepal::custom_metrics {

// By how much a gauge has changed over the window, for each second.
class GaugeGrowth {
 public:
  explicit GaugeGrowth(Duration window) : window_(window) {}
  void Add(Instant when, double value);
  std::optional<double> Rate(Instant now) const;  // Nothing until two samples are in the window.

 private:
  Duration window_;
  std::deque<std::pair<Instant, double>> samples_;
};

// Since when a gauge has been above 0, and its last value.
class WaitingSince {
 public:
  void Add(Instant when, double value);
  double value() const { return value_; }
  Duration Age(Instant now) const { return since_ ? now - *since_ : Duration{}; }

 private:
  double value_ = 0;
  std::optional<Instant> since_;
};

class ModelSignals {
 public:
  struct Windows {
    Duration queue = 30s;  // As the recipe's.
    Duration load = 15s;
  };
  explicit ModelSignals(const Windows& windows);

  void Add(Instant when, const ModelReading& reading);

  // Growth over the queue window.
  struct Queue {
    double us = 0;
    double requests = 0;
  };
  std::optional<Queue> QueueGrowth(Instant now) const;

  // How long the oldest in the line has waited, estimated: the length of the line over the rate at
  // which it is served, and at most as long as there has been a line at all. 0 without a line;
  // nothing when the page does not tell its length.
  std::optional<double> QueueAgeUs(Instant now) const;

  std::optional<double> InFlight(Instant now) const;  // Mean over the load window.

  // Over the load window.
  struct Load {
    double arrivals = 0;   // Per second: those finished, and by how much those in it grew.
    double succeeded = 0;  // Per second.
    double busy = 0;       // Instances' seconds of work for each second.
    double instances = 1;
  };
  std::optional<Load> LoadNow(Instant now) const;

 private:
  std::optional<double> Busy(Instant now) const;

  const Windows windows_;
  autoscaling::CounterWindow queue_us_, queue_requests_;
  autoscaling::CounterWindow succeeded_, finished_, executions_, compute_us_;
  std::map<std::string, autoscaling::CounterWindow> busy_us_;
  autoscaling::GaugeWindow in_flight_;
  GaugeGrowth unfinished_;  // In flight, or pending where a server does not say.
  WaitingSince pending_;
  bool has_pending_ = false;
};

}  // namespace tepal::custom_metrics
