#include "scaling/custom_metrics/pool_signals.h"

#include <algorithm>

namespace tepal::custom_metrics {

void PoolSignals::Add(Instant when, const PoolReading& reading) {
  wait_us_.Add(when, reading.wait_us);
  admitted_.Add(when, reading.admitted);
  lost_.Add(when, reading.lost);
  growth_.Add(when, reading.waiting);
  waiting_mean_.Add(when, reading.waiting);
  waiting_ = reading.waiting;
  oldest_us_ = reading.oldest_us;
  endpoints_ = reading.endpoints;
}

PoolSignals::Load PoolSignals::LoadNow(Instant now) const {
  Load load;
  load.wait_us = wait_us_.Increase(now).value_or(0) + waiting_ * oldest_us_ / 2;
  // Who waits has been admitted, though perhaps before the window.
  load.admitted = std::max(waiting_, admitted_.Increase(now).value_or(0));
  load.waiting = waiting_mean_.Mean(now).value_or(0);
  load.oldest_us = oldest_us_;
  load.arrivals = std::max(0.0, lost_.Rate(now).value_or(0) + growth_.Rate(now).value_or(0));
  return load;
}

PoolSignals::Load& PoolSignals::Load::operator+=(const Load& other) {
  wait_us += other.wait_us;
  admitted += other.admitted;
  waiting += other.waiting;
  oldest_us = std::max(oldest_us, other.oldest_us);
  arrivals += other.arrivals;
  return *this;
}

PoolSignals::Load PoolSignals::Load::Part(double share) const {
  Load part = *this;
  part.wait_us *= share;
  part.admitted *= share;
  part.waiting *= share;
  part.arrivals *= share;
  return part;
}

}  // namespace tepal::custom_metrics
