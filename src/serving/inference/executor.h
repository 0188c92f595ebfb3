// One model instance as a scheduler sees it: something that executes batches.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serving/inference/request.h"

namespace tepal {

using Batch = std::vector<std::unique_ptr<InferenceRequest>>;

class BatchExecutor {
 public:
  virtual ~BatchExecutor() = default;

  // "flower_0_1": model, group, index.
  virtual const std::string& name() const = 0;

  // Whether Execute is short and never blocks, so that a scheduler may call it from an event loop
  // instead of a worker thread (TEPAL_BACKEND_INLINE).
  virtual bool runs_inline() const = 0;

  // Executes the batch and answers every request of it, before returning or later. Calls for one
  // executor do not overlap. Statistics are recorded by the executor.
  virtual void Execute(Batch batch) = 0;
};

// Takes requests for one model version and brings them to its executors. Any thread.
class Scheduler {
 public:
  virtual ~Scheduler() = default;  // Drained first: every accepted request has been answered.

  // On success the scheduler owns `request`; on refusal the caller still does and must answer it.
  // kUnavailable: the queue is full, or the scheduler stops.
  virtual Status Enqueue(std::unique_ptr<InferenceRequest>&& request) = 0;

  // Takes nothing new, answers what is queued, waits for what executes. Blocks.
  virtual void Stop() = 0;

  // Requests queued and not yet executing.
  virtual size_t queued() const = 0;
};

}  // namespace tepal
