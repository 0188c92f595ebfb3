// The seam to threads that may block: model instances, loading, waiting for a time to come.
//
// Event loops are not started here (core/runtime): what runs on one never blocks.

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/base/result.h"

namespace tepal::env {

// One thread. Destroying it waits until its body has returned; whoever owns it says to the body
// that it is to end. Never destroyed by the body itself.
class WorkerThread {
 public:
  virtual ~WorkerThread() = default;
};

// Thread-safe.
class WorkerThreads {
 public:
  virtual ~WorkerThreads() = default;

  // Runs `body` once on a thread of its own. The kernel shows the first 15 bytes of `name`.
  // kResourceExhausted when the system gives no more threads.
  virtual Result<std::unique_ptr<WorkerThread>> Start(const std::string& name,
                                                      Function<void()> body) = 0;
};

}  // namespace tepal::env
