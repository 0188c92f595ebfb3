#include "balancing/load_balancer/pool.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "core/base/check.h"

namespace tepal::lb {

namespace {

// Soon, on that loop, but not within this call.
void RunOn(env::EventLoop& loop, env::Task task) {
  if (loop.InLoopThread()) {
    loop.Defer(std::move(task));
  } else {
    loop.Post(std::move(task));
  }
}

}  // namespace

Pool::Pool(env::EventLoop& control_loop, const Dispatcher::Options& options, uint64_t seed)
    : control_loop_(control_loop), random_(seed) {
  state_.Lock()->dispatcher = std::make_unique<Dispatcher>(options, random_);
}

void Pool::Start(Control control) {
  control_ = std::move(control);
  running_ = true;
  Arm();
}

void Pool::Stop() {
  running_ = false;
  control_ = {};
  control_loop_.Cancel(timer_);
}

uint32_t Pool::Join(env::EventLoop& loop, Member& member) {
  auto state = state_.Lock();
  state->seats.push_back(std::make_shared<Seat>(Seat{&loop, &member}));
  return static_cast<uint32_t>(state->seats.size());  // From 1: a ticket is never 0.
}

void Pool::Leave(uint32_t member) { state_.Lock()->seats[member - 1]->member = nullptr; }

template <typename Act>
auto Pool::With(Instant now, Act act) {
  Dispatcher::Due due;
  std::vector<std::shared_ptr<Seat>> seats;
  bool arm = false;
  if constexpr (std::is_void_v<decltype(act(std::declval<Dispatcher&>(), now))>) {
    {
      auto state = state_.Lock();
      state->now = std::max(state->now, now);
      act(*state->dispatcher, state->now);
      Settle(*state, due, seats, arm);
    }
    Deliver(std::move(due), seats, arm);
  } else {
    auto result = [&] {
      auto state = state_.Lock();
      state->now = std::max(state->now, now);
      auto value = act(*state->dispatcher, state->now);
      Settle(*state, due, seats, arm);
      return value;
    }();
    Deliver(std::move(due), seats, arm);
    return result;
  }
}

void Pool::Settle(State& state, Dispatcher::Due& due, std::vector<std::shared_ptr<Seat>>& seats,
                  bool& arm) {
  state.dispatcher->Poll(state.now, due);
  if (!due.empty()) seats = state.seats;
  const auto next = state.dispatcher->NextDeadline(state.now);
  arm = next.has_value() && *next < state.armed && !state.arming;
  state.arming = state.arming || arm;
}

void Pool::Deliver(Dispatcher::Due due, const std::vector<std::shared_ptr<Seat>>& seats, bool arm) {
  if (arm) {
    RunOn(control_loop_, [self = shared_from_this()] { self->Arm(); });
  }
  if (due.empty()) return;
  DeliverToMembers(due, seats);
  if (due.checks.empty() && due.drained.empty()) return;
  RunOn(control_loop_, [self = shared_from_this(), due = std::move(due)] {
    for (const Dispatcher::Check& check : due.checks) {
      if (self->running_) self->control_.send_check(check);
    }
    for (const EndpointId id : due.drained) {
      if (self->running_) self->control_.on_drained(id);
    }
  });
}

void Pool::DeliverToMembers(const Dispatcher::Due& due,
                            const std::vector<std::shared_ptr<Seat>>& seats) {
  for (const Grant& grant : due.grants) {
    const std::shared_ptr<Seat>& seat = seats[(grant.ticket >> kNumberBits) - 1];
    RunOn(*seat->loop, [self = shared_from_this(), seat, grant] {
      if (seat->member == nullptr || !seat->member->OnGranted(grant)) {
        self->Finish(grant, TryEnd::kCancelled, 0, seat->loop->Now());
      }
    });
  }
  for (const Ticket ticket : due.expired) {
    const std::shared_ptr<Seat>& seat = seats[(ticket >> kNumberBits) - 1];
    RunOn(*seat->loop, [seat, ticket] {
      if (seat->member != nullptr) seat->member->OnExpired(ticket);
    });
  }
  for (const Ticket ticket : due.too_late) {
    const std::shared_ptr<Seat>& seat = seats[(ticket >> kNumberBits) - 1];
    RunOn(*seat->loop, [seat, ticket] {
      if (seat->member != nullptr) seat->member->OnTooLate(ticket);
    });
  }
  for (const EndpointId endpoint : due.suspected) {
    for (const std::shared_ptr<Seat>& seat : seats) {
      RunOn(*seat->loop, [seat, endpoint] {
        if (seat->member != nullptr) seat->member->OnSuspected(endpoint);
      });
    }
  }
}

void Pool::Arm() {
  if (!running_) return;
  control_loop_.Cancel(timer_);
  std::optional<Instant> next;
  {
    auto state = state_.Lock();
    next = state->dispatcher->NextDeadline(std::max(state->now, control_loop_.Now()));
    state->armed = next.value_or(Instant::max());
    state->arming = false;
  }
  if (!next.has_value()) return;
  timer_ = control_loop_.RunAt(*next, [self = weak_from_this()] {
    const auto pool = self.lock();
    if (pool == nullptr) return;
    pool->state_.Lock()->armed = Instant::max();  // Whatever comes next is earlier than that.
    pool->With(pool->control_loop_.Now(), [](Dispatcher&, Instant) {});
  });
}

// Requests.

Pool::Admitted Pool::Admit(const Dispatcher::Asking& asking, Instant now) {
  return With(now, [&](Dispatcher& d, Instant t) { return d.Admit(asking, t); });
}

Pool::Admitted Pool::Again(const Dispatcher::AskingAgain& asking, Instant now) {
  return With(now, [&](Dispatcher& d, Instant t) { return d.Again(asking, t); });
}

bool Pool::Rescue(const Dispatcher::AskingAgain& asking, Instant now, Admitted& admitted) {
  return With(now, [&](Dispatcher& d, Instant t) {
    if (!d.retry_budget().CanTake()) return false;
    d.Finish(asking.failed, TryEnd::kSuspected, 0, t);
    admitted = d.Again(asking, t);
    return true;
  });
}

std::optional<Pool::Grant> Pool::Hedge(const Grant& first, const std::vector<EndpointId>& tried,
                                       Instant now) {
  return With(now, [&](Dispatcher& d, Instant t) { return d.Hedge(first, tried, t); });
}

bool Pool::Abandon(Ticket ticket, Instant now) {
  return With(now, [&](Dispatcher& d, Instant t) { return d.Abandon(ticket, t); });
}

void Pool::Finish(const Grant& grant, TryEnd end, int status, Instant now, const TrySaid& said) {
  With(now, [&](Dispatcher& d, Instant t) { d.Finish(grant, end, status, t, said); });
}

bool Pool::ElsewhereReady(std::string_view model, const std::vector<EndpointId>& tried,
                          Instant now) {
  return state_.Lock()->dispatcher->ElsewhereReady(model, tried, now);
}

// Endpoints.

EndpointId Pool::Add(EndpointSpec spec) {
  return With(control_loop_.Now(),
              [&](Dispatcher& d, Instant t) { return d.Add(std::move(spec), t); });
}

Status Pool::Drain(EndpointId id) {
  return With(control_loop_.Now(), [&](Dispatcher& d, Instant t) { return d.Drain(id, t); });
}

Status Pool::Remove(EndpointId id) {
  return With(control_loop_.Now(), [&](Dispatcher& d, Instant t) { return d.Remove(id, t); });
}

Status Pool::SetDown(EndpointId id, bool down) {
  return With(control_loop_.Now(),
              [&](Dispatcher& d, Instant t) { return d.SetDown(id, down, t); });
}

Status Pool::SetWeight(EndpointId id, uint32_t weight) {
  return With(control_loop_.Now(), [&](Dispatcher& d, Instant) { return d.SetWeight(id, weight); });
}

Status Pool::SetInFlightMax(EndpointId id, uint32_t in_flight_max) {
  return With(control_loop_.Now(),
              [&](Dispatcher& d, Instant) { return d.SetInFlightMax(id, in_flight_max); });
}

void Pool::Reconfigure(const Dispatcher::Options& options) {
  With(control_loop_.Now(), [&](Dispatcher& d, Instant t) { d.Reconfigure(options, t); });
}

void Pool::OnCheck(EndpointId id, uint64_t number, std::string error) {
  With(control_loop_.Now(),
       [&](Dispatcher& d, Instant t) { d.OnCheck(id, number, std::move(error), t); });
}

void Pool::OnListing(EndpointId id, const ServerLoad* listing) {
  With(control_loop_.Now(), [&](Dispatcher& d, Instant t) { d.OnListing(id, listing, t); });
}

Pool::Reading Pool::Read(Instant now) {
  auto state = state_.Lock();
  const Dispatcher& d = *state->dispatcher;
  Reading reading;
  reading.endpoints = d.Endpoints();
  reading.models = d.models();
  reading.waiting = d.waiting();
  reading.oldest_wait = d.oldest_wait(now);
  reading.counters = d.counters();
  reading.retries = d.retry_budget().allowed();
  reading.retries_refused = d.retry_budget().refused();
  reading.retry_tokens = d.retry_budget().tokens();
  reading.hedges = d.hedging().begun();
  reading.hedges_refused = d.hedging().refused();
  return reading;
}

std::vector<ModelStatus> Pool::ReadModels(Instant now) {
  std::vector<ModelStatus> all;
  for (size_t size = 0;; size = all.size()) {
    const auto first = static_cast<ModelNumber>(size + 1);
    std::vector<ModelStatus> some = state_.Lock()->dispatcher->Models(first, kModelsAtOnce, now);
    std::move(some.begin(), some.end(), std::back_inserter(all));
    if (some.size() < kModelsAtOnce) return all;
  }
}

}  // namespace tepal::lb
