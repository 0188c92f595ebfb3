#include "core/runtime/timer_heap.h"

#include <utility>

namespace tepal::runtime {

TimerHeap::TimerId TimerHeap::Add(Instant when, env::Task task) {
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.task = std::move(task);
  ++slot.generation;
  const Node node{when, added_++, index};
  heap_.push_back(node);
  SiftUp(static_cast<uint32_t>(heap_.size() - 1), node);
  return (static_cast<TimerId>(slot.generation) << 32) | index;
}

env::Task TimerHeap::Remove(TimerId id) {
  const auto index = static_cast<uint32_t>(id);
  const auto generation = static_cast<uint32_t>(id >> 32);
  if (index >= slots_.size() || slots_[index].generation != generation) return {};
  if (slots_[index].place == kFree) return {};
  return RemoveAt(slots_[index].place);
}

std::optional<Instant> TimerHeap::Next() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().when;
}

env::Task TimerHeap::PopDue(Instant now, uint64_t mark) {
  if (heap_.empty() || heap_.front().when > now || heap_.front().order >= mark) return {};
  return RemoveAt(0);
}

std::vector<env::Task> TimerHeap::Clear() {
  std::vector<env::Task> tasks;
  while (!heap_.empty()) tasks.push_back(RemoveAt(static_cast<uint32_t>(heap_.size() - 1)));
  return tasks;
}

env::Task TimerHeap::RemoveAt(uint32_t place) {
  const uint32_t index = heap_[place].slot;
  env::Task task = std::move(slots_[index].task);
  slots_[index].place = kFree;
  free_.push_back(index);
  const Node last = heap_.back();
  heap_.pop_back();
  if (place < heap_.size()) {
    if (place > 0 && Before(last, heap_[(place - 1) / 2])) {
      SiftUp(place, last);
    } else {
      SiftDown(place, last);
    }
  }
  return task;
}

void TimerHeap::Place(uint32_t place, const Node& node) {
  heap_[place] = node;
  slots_[node.slot].place = place;
}

void TimerHeap::SiftUp(uint32_t place, Node node) {
  while (place > 0) {
    const uint32_t parent = (place - 1) / 2;
    if (!Before(node, heap_[parent])) break;
    Place(place, heap_[parent]);
    place = parent;
  }
  Place(place, node);
}

void TimerHeap::SiftDown(uint32_t place, Node node) {
  const auto size = static_cast<uint32_t>(heap_.size());
  while (true) {
    uint32_t child = 2 * place + 1;
    if (child >= size) break;
    if (child + 1 < size && Before(heap_[child + 1], heap_[child])) ++child;
    if (!Before(heap_[child], node)) break;
    Place(place, heap_[child]);
    place = child;
  }
  Place(place, node);
}

}  // namespace tepal::runtime
