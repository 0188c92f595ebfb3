#include "core/runtime/loop_alarm.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "core/base/check.h"

namespace tepal::runtime {

Result<UniqueFd> LoopAlarm::OpenTimer() {
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.valid()) return Status::FromErrno(errno, "creating a timerfd");
  return timer;
}

LoopAlarm::LoopAlarm(UniqueFd timer, Poller& poller) : timer_(std::move(timer)) {
  watch_.Open(poller, timer_.get(), *this);
  watch_.Set(true, false);
}

void LoopAlarm::WakeBy(Instant when) {
  if (when >= set_for_) return;
  set_for_ = when;
  constexpr int64_t kSecond = 1'000'000'000;
  // Zero would mean never; an instant in the past, at once.
  const int64_t at = std::max<int64_t>(when.time_since_epoch().count(), 1);
  itimerspec setting{};
  setting.it_value.tv_sec = at / kSecond;
  setting.it_value.tv_nsec = at % kSecond;
  TEPAL_CHECK(timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr) == 0);
}

void LoopAlarm::OnPollReadable() {
  set_for_ = Instant::max();
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(timer_.get(), &count, sizeof(count));
}

}  // namespace tepal::runtime
