// The seam to threads on which blocking is allowed.

#pragma once

#include "core/base/function.h"

namespace tepal::env {

// Thread-safe.
class Executor {
 public:
  // Waits for what is running; what has not begun is destroyed without being run.
  virtual ~Executor() = default;

  // Runs `task` on some thread of the executor, in order of arrival.
  virtual void Execute(Function<void()> task) = 0;
};

}  // namespace tepal::env
