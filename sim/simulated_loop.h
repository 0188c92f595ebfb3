// An event loop in virtual time, with the turns of core/runtime: events; timers due; tasks posted;
// tasks deferred.

#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/env/datagrams.h"
#include "core/env/event_loop.h"
#include "sim/world.h"

namespace tepal::sim {

// Something of the network that may have news for its owner.
class Pollable {
 public:
  virtual ~Pollable() = default;
  // Level-triggered: whether Poll would report anything now.
  virtual bool Ready() const = 0;
  // May destroy the object.
  virtual void Poll() = 0;
};

class SimulatedLoop final : public env::EventLoop {
 public:
  SimulatedLoop(World& world, SimulatedNetwork& network) : world_(world), network_(network) {}

  Instant Now() const override { return now_; }
  WallTime WallNow() const override { return world_.clock().WallNow(); }
  void Post(env::Task task) override;
  void Defer(env::Task task) override;
  TimerId RunAt(Instant when, env::Task task) override;
  void Cancel(TimerId timer) override;
  bool InLoopThread() const override {
    return world_.running_ == nullptr || world_.running_ == this;
  }
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

  void Add(Pollable& pollable) { pollables_.push_back(&pollable); }
  void Remove(const Pollable& pollable);
  // Something may have become ready: there is a turn soon.
  void Wake();

  std::optional<Instant> NextTurn() const;
  void Turn();
  void Clear();

 private:
  using TimerKey = std::pair<Instant, TimerId>;

  void PollAll();
  void RunTimers();
  void RunAll(std::vector<env::Task>& list);

  World& world_;
  SimulatedNetwork& network_;
  Instant now_{};
  std::optional<Instant> wake_at_;
  std::map<TimerKey, env::Task> timers_;
  std::map<TimerId, Instant> timer_times_;
  TimerId timers_made_ = 0;
  std::vector<env::Task> posted_;
  std::vector<env::Task> deferred_;
  std::vector<Pollable*> pollables_;  // Null: removed during PollAll.
};

}  // namespace tepal::sim
