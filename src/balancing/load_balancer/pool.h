// The dispatcher, shared by the event loops of the balancer.
//
// The proxies of every loop ask it under one short lock, so the choice sees all of the load, the
// line is first come, first served over all loops, and permits are exact. What becomes due is
// carried to where it belongs: a grant to the loop whose request waited, health checks and drained
// endpoints to the control loop. Nothing is called back while the lock is held.
// Thread-safe where not said otherwise; made and held as a shared_ptr.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"
#include "core/base/function.h"
#include "core/base/guarded.h"
#include "core/env/event_loop.h"
#include "core/env/random.h"

namespace tepal::lb {

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  using Grant = Dispatcher::Grant;
  using Admitted = Dispatcher::Admitted;

  // One loop's side: the proxy whose requests wait. Called on its loop, never from within a call of
  // the pool.
  class Member {
   public:
    virtual ~Member() = default;
    // False: the request has gone meanwhile, and the grant is given back.
    virtual bool OnGranted(const Grant& grant) = 0;
    virtual void OnExpired(Ticket ticket) = 0;
    virtual void OnTooLate(Ticket ticket) = 0;
    virtual void OnSuspected(EndpointId endpoint) = 0;
  };

  // What the control loop does for the pool; called on that loop.
  struct Control {
    Function<void(const Dispatcher::Check&)> send_check;
    Function<void(EndpointId)> on_drained;
  };

  // `control_loop` outlives the pool.
  Pool(env::EventLoop& control_loop, const Dispatcher::Options& options, uint64_t seed);

  // On the control loop, before the first endpoint; Stop makes the pool call nothing any more.
  void Start(Control control);
  void Stop();

  // On the member's loop. Returns what NewTicket wants; Leave comes before the member goes.
  uint32_t Join(env::EventLoop& loop, Member& member);
  void Leave(uint32_t member);
  static Ticket MakeTicket(uint32_t member, uint64_t number) {
    return (static_cast<Ticket>(member) << kNumberBits) | (number & kNumberMask);
  }

  // As the dispatcher has them. `now` is the caller's loop's.
  Admitted Admit(const Dispatcher::Asking& asking, Instant now);
  Admitted Again(const Dispatcher::AskingAgain& asking, Instant now);
  // Ends the try (`asking.failed`) and begins another, or does neither: false when the budget has
  // no token.
  bool Rescue(const Dispatcher::AskingAgain& asking, Instant now, Admitted& admitted);
  std::optional<Grant> Hedge(const Grant& first, const std::vector<EndpointId>& tried, Instant now);
  bool Abandon(Ticket ticket, Instant now);
  void Finish(const Grant& grant, TryEnd end, int status, Instant now, const TrySaid& said = {});
  bool ElsewhereReady(std::string_view model, const std::vector<EndpointId>& tried, Instant now);

  // On the control loop.
  EndpointId Add(EndpointSpec spec);
  Status Drain(EndpointId id);
  Status Remove(EndpointId id);
  Status SetDown(EndpointId id, bool down);
  Status SetWeight(EndpointId id, uint32_t weight);
  Status SetInFlightMax(EndpointId id, uint32_t in_flight_max);
  void Reconfigure(const Dispatcher::Options& options);
  void OnCheck(EndpointId id, uint64_t number, std::string error);
  void OnListing(EndpointId id, const ServerLoad* listing);

  struct Reading {
    std::vector<Dispatcher::EndpointStatus> endpoints;
    uint64_t models = 0;  // That are known.
    uint64_t waiting = 0;
    Duration oldest_wait{};
    Dispatcher::Counters counters;
    uint64_t retries = 0;
    uint64_t retries_refused = 0;
    double retry_tokens = 0;
    uint64_t hedges = 0;
    uint64_t hedges_refused = 0;
  };
  Reading Read(Instant now);

  // Every model; the lock is let go of after kModelsAtOnce of them.
  std::vector<ModelStatus> ReadModels(Instant now);
  std::vector<uint64_t> ReadModelRequests() { return state_.Lock()->dispatcher->ModelRequests(); }
  std::vector<ModelAtEndpoint> ReadModelEndpoints(ModelNumber model, Instant now) {
    return state_.Lock()->dispatcher->ModelEndpoints(model, now);
  }

 private:
  static constexpr size_t kModelsAtOnce = 64;
  static constexpr int kNumberBits = 48;
  static constexpr Ticket kNumberMask = (Ticket{1} << kNumberBits) - 1;

  struct Seat {
    env::EventLoop* loop;
    Member* member;  // Read and written on `loop` only; null when it has left.
  };
  struct State {
    std::unique_ptr<Dispatcher> dispatcher;
    std::vector<std::shared_ptr<Seat>> seats;
    Instant now{};  // Loops read the clock at different moments: time does not go back here.
    Instant armed = Instant::max();  // When the control loop will look next.
    bool arming = false;             // It has been asked to look earlier.
  };

  // Runs `act(dispatcher, now)` under the lock, then carries out what has become due.
  template <typename Act>
  auto With(Instant now, Act act);
  void Settle(State& state, Dispatcher::Due& due, std::vector<std::shared_ptr<Seat>>& seats,
              bool& arm);
  void Deliver(Dispatcher::Due due, const std::vector<std::shared_ptr<Seat>>& seats, bool arm);
  void DeliverToMembers(const Dispatcher::Due& due,
                        const std::vector<std::shared_ptr<Seat>>& seats);
  void Arm();

  env::EventLoop& control_loop_;
  env::SeededRandom random_;  // Guarded by state_'s lock.
  Guarded<State> state_;
  Control control_;  // The rest on the control loop.
  bool running_ = false;
  env::EventLoop::TimerId timer_ = 0;
};

}  // namespace tepal::lb
