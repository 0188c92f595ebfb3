#include "serving/frontend/completion_queue.h"

namespace tepal {

void CompletionQueue::Push(std::shared_ptr<Completion> completion) {
  bool first = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    first = waiting_.empty();
    waiting_.push_back(std::move(completion));
  }
  // Whoever finds the queue empty wakes the loop for those that follow.
  if (first) loop_.Post([self = shared_from_this()] { self->DeliverAll(); });
}

void CompletionQueue::DeliverAll() {
  std::vector<std::shared_ptr<Completion>> ready;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ready.swap(waiting_);
  }
  for (const auto& completion : ready) completion->Deliver();
}

}  // namespace tepal
