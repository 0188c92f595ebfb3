// When a name is to be looked up again: as long as its records are good for, within bounds; sooner
// after a failure, and then less and less often. A plain state machine.

#pragma once

#include <algorithm>
#include <optional>

#include "core/base/time.h"

namespace tepal::discovery {

class Refresh {
 public:
  struct Options {
    std::optional<Duration> valid;  // Given: instead of what the records say.
    Duration ttl_min = 1s;
    Duration ttl_max = 5s;
    Duration retry_first = 500ms;  // After a failure; doubled for each in a row, up to
    Duration retry_max = 5s;
  };
  explicit Refresh(const Options& options) : options_(options) {}

  // How long to wait after a lookup that found something, and after one that failed.
  Duration OnFound(Duration ttl) {
    failures_ = 0;
    if (options_.valid.has_value()) return *options_.valid;
    return std::clamp(ttl, options_.ttl_min, options_.ttl_max);
  }
  Duration OnFailed() {
    const Duration wait = options_.retry_first * (int64_t{1} << std::min(failures_++, 10));
    return std::min(wait, options_.retry_max);
  }

 private:
  Options options_;
  int failures_ = 0;
};

}  // namespace tepal::discovery
