// How long to wait before the next try: doubling, with a jitter that keeps a fleet from marching in
// step. Clockless.

#pragma once

#include <algorithm>

#include "core/base/time.h"
#include "core/env/random.h"

namespace tepal::kube {

class Backoff {
 public:
  struct Options {
    Duration first = 500ms;
    Duration longest = 30s;
  };
  // `random` outlives it.
  Backoff(Options options, env::Random& random) : options_(options), random_(random) {}

  // From half of the present step to all of it; the step then doubles.
  Duration Next() {
    if (step_ == Duration(0)) step_ = options_.first;
    const Duration half = step_ / 2;
    const Duration wait =
        half +
        Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(half.count()) + 1)));
    step_ = std::min(step_ * 2, options_.longest);
    return wait;
  }
  void Reset() { step_ = Duration(0); }

 private:
  const Options options_;
  env::Random& random_;
  Duration step_{0};
};

}  // namespace tepal::kube
