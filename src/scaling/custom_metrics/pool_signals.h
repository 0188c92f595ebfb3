// One upstream of one balancer over the last seconds: who waits there for a replica.
//
// Plain state machine without a clock; owned by one thread.

#pragma once

#include <set>
#include <string>

#include "scaling/custom_metrics/model_signals.h"

namespace tepal::custom_metrics {

class PoolSignals {
 public:
  explicit PoolSignals(const ModelSignals::Windows& windows)
      : wait_us_(windows.queue),
        admitted_(windows.queue),
        lost_(windows.load),
        growth_(windows.load),
        waiting_mean_(windows.load) {}

  void Add(Instant when, const PoolReading& reading);

  // Hosts that the pool sends to.
  const std::set<std::string>& endpoints() const { return endpoints_; }

  // Sums that can be added over pools.
  struct Load {
    double wait_us = 0;    // Over the queue window, those who wait now with half of the oldest's.
    double admitted = 0;   // Likewise.
    double waiting = 0;    // Mean over the load window.
    double oldest_us = 0;  // The maximum over pools.
    double arrivals = 0;   // Per second: those lost in the line, and by how much it grew.
    Load& operator+=(const Load& other);
    Load Part(double share) const;
    double MeanWaitUs() const { return admitted > 0 ? wait_us / admitted : 0; }
  };
  Load LoadNow(Instant now) const;

 private:
  autoscaling::CounterWindow wait_us_, admitted_, lost_;
  GaugeGrowth growth_;
  autoscaling::GaugeWindow waiting_mean_;
  double waiting_ = 0;
  double oldest_us_ = 0;
  std::set<std::string> endpoints_;
};

}  // namespace tepal::custom_metrics
