#include "core/runtime/loop_impl.h"

#include <sys/eventfd.h>

#include <cerrno>

#include "core/base/check.h"
#include "core/runtime/connector.h"
#include "core/runtime/process_starter.h"
#include "core/runtime/signal_watch.h"
#include "core/runtime/socket_listener.h"
#include "core/telemetry/log.h"

namespace tepal::runtime {

static int64_t WallMicroseconds() {
  return ToMicroseconds(SystemClock().WallNow().time_since_epoch());
}

Result<std::unique_ptr<EpollLoop>> EpollLoop::New() {
  telemetry::SetLogClock(&WallMicroseconds);
  ASSIGN_OR_RETURN(UniqueFd epoll, Poller::OpenEpoll());
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return Status::FromErrno(errno, "creating an eventfd");
  ASSIGN_OR_RETURN(UniqueFd timer, LoopAlarm::OpenTimer());
  return std::unique_ptr<EpollLoop>(
      new LoopImpl(std::move(epoll), std::move(wake), std::move(timer)));
}

LoopImpl::LoopImpl(UniqueFd epoll, UniqueFd wake, UniqueFd timer)
    : poller_(std::move(epoll)),
      wake_(std::move(wake)),
      now_(SystemClock().Now()),
      alarm_(std::move(timer), poller_),
      thread_(pthread_self()),
      processes_(NewProcessStarter(*this)) {
  wake_watch_.Open(poller_, wake_.get(), *this);
  wake_watch_.Set(true, false);
}

LoopImpl::~LoopImpl() {
  // What tasks own may give tasks to the loop as it goes.
  thread_ = pthread_self();
  while (true) {
    std::vector<env::Task> last = timers_.Clear();
    for (env::Task& task : deferred_) last.push_back(std::move(task));
    deferred_.clear();
    std::vector<env::Task> posted = std::exchange(*posted_.Lock(), {});
    if (last.empty() && posted.empty()) break;
  }
}

WallTime LoopImpl::WallNow() const { return SystemClock().WallNow(); }

void LoopImpl::Post(env::Task task) {
  posted_.Lock()->push_back(std::move(task));
  has_posted_ = true;
  if (waiting_.exchange(false)) Wake();
}

void LoopImpl::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is awake already.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void LoopImpl::OnPollReadable() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof(count));
}

void LoopImpl::Defer(env::Task task) { deferred_.push_back(std::move(task)); }

LoopImpl::TimerId LoopImpl::RunAt(Instant when, env::Task task) {
  return timers_.Add(when, std::move(task));
}

void LoopImpl::Cancel(TimerId timer) { timers_.Remove(timer); }

bool LoopImpl::InLoopThread() const { return pthread_equal(thread_, pthread_self()) != 0; }

void LoopImpl::Run() {
  thread_ = pthread_self();
  while (!stop_) {
    Wait();
    now_ = SystemClock().Now();
    poller_.Dispatch();
    RunTimers();
    RunPosted();
    RunDeferred();
  }
  stop_ = false;
}

void LoopImpl::Stop() {
  stop_ = true;
  if (waiting_.exchange(false)) Wake();
}

void LoopImpl::Wait() {
  // In this order: whoever posts after the check sees waiting_ and wakes us.
  waiting_ = true;
  const bool block = !has_posted_ && !stop_ && deferred_.empty();
  if (const std::optional<Instant> next = timers_.Next(); block && next) alarm_.WakeBy(*next);
  poller_.Wait(block);
  waiting_ = false;
}

void LoopImpl::RunTimers() {
  const uint64_t mark = timers_.mark();
  while (env::Task task = timers_.PopDue(now_, mark)) task();
}

void LoopImpl::RunPosted() {
  if (!has_posted_) return;
  has_posted_ = false;
  posted_now_.swap(*posted_.Lock());
  for (env::Task& task : posted_now_) {
    task();
    task = nullptr;
  }
  posted_now_.clear();
}

void LoopImpl::RunDeferred() {
  if (deferred_.empty()) return;
  std::vector<env::Task> tasks = std::exchange(deferred_, {});
  for (env::Task& task : tasks) {
    task();
    task = nullptr;
  }
  // Keeps the capacity, unless one of them deferred again: that one runs in the next turn.
  tasks.clear();
  if (deferred_.empty()) deferred_ = std::move(tasks);
}

}  // namespace tepal::runtime
