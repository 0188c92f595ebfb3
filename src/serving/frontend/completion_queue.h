// Brings finished answers from worker threads to the event loop they belong to: one wake of the
// loop for however many are waiting.

#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/env/event_loop.h"

namespace tepal {

// Something whose answer is complete.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void Deliver() = 0;  // On the loop.
};

// Thread-safe; shared by the door and by every answer under way. The loop outlives it.
class CompletionQueue : public std::enable_shared_from_this<CompletionQueue> {
 public:
  explicit CompletionQueue(env::EventLoop& loop) : loop_(loop) {}

  bool InLoopThread() const { return loop_.InLoopThread(); }
  Instant Now() const { return loop_.Now(); }

  // Deliver runs once, later, on the loop.
  void Push(std::shared_ptr<Completion> completion);

 private:
  void DeliverAll();

  env::EventLoop& loop_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Completion>> waiting_;  // Guarded by mutex_.
};

}  // namespace tepal
