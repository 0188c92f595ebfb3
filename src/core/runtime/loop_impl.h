// What the files of this room know of a loop beyond EpollLoop: its poller, for whatever hangs off a
// descriptor.

#pragma once

#include <pthread.h>

#include <atomic>

#include "core/base/guarded.h"
#include "core/env/datagrams.h"
#include "core/runtime/loop_alarm.h"
#include "core/runtime/poller.h"
#include "core/runtime/runtime.h"
#include "core/runtime/timer_heap.h"

namespace tepal::runtime {

class SignalWatch;

// One turn: wait; events; timers due; tasks posted; tasks deferred.
class LoopImpl final : public EpollLoop, private PollEvents {
 public:
  LoopImpl(UniqueFd epoll, UniqueFd wake, UniqueFd timer);
  ~LoopImpl() override;

  Poller& poller() { return poller_; }

  Instant Now() const override { return now_; }
  WallTime WallNow() const override;
  void Post(env::Task task) override;
  void Defer(env::Task task) override;
  TimerId RunAt(Instant when, env::Task task) override;
  void Cancel(TimerId timer) override;
  bool InLoopThread() const override;
  Result<std::unique_ptr<env::Listener>> Listen(
      const env::Address& address, const env::ListenOptions& options,
      Function<void(std::unique_ptr<env::Stream>)> on_accept) override;
  Result<std::unique_ptr<env::Listener>> ListenOn(
      int descriptor, Function<void(std::unique_ptr<env::Stream>)> on_accept) override;
  std::unique_ptr<Connecting> Connect(
      const env::Address& address,
      Function<void(Result<std::unique_ptr<env::Stream>>)> done) override;
  Result<std::unique_ptr<env::DatagramSocket>> OpenDatagrams(const env::Address& peer,
                                                             Function<void()> on_readable) override;
  void Run() override;
  void Stop() override;
  Status WatchSignals(std::vector<int> signals, Function<void(int)> on_signal) override;
  env::ProcessStarter& processes() override { return *processes_; }

 private:
  void OnPollReadable() override;  // The wake descriptor.
  void Wait();
  void RunTimers();
  void RunPosted();
  void RunDeferred();
  void Wake();

  Poller poller_;
  UniqueFd wake_;
  Poller::Watch wake_watch_;
  Instant now_;
  TimerHeap timers_;
  LoopAlarm alarm_;
  std::vector<env::Task> deferred_;
  std::atomic<pthread_t> thread_;
  std::atomic<bool> stop_{false};

  // Whether the loop is about to wait, so that whoever posts must write to wake_: the first who
  // finds it set clears it and writes, the others need not.
  std::atomic<bool> waiting_{false};
  std::atomic<bool> has_posted_{false};
  Guarded<std::vector<env::Task>> posted_;
  std::vector<env::Task> posted_now_;  // Kept for its capacity.

  std::unique_ptr<SignalWatch> signals_;
  std::unique_ptr<env::ProcessStarter> processes_;
};

}  // namespace tepal::runtime
