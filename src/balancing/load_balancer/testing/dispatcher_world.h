// For tests: the dispatcher in a world that goes wrong, from a seed: endpoints that die, freeze,
// refuse, come and go while requests arrive.
//
// The world plays the proxy (it judges tries with retry.h) and the servers, keeps its own books,
// and compares: every request is answered exactly once, a request that must not be repeated reaches
// at most one server, retries stay within a budget that is computed here once more, permits are
// kept, nobody waits while there is room, the line is served in order, and once the faults end
// everything is answered. The first thing that is wrong becomes problem().

#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "balancing/load_balancer/dispatcher.h"
#include "core/base/text.h"

namespace tepal::lb {

struct WorldOptions {
  int endpoints = 3;
  int requests = 1000;
  Duration arrival_mean = 2ms;
  Duration service_min = 2ms;
  Duration service_spread = 4ms;
  Duration fault_mean{};  // Time between two faults; 0: none.
  bool one_fault_at_a_time = false;
  bool others = true;  // Some requests must not be repeated.
  Duration try_time_max = 3s;
  Dispatcher::Options dispatcher;
};

class DispatcherWorld {
 public:
  DispatcherWorld(uint64_t seed, WorldOptions options)
      : options_(options),
        random_(seed),
        choice_random_(seed + 1),
        dispatcher_(options_.dispatcher, choice_random_) {
    tokens_ = options_.dispatcher.retry_budget.tokens_start;
  }

  void Run() {
    for (int i = 0; i < options_.endpoints; ++i) AddEndpoint();
    Schedule(arrivals_begin_, [this] { Arrive(); });
    if (options_.fault_mean > 0ns) Schedule(Exponential(options_.fault_mean), [this] { Fault(); });
    int64_t steps = 0;
    while (!events_.empty() && problem_.empty()) {
      if (done_ == options_.requests) break;
      Event event = events_.top();
      events_.pop();
      now_ = event.when;
      event.run();
      Settle();
      if (++steps > int64_t{options_.requests} * 2000) Problem("no end in sight");
    }
    if (problem_.empty() && done_ != options_.requests) Problem("a request was lost");
    for (auto& [id, server] : servers_) {
      if (problem_.empty() && !server.in_flight.empty()) Problem("a try was never finished");
    }
  }

  const std::string& problem() const { return problem_; }
  int failed() const { return failed_; }
  int retries() const { return retries_; }
  const std::map<EndpointId, int>& shares() const { return shares_; }

 private:
  struct Event {
    Instant when;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return std::tie(when, order) > std::tie(other.when, other.order);
    }
  };
  struct Server {
    bool dead = false;      // Refuses connections.
    bool frozen = false;    // Takes them and says nothing.
    bool refusing = false;  // Answers 503.
    bool erring = false;    // Answers 500.
    bool drained = false, removed = false;
    bool passed = false;  // At least one health check.
    uint32_t fails_in_a_row = 0;
    std::set<Ticket> in_flight;
  };
  struct Request {
    RouteKind route = RouteKind::kInfer;
    Instant begun{}, waits_since{};
    bool waiting = false, fresh = true, done = false;
    std::vector<EndpointId> tried;
    uint32_t tries = 0, begun_tries = 0;
    Dispatcher::Grant grant;
    uint64_t attempt = 0;  // Which try is in progress; late events are ignored.
    bool trying = false;
    uint64_t line_number = 0;
  };

  void Problem(const std::string& what) {
    if (problem_.empty()) problem_ = Concat(what, " at ", ToSeconds(now_ - Instant()), " s");
  }
  void Schedule(Duration delay, std::function<void()> run) {
    events_.push({now_ + delay, ++order_, std::move(run)});
  }
  Duration Exponential(Duration mean) {
    return FromSeconds(-std::log(1 - random_.Unit()) * ToSeconds(mean));
  }
  Duration ServiceTime() {
    return options_.service_min +
           Duration(random_.Below(static_cast<uint64_t>(options_.service_spread.count()) + 1));
  }

  // Endpoints and their faults.

  void AddEndpoint() {
    EndpointSpec spec;
    spec.address.port = static_cast<uint16_t>(1 + servers_.size());
    spec.in_flight_max = 8;
    const EndpointId id = dispatcher_.Add(spec, now_);
    servers_[id];
  }

  EndpointId RandomLive() {
    std::vector<EndpointId> live;
    for (auto& [id, server] : servers_) {
      if (!server.removed && !server.drained) live.push_back(id);
    }
    return live.empty() ? 0 : live[random_.Below(live.size())];
  }

  bool Healthy(const Server& server) {
    return !server.dead && !server.frozen && !server.refusing && !server.erring;
  }

  void Fault() {
    if (arrived_ == options_.requests) return;
    Schedule(Exponential(options_.fault_mean), [this] { Fault(); });
    if (options_.one_fault_at_a_time) {
      for (auto& [id, server] : servers_) {
        if (!server.removed && (!Healthy(server) || server.drained)) return;
      }
      for (const auto& endpoint : dispatcher_.Endpoints()) {
        if (endpoint.state != EndpointState::kUp) return;  // The pool has not recovered yet.
      }
    }
    const EndpointId id = RandomLive();
    if (id == 0) return AddEndpoint();
    Server& server = servers_[id];
    switch (random_.Below(7)) {
      case 0:
      case 1:
        Kill(id);
        break;
      case 2:
        server.frozen = true;
        break;
      case 3:
        server.refusing = true;
        break;
      case 4:
        if (!options_.one_fault_at_a_time) server.erring = true;
        break;
      case 5:
        AddEndpoint();
        return;
      case 6:
        if (options_.one_fault_at_a_time && servers_.size() < 3) return;
        server.drained = true;
        (void)dispatcher_.Drain(id, now_);
        Schedule(50ms + Exponential(100ms), [this, id] {
          servers_[id].removed = true;
          (void)dispatcher_.Remove(id, now_);
        });
        AddEndpoint();
        return;
    }
    Schedule(100ms + Exponential(1s), [this, id] { Heal(id); });
  }

  void Kill(EndpointId id) {
    servers_[id].dead = true;
    const std::set<Ticket> in_flight = servers_[id].in_flight;
    for (Ticket ticket : in_flight) {
      const uint64_t attempt = requests_[ticket].attempt;
      Schedule(10us, [=, this] { EndTry(ticket, attempt, TryEnd::kConnectionLost, 0); });
    }
  }

  void Heal(EndpointId id) {
    Server& server = servers_[id];
    if (server.frozen) Kill(id);  // What it had swallowed is lost when it is restarted.
    server.dead = server.frozen = server.refusing = server.erring = false;
  }

  // Requests.

  void Arrive() {
    const Ticket ticket = static_cast<Ticket>(++arrived_);
    Request& request = requests_[ticket];
    request.begun = now_;
    if (options_.others && random_.Below(10) == 0) request.route = RouteKind::kOther;
    if (arrived_ < options_.requests)
      Schedule(Exponential(options_.arrival_mean), [this] { Arrive(); });
    request.line_number = ++line_number_;
    const auto admitted = dispatcher_.Admit({.ticket = ticket}, now_);
    if (admitted.admission == Dispatcher::Admission::kGranted ||
        admitted.admission == Dispatcher::Admission::kWaiting) {
      tokens_ = std::min(tokens_ + options_.dispatcher.retry_budget.share,
                         options_.dispatcher.retry_budget.tokens_max);
    }
    OnAdmitted(ticket, admitted);
    if (random_.Below(50) == 0) {
      Schedule(ServiceTime(), [this, ticket] { ClientGoes(ticket); });
    }
  }

  void OnAdmitted(Ticket ticket, const Dispatcher::Admitted& admitted) {
    using Admission = Dispatcher::Admission;
    Request& request = requests_[ticket];
    if (admitted.admission == Admission::kGranted) return BeginTry(admitted.grant);
    if (admitted.admission == Admission::kWaiting) {
      request.waiting = true;
      request.waits_since = now_;
      return;
    }
    if (admitted.admission == Admission::kFull &&
        dispatcher_.waiting() < options_.dispatcher.queue_size_max) {
      Problem("refused although the line is not full");
    }
    if (admitted.admission == Admission::kUnavailable) Problem("refused a request that may wait");
    Answer(ticket, 503);
  }

  void BeginTry(const Dispatcher::Grant& grant) {
    Request& request = requests_[grant.ticket];
    Server& server = servers_[grant.endpoint];
    if (request.trying || request.done) return Problem("granted twice");
    if (server.removed || server.drained) Problem("granted an endpoint that was drained");
    if (!server.passed) Problem("granted an endpoint that never passed a check");
    if (server.fails_in_a_row >= options_.dispatcher.health.fails)
      Problem("granted an unhealthy endpoint");
    if (grant.retry) {
      ++retries_;
      ++active_retries_;
    }
    request.waiting = false;
    request.fresh = false;
    request.trying = true;
    request.grant = grant;
    ++shares_[grant.endpoint];
    server.in_flight.insert(grant.ticket);
    if (server.in_flight.size() > 8) Problem("more in flight than allowed");
    const Ticket ticket = grant.ticket;
    const uint64_t attempt = ++request.attempt;
    ++request.tries;
    if (server.dead) {
      Schedule(50us, [=, this] { EndTry(ticket, attempt, TryEnd::kUnprocessed, 0); });
      return;
    }
    ++request.begun_tries;
    if (request.route == RouteKind::kOther && request.begun_tries > 1) {
      Problem("repeated a request that must not be");
    }
    if (request.begun_tries > kTriesMax) Problem("more tries than allowed");
    Schedule(options_.try_time_max, [=, this] { EndTry(ticket, attempt, TryEnd::kTimedOut, 0); });
    if (server.frozen) return;
    const int status = server.refusing ? 503 : server.erring ? 500 : 200;
    const EndpointId id = grant.endpoint;
    Schedule(status == 200 ? ServiceTime() : 100us, [=, this] {
      if (!servers_[id].frozen) EndTry(ticket, attempt, TryEnd::kAnswered, status);
    });
  }

  void EndTry(Ticket ticket, uint64_t attempt, TryEnd end, int status) {
    Request& request = requests_[ticket];
    if (!request.trying || request.attempt != attempt) return;
    RetryFacts facts;
    facts.end = end;
    facts.status = status;
    facts.route = request.route;
    facts.body_kept = true;
    facts.tries_begun = request.begun_tries;
    const RetryVerdict verdict = JudgeTry(facts);
    if (verdict == RetryVerdict::kGoOnWaiting) return;
    if (end == TryEnd::kSuspected && !dispatcher_.retry_budget().CanTake()) return;
    LeaveServer(request);
    dispatcher_.Finish(request.grant, end, status, now_);
    switch (verdict) {
      case RetryVerdict::kAgain:
      case RetryVerdict::kBackInLine: {
        request.tried.push_back(request.grant.endpoint);
        const bool unprocessed = verdict == RetryVerdict::kBackInLine;
        const bool may = tokens_ >= 1 || active_retries_ + retries_waiting_ < 3;
        const auto admitted = dispatcher_.Again({.failed = request.grant,
                                                 .tried = request.tried,
                                                 .tries = request.tries,
                                                 .unprocessed = unprocessed},
                                                now_);
        const bool did = admitted.admission != Dispatcher::Admission::kNoBudget;
        if (!unprocessed && did != may) Problem("retry budget not kept");
        if (!unprocessed && did && tokens_ >= 1) tokens_ -= 1;
        if (!unprocessed && admitted.admission == Dispatcher::Admission::kWaiting) {
          ++retries_waiting_;
          waiting_retries_.insert(ticket);
        }
        return OnAdmitted(ticket, admitted);
      }
      case RetryVerdict::kForget:
        return Answer(ticket, 0);
      default:
        return Answer(ticket, end == TryEnd::kAnswered ? status : 502);
    }
  }

  void LeaveServer(Request& request) {
    request.trying = false;
    if (request.grant.retry) --active_retries_;
    servers_[request.grant.endpoint].in_flight.erase(request.grant.ticket);
  }

  void LeaveWaiting(Ticket ticket) {
    if (waiting_retries_.erase(ticket) > 0) --retries_waiting_;
  }

  void ClientGoes(Ticket ticket) {
    Request& request = requests_[ticket];
    if (request.done) return;
    if (request.trying) return EndTry(ticket, request.attempt, TryEnd::kCancelled, 0);
    if (!dispatcher_.Abandon(ticket, now_)) return Problem("a waiting request is not in the line");
    LeaveWaiting(ticket);
    Answer(ticket, 0);
  }

  void Answer(Ticket ticket, int status) {
    Request& request = requests_[ticket];
    if (request.done) return Problem("answered twice");
    request.done = true;
    request.waiting = false;
    ++done_;
    if (status >= 500) ++failed_;
  }

  // What the dispatcher wants done after each event.
  void Settle() {
    Dispatcher::Due due;
    dispatcher_.Poll(now_, due);
    uint64_t last_line_number = 0;
    for (const auto& grant : due.grants) {
      Request& request = requests_[grant.ticket];
      if (!request.waiting) Problem("granted a request that does not wait");
      if (request.fresh) {
        if (request.line_number < last_line_number) Problem("not first come, first served");
        last_line_number = request.line_number;
        for (auto& [ticket, other] : requests_) {
          if (ticket >= grant.ticket) break;
          const bool passed_over =
              other.waiting && other.fresh &&
              std::none_of(due.grants.begin(), due.grants.end(),
                           [t = ticket](auto& g) { return g.ticket == t; }) &&
              std::find(due.expired.begin(), due.expired.end(), ticket) == due.expired.end();
          if (passed_over) Problem("passed over one who came first");
        }
      }
      LeaveWaiting(grant.ticket);
      BeginTry(grant);
    }
    for (const Ticket ticket : due.expired) {
      if (!requests_[ticket].waiting) Problem("expired a request that does not wait");
      LeaveWaiting(ticket);
      Answer(ticket, 503);
    }
    for (const auto& check : due.checks) RunCheck(check);
    for (const EndpointId id : due.suspected) {
      const std::set<Ticket> in_flight = servers_[id].in_flight;
      for (const Ticket ticket : in_flight) {
        EndTry(ticket, requests_[ticket].attempt, TryEnd::kSuspected, 0);
      }
    }
    for (const EndpointId id : due.drained) {
      if (!servers_[id].in_flight.empty()) Problem("drained with requests in flight");
    }
    if (!due.empty()) return Settle();
    CheckNobodyWaitsInVain();
    const auto next = dispatcher_.NextDeadline(now_);
    if (next.has_value() && (!wake_.has_value() || *next < *wake_)) {
      wake_ = next;
      Schedule(std::max<Duration>(*next - now_, Duration(0)), [this] { wake_.reset(); });
    }
  }

  void RunCheck(const Dispatcher::Check& check) {
    Server& server = servers_[check.endpoint];
    if (server.frozen) {
      Schedule(options_.dispatcher.health.time_max, [this, check] {
        if (servers_[check.endpoint].frozen) CountCheck(check, false);
      });
      return;
    }
    const bool passes = !server.dead && !server.refusing;
    Schedule(200us, [=, this] {
      CountCheck(check, passes);
      dispatcher_.OnCheck(check.endpoint, check.number, passes ? "" : "refused", now_);
    });
  }

  void CountCheck(const Dispatcher::Check& check, bool passes) {
    Server& server = servers_[check.endpoint];
    if (passes) server.passed = true;
    server.fails_in_a_row = passes ? 0 : server.fails_in_a_row + 1;
  }

  void CheckNobodyWaitsInVain() {
    if (dispatcher_.waiting() == 0) return;
    bool may_go = false;
    for (auto& [ticket, request] : requests_) {
      if (!request.waiting) continue;
      const Duration avoids = request.tries == 0 ? 0ns : RetryDelay(request.tries - 1);
      may_go |= now_ >= request.waits_since + avoids;
    }
    if (!may_go) return;
    for (const auto& endpoint : dispatcher_.Endpoints()) {
      if (endpoint.state == EndpointState::kUp && endpoint.in_flight < 8) {
        return Problem("someone waits although there is room");
      }
    }
  }

  const WorldOptions options_;
  env::SeededRandom random_;
  env::SeededRandom choice_random_;
  Dispatcher dispatcher_;
  Instant now_{};
  const Duration arrivals_begin_ = 300ms;
  std::priority_queue<Event> events_;
  uint64_t order_ = 0;
  std::optional<Instant> wake_;
  std::map<EndpointId, Server> servers_;
  std::map<Ticket, Request> requests_;
  std::map<EndpointId, int> shares_;
  std::set<Ticket> waiting_retries_;
  uint64_t line_number_ = 0;
  int arrived_ = 0, done_ = 0, failed_ = 0, retries_ = 0;
  uint32_t active_retries_ = 0, retries_waiting_ = 0;
  double tokens_ = 0;
  std::string problem_;
};

}  // namespace tepal::lb
