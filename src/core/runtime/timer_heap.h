// The timers of one event loop: a binary heap in which each timer knows its place, so that one can
// be cancelled in O(log n) without leaving anything behind.
//
// Reads no clock: `now` comes in. Not thread-safe.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/time.h"
#include "core/env/event_loop.h"

namespace tepal::runtime {

class TimerHeap {
 public:
  using TimerId = env::EventLoop::TimerId;

  TimerId Add(Instant when, env::Task task);

  // The task, so that the caller decides when it is destroyed; empty when the timer has run or was
  // cancelled.
  env::Task Remove(TimerId id);

  bool empty() const { return heap_.empty(); }
  std::optional<Instant> Next() const;

  // Where Add is now: PopDue given this mark leaves out timers that were added later, so a timer
  // that re-arms itself for the past cannot keep the loop for itself.
  uint64_t mark() const { return added_; }

  // The task of the earliest timer due at `now`; timers for the same instant in order of adding.
  // Empty when none is due, or when the earliest was added after `mark`.
  env::Task PopDue(Instant now, uint64_t mark);

  // Hands out every task, for destruction.
  std::vector<env::Task> Clear();

 private:
  struct Node {
    Instant when;
    uint64_t order;
    uint32_t slot;
  };
  struct Slot {
    env::Task task;
    uint32_t generation = 0;
    uint32_t place = 0;  // In heap_; kFree when unused.
  };
  static constexpr uint32_t kFree = UINT32_MAX;

  static bool Before(const Node& a, const Node& b) {
    return a.when != b.when ? a.when < b.when : a.order < b.order;
  }
  void Place(uint32_t place, const Node& node);
  void SiftUp(uint32_t place, Node node);
  void SiftDown(uint32_t place, Node node);
  env::Task RemoveAt(uint32_t place);

  std::vector<Node> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint64_t added_ = 0;
};

}  // namespace tepal::runtime
