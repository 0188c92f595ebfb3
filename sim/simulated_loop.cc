#include "sim/simulated_loop.h"

#include <algorithm>

#include "core/base/text.h"
#include "sim/simulated_network.h"

namespace tepal::sim {

// A turn costs time, so that a loop that spins does not hold the clock still; and a thread is woken
// a little later than it was called.
static constexpr Duration kTurnTimeMin = 1us;
static constexpr Duration kTurnTimeMax = 20us;

void SimulatedLoop::Wake() {
  if (wake_at_) return;
  wake_at_ = world_.now() + world_.Draw(kTurnTimeMin, kTurnTimeMax);
}

void SimulatedLoop::Post(env::Task task) {
  posted_.push_back(std::move(task));
  Wake();
}

void SimulatedLoop::Defer(env::Task task) {
  TEPAL_CHECK(InLoopThread());
  deferred_.push_back(std::move(task));
  Wake();
}

SimulatedLoop::TimerId SimulatedLoop::RunAt(Instant when, env::Task task) {
  TEPAL_CHECK(InLoopThread());
  const TimerId id = ++timers_made_;
  // In a later turn, as the real loop.
  const Instant due = std::max(when, world_.now() + kTurnTimeMin);
  timers_.emplace(TimerKey(due, id), std::move(task));
  timer_times_[id] = due;
  return id;
}

void SimulatedLoop::Cancel(TimerId timer) {
  TEPAL_CHECK(InLoopThread());
  const auto found = timer_times_.find(timer);
  if (found == timer_times_.end()) return;
  const auto node = timers_.extract(TimerKey(found->second, timer));
  timer_times_.erase(found);
}

void SimulatedLoop::Remove(const Pollable& pollable) {
  const auto found = std::find(pollables_.begin(), pollables_.end(), &pollable);
  if (found != pollables_.end()) *found = nullptr;
}

std::optional<Instant> SimulatedLoop::NextTurn() const {
  std::optional<Instant> next = wake_at_;
  if (!timers_.empty()) {
    const Instant timer = timers_.begin()->first.first;
    next = next ? std::min(*next, timer) : timer;
  }
  return next;
}

void SimulatedLoop::Turn() {
  wake_at_.reset();
  now_ = world_.now();
  PollAll();
  RunTimers();
  RunAll(posted_);
  RunAll(deferred_);
  const bool ready = std::any_of(
      pollables_.begin(), pollables_.end(),
      [](const Pollable* pollable) { return pollable != nullptr && pollable->Ready(); });
  if (ready || !posted_.empty() || !deferred_.empty()) Wake();
}

void SimulatedLoop::PollAll() {
  std::erase(pollables_, nullptr);
  // Those that are ready now, as epoll hands them out; from a place that is drawn.
  std::vector<size_t> ready;
  for (size_t i = 0; i < pollables_.size(); ++i) {
    if (pollables_[i]->Ready()) ready.push_back(i);
  }
  if (ready.empty()) return;
  const auto start = static_cast<std::ptrdiff_t>(world_.random().Below(ready.size()));
  std::rotate(ready.begin(), ready.begin() + start, ready.end());
  for (const size_t i : ready) {
    if (pollables_[i] != nullptr) pollables_[i]->Poll();
  }
}

void SimulatedLoop::RunTimers() {
  const TimerId last = timers_made_;
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    if (first->first.first > now_ || first->first.second > last) return;
    env::Task task = std::move(first->second);
    timer_times_.erase(first->first.second);
    timers_.erase(first);
    task();
  }
}

void SimulatedLoop::RunAll(std::vector<env::Task>& list) {
  std::vector<env::Task> tasks = std::exchange(list, {});
  for (env::Task& task : tasks) {
    task();
    task = nullptr;
  }
}

void SimulatedLoop::Clear() {
  while (!posted_.empty() || !deferred_.empty() || !timers_.empty()) {
    std::exchange(posted_, {});
    std::exchange(deferred_, {});
    timer_times_.clear();
    std::exchange(timers_, {});
  }
}

Result<std::unique_ptr<env::Listener>> SimulatedLoop::Listen(
    const env::Address& address, const env::ListenOptions&,
    Function<void(std::unique_ptr<env::Stream>)> on_accept) {
  return network_.Listen(*this, address, std::move(on_accept));
}

Result<std::unique_ptr<env::Listener>> SimulatedLoop::ListenOn(
    int descriptor, Function<void(std::unique_ptr<env::Stream>)>) {
  return InvalidArgument(
      Concat("descriptor ", descriptor, ": the simulated world has no descriptors"));
}

std::unique_ptr<env::EventLoop::Connecting> SimulatedLoop::Connect(
    const env::Address& address, Function<void(Result<std::unique_ptr<env::Stream>>)> done) {
  return network_.Connect(*this, address, std::move(done));
}

}  // namespace tepal::sim
