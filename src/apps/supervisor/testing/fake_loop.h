// An event loop on a virtual clock: timers and tasks only, one after the other. No network.

#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "core/env/datagrams.h"
#include "core/env/event_loop.h"

namespace tepal::supervisor {

class FakeLoop final : public env::EventLoop {
 public:
  Instant Now() const override { return now_; }
  WallTime WallNow() const override { return WallTime(std::chrono::hours(24)); }
  void Post(env::Task task) override { tasks_.push_back(std::move(task)); }
  void Defer(env::Task task) override { Post(std::move(task)); }
  TimerId RunAt(Instant when, env::Task task) override {
    timers_.emplace(std::pair(when, ++last_timer_), std::move(task));
    times_.emplace(last_timer_, when);
    return last_timer_;
  }
  void Cancel(TimerId timer) override {
    const auto time = times_.find(timer);
    if (time == times_.end()) return;
    timers_.erase(std::pair(time->second, timer));
    times_.erase(time);
  }
  bool InLoopThread() const override { return true; }
  Result<std::unique_ptr<env::Listener>> Listen(
      const env::Address&, const env::ListenOptions&,
      Function<void(std::unique_ptr<env::Stream>)>) override {
    return Unimplemented("no network here");
  }
  Result<std::unique_ptr<env::Listener>> ListenOn(
      int, Function<void(std::unique_ptr<env::Stream>)>) override {
    return Unimplemented("no network here");
  }
  std::unique_ptr<Connecting> Connect(
      const env::Address&, Function<void(Result<std::unique_ptr<env::Stream>>)>) override {
    return nullptr;
  }
  Result<std::unique_ptr<env::DatagramSocket>> OpenDatagrams(const env::Address&,
                                                             Function<void()>) override {
    return Unimplemented("no network here");
  }

  void RunFor(Duration duration) {
    const Instant end = now_ + duration;
    RunTasks();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto timer = timers_.extract(timers_.begin());
      times_.erase(timer.key().second);
      now_ = std::max(now_, timer.key().first);
      timer.mapped()();
      RunTasks();
    }
    now_ = end;
  }

 private:
  void RunTasks() {
    while (!tasks_.empty()) {
      env::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

  Instant now_{std::chrono::hours(1)};
  TimerId last_timer_ = 0;
  std::deque<env::Task> tasks_;
  std::map<std::pair<Instant, TimerId>, env::Task> timers_;
  std::unordered_map<TimerId, Instant> times_;
};

}  // namespace tepal::supervisor
