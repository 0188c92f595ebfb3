// A limit on bytes held at once by the whole process, shared by every connection.
//
// Thread-safe. Doors take from it before they allocate a body and give back when the last view is
// gone; over the limit they stop reading, then answer 503 or RESOURCE_EXHAUSTED.

#pragma once

#include <atomic>
#include <cstddef>

namespace tepal {

class Budget {
 public:
  explicit Budget(size_t limit_bytes) : limit_(limit_bytes) {}

  // Takes `bytes` when they fit under the limit.
  bool TryTake(size_t bytes) {
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > limit_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void Give(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }

 private:
  const size_t limit_;
  std::atomic<size_t> used_{0};
};

}  // namespace tepal
