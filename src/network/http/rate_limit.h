// How often something may happen: a bucket of tokens that fills with time.
//
// A plain state machine without a clock. `burst` at once, `per_second` for ever.

#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/time.h"

namespace tepal::http {

class RateLimit {
 public:
  RateLimit(uint32_t burst, uint32_t per_second, Instant now)
      : burst_(burst), per_second_(per_second), tokens_(burst), filled_at_(now) {}

  // False: once too often.
  bool Take(Instant now) {
    if (tokens_ == 0) Fill(now);
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  void Fill(Instant now) {
    if (per_second_ == 0 || now <= filled_at_) return;
    const Duration each = Duration(1s) / per_second_;
    const auto fresh = static_cast<uint64_t>((now - filled_at_) / each);
    if (fresh == 0) return;
    tokens_ = static_cast<uint32_t>(std::min<uint64_t>(burst_, fresh));
    filled_at_ = now;
  }

  const uint32_t burst_;
  const uint32_t per_second_;
  uint32_t tokens_;
  Instant filled_at_;  // When there was none last; the beginning before that.
};

}  // namespace tepal::http
