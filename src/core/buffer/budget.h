// A limit on bytes held at once by the whole process, shared by every connection.
//
// Doors take from it before they allocate a body (Buffer::TryAllocate), and the body gives back
// when its last view is gone; over the limit they stop reading, then answer 503 or
// RESOURCE_EXHAUSTED. Thread-safe. It outlives whatever was taken from it.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tepal {

class Budget {
 public:
  explicit Budget(size_t limit_bytes) : limit_(limit_bytes) {}

  // Takes `bytes` when they fit under the limit.
  bool TryTake(size_t bytes) {
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used > limit_ || bytes > limit_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  // For bytes that are here already: also over the limit.
  void Take(size_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void Give(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  // A request that was refused for want of it.
  void CountRefusal() { refusals_.fetch_add(1, std::memory_order_relaxed); }

  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }
  uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }

 private:
  const size_t limit_;
  std::atomic<size_t> used_{0};
  std::atomic<uint64_t> refusals_{0};
};

}  // namespace tepal
