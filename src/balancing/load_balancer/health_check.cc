#include "balancing/load_balancer/health_check.h"

#include <algorithm>
#include <utility>

#include "balancing/load_balancer/hash_ring.h"
#include "core/base/text.h"

namespace tepal::lb {

Status HealthCheck::Validate(const Options& options) {
  if (options.interval <= 0ns || options.interval_starting <= 0ns || options.time_max <= 0ns) {
    return InvalidArgument(
        "health check: interval, interval_starting and time_max must be above 0");
  }
  if (options.fails == 0 || options.passes == 0) {
    return InvalidArgument("health check: fails and passes must be at least 1");
  }
  if (options.path.empty() || options.path[0] != '/') {
    return InvalidArgument(
        Concat("health check: path is '", options.path, "', expected one that begins with '/'"));
  }
  if (options.jitter < 0ns || options.jitter > 24 * 3600s) {
    return InvalidArgument("health check: jitter must be from 0s to a day");
  }
  return {};
}

HealthCheck::HealthCheck(const Options& options, Instant now, uint64_t salt)
    : options_(options),
      state_(options.enabled ? State::kChecking : State::kHealthy),
      next_(now),
      salt_(salt) {}

// As good as random, and the same in every run of a simulation.
Duration HealthCheck::Jitter() const {
  if (options_.jitter <= 0ns) return {};
  const uint64_t bits = HashOfText("", salt_ ^ (number_ << 32));
  return options_.jitter / 1024 * static_cast<int64_t>(bits % 1024);
}

std::optional<uint64_t> HealthCheck::Due(Instant now) {
  if (!options_.enabled || now < next_) return std::nullopt;
  if (in_progress_) {
    Record(Concat("no answer within ", ToMilliseconds(TimeMax()), " ms"), now);
    if (now < next_) return std::nullopt;
  }
  in_progress_ = true;
  last_begun_ = now;
  next_ = now + TimeMax();
  return ++number_;
}

void HealthCheck::OnResult(uint64_t number, std::string error, Instant now) {
  if (!in_progress_ || number != number_) return;
  if (error.empty()) time_ = std::max<Duration>(now - last_begun_, time_ * 9 / 10);
  Record(std::move(error), now);
}

void HealthCheck::Record(std::string error, Instant now) {
  in_progress_ = false;
  const bool passed = error.empty();
  ++counters_.checks;
  if (!passed) ++counters_.fails;
  counters_.last_passed = passed;
  counters_.last_error = std::move(error);

  const bool agrees = passed == (state_ == State::kHealthy);
  in_a_row_ = agrees ? 0 : in_a_row_ + 1;
  if (state_ == State::kHealthy && in_a_row_ >= options_.fails) {
    state_ = State::kUnhealthy;
    ++counters_.unhealthy;
    in_a_row_ = 0;
  } else if (state_ != State::kHealthy && passed &&
             (in_a_row_ >= options_.passes || state_ == State::kChecking)) {
    state_ = State::kHealthy;
    in_a_row_ = 0;
  }
  const bool doubt = state_ == State::kHealthy && in_a_row_ > 0;
  const bool soon = state_ == State::kChecking || doubt;
  next_ = now + (soon ? options_.interval_starting : options_.interval + Jitter());
}

// A server that always answers at once and now does not is not to be waited for as long as one that
// may be slow: requests wait with the check.
Duration HealthCheck::TimeMax() const {
  if (options_.time_factor == 0 || time_ == 0ns) return options_.time_max;
  const Duration learned = std::max<Duration>(time_ * options_.time_factor, kLearnedTimeMin);
  return std::min(options_.time_max, learned);
}

void HealthCheck::Suspect(Instant now) {
  if (in_progress_) return;
  next_ = std::min(next_, std::max(now, last_begun_ + options_.interval_starting));
}

void HealthCheck::OnReconfigured(Instant now) {
  if (!options_.enabled) {
    state_ = State::kHealthy;
    in_progress_ = false;
    in_a_row_ = 0;
  }
  if (!in_progress_) next_ = std::min(next_, now + options_.interval);
}

std::optional<Instant> HealthCheck::NextDeadline() const {
  if (!options_.enabled) return std::nullopt;
  return next_;
}

}  // namespace tepal::lb
