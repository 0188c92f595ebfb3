// The budget of all requests' bodies, whose limit can change while they hold parts of it: what lies
// above the limit is taken from it. A limit below what is held lets nothing more in until enough
// has been given back.
//
// budget() is thread-safe, the rest is the control loop's.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/buffer/budget.h"

namespace tepal::lb {

class ReplayBudget {
 public:
  explicit ReplayBudget(size_t limit_bytes) : limit_(Capped(limit_bytes)) {
    budget_.Take(kMost - limit_);
  }

  void SetLimit(size_t limit_bytes) {
    const size_t limit = Capped(limit_bytes);
    if (limit < limit_) budget_.Take(limit_ - limit);
    if (limit > limit_) budget_.Give(limit - limit_);
    limit_ = limit;
  }

  Budget& budget() { return budget_; }
  size_t used() const { return budget_.used() - (kMost - limit_); }

 private:
  static constexpr size_t kMost = SIZE_MAX / 4;
  static size_t Capped(size_t limit_bytes) { return std::min(limit_bytes, kMost); }

  Budget budget_{kMost};
  size_t limit_;
};

}  // namespace tepal::lb
