#include "balancing/load_balancer/service_estimate.h"

#include <algorithm>
#include <cmath>

namespace tepal::lb {

namespace {

constexpr double kForget = 1.0 / 64;  // Of what is known, with each answer.
constexpr double kForgetAlone = 0.1;  // The same of `alone_`.
constexpr double kIdleHalfLife = 30;  // Seconds without work until half of it is gone.
constexpr double kIdleFrom = 1;

}  // namespace

bool ServiceEstimate::OnBegin(Instant now) {
  if (working_++ > 0) return false;
  mark_ = now;
  return true;
}

void ServiceEstimate::OnEnd(bool alone, Duration latency, bool answered, Instant now) {
  --working_;
  if (!answered) return;
  busy_ = (busy_ + ToSeconds(now - mark_)) * (1 - kForget);
  answers_ = (answers_ + 1) * (1 - kForget);
  mark_ = now;
  if (!alone) return;
  alone_ += (ToSeconds(latency) - alone_) * (alone_ > 0 ? kForgetAlone : 1);
}

double ServiceEstimate::Expect(uint32_t in_flight, double usual, Instant now) const {
  if (answers_ <= 0) return usual * (in_flight + 1);
  const double since = ToSeconds(now - mark_);
  double each = seconds();
  if (in_flight == 0) {
    const double once = std::max(alone_, each);
    if (since < kIdleFrom) return once;
    const double kept = std::exp2(-since / kIdleHalfLife);
    return once * kept + usual * (1 - kept);
  }
  return std::max(alone_, each * (in_flight + 1) - std::min(since, each));
}

}  // namespace tepal::lb
