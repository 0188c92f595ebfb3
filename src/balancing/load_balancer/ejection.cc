#include "balancing/load_balancer/ejection.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/text.h"

namespace tepal::lb {

Status Ejection::Validate(const Options& options) {
  if (options.failures == 0 || options.errors == 0) {
    return InvalidArgument("ejection: failures and errors must be at least 1");
  }
  if (options.time_base <= 0ns || options.time_max < options.time_base ||
      options.forgive_after <= 0ns) {
    return InvalidArgument("ejection: expected 0 < time_base <= time_max and forgive_after > 0");
  }
  for (const auto& [name, share] :
       {std::pair("share_max", options.share_max), std::pair("panic_share", options.panic_share)}) {
    if (!(share >= 0 && share <= 1)) {
      return InvalidArgument(Concat("ejection: ", name, " is ", share, ", expected 0 to 1"));
    }
  }
  return {};
}

bool Ejection::Record(Outcome outcome, uint64_t successes_elsewhere) {
  if (!options_.enabled) return false;
  switch (outcome) {
    case Outcome::kSuccess:
      failures_in_a_row_ = 0;
      errors_in_a_row_ = 0;
      return false;
    case Outcome::kTransportFailure:
      ++failures_in_a_row_;
      return !ejected() && failures_in_a_row_ >= options_.failures;
    case Outcome::kErrorAnswer:
      failures_in_a_row_ = 0;
      if (errors_in_a_row_++ == 0) elsewhere_at_first_error_ = successes_elsewhere;
      return !ejected() && errors_in_a_row_ >= options_.errors &&
             successes_elsewhere - elsewhere_at_first_error_ >= options_.errors;
  }
  return false;
}

void Ejection::Eject(Instant now) {
  if (count_ > 0 && step_ > 0) {
    const auto quiet = static_cast<uint64_t>((now - last_end_) / options_.forgive_after);
    step_ -= static_cast<uint32_t>(std::min<uint64_t>(step_, quiet));
  }
  Duration time = options_.time_base;
  for (uint32_t i = 0; i < step_ && time < options_.time_max; ++i) time *= 2;
  until_ = now + std::min(time, options_.time_max);
  ++step_;
  ++count_;
  failures_in_a_row_ = 0;
  errors_in_a_row_ = 0;
}

bool Ejection::Release(Instant now) {
  if (!until_.has_value() || now < *until_) return false;
  last_end_ = *until_;
  until_.reset();
  failures_in_a_row_ = 0;
  errors_in_a_row_ = 0;
  return true;
}

bool Ejection::MayEject(const Options& options, uint32_t ejected, uint32_t total) {
  return ejected + 1 <= static_cast<uint32_t>(std::floor(options.share_max * total));
}

bool Ejection::Panic(const Options& options, uint32_t available, uint32_t total) {
  return available < options.panic_share * total;
}

}  // namespace tepal::lb
