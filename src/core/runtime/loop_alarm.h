// Wakes a waiting loop at an instant: a timerfd(2) in the loop's epoll instance.
//
// It is set only when something earlier than what it is set for comes, and left alone when a timer
// is cancelled: the loop then wakes once for nothing and asks for the next. A busy server, whose
// timers are far away and hardly ever fire, so makes no system call for them, and the kernel keeps
// one timer, where a timeout given to each epoll_wait would be a timer started and cancelled each
// time. Owned by the loop's thread.

#pragma once

#include "core/runtime/poller.h"

namespace tepal::runtime {

class LoopAlarm final : private PollEvents {
 public:
  static Result<UniqueFd> OpenTimer();
  LoopAlarm(UniqueFd timer, Poller& poller);

  // The poller's wait ends at `when` or before.
  void WakeBy(Instant when);

 private:
  void OnPollReadable() override;

  UniqueFd timer_;
  Poller::Watch watch_;  // After timer_: closed before it.
  Instant set_for_ = Instant::max();
};

}  // namespace tepal::runtime
