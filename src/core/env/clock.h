// The seam to time, for code that is not on an event loop.

#pragma once

#include "core/base/time.h"

namespace tepal::env {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
  virtual WallTime WallNow() const = 0;
};

}  // namespace tepal::env
