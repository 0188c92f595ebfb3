// The whole platform on a virtual clock: clients in a closed loop, the balancer's dispatcher and
// retries, replicas with the dynamic batcher, and the real supervisor with its autoscaler and
// replica set over them. Processes, network and CPU are made up from a seed, and go wrong.
//
// The books are kept here a second time, independently, and the first thing that is wrong becomes
// `problem()`: a request lost or answered twice or refused, a replica stopped with requests in it,
// too many or too few replicas. What only a test can judge (whether it settles) it asks for.

#pragma once

#include <cmath>
#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/supervisor/supervisor.h"
#include "apps/supervisor/testing/fake_loop.h"
#include "balancing/load_balancer/dispatcher.h"
#include "core/base/text.h"
#include "core/env/random.h"
#include "serving/scheduling/dynamic_batcher.h"

namespace tepal::supervisor {

// A mistake to plant, at the seam of the part that is to make it.
enum class Bug {
  kNone,
  kBatcherLosesARequest,    // Now and then a batch leaves one behind.
  kBatcherAnswersTwice,     // Now and then.
  kBatcherForgetsItsDelay,  // A batch that waits for company waits for ever.
  kBalancerKeepsPermits,    // Now and then a finished try is not taken off the books.
  kBalancerDrainsAtOnce,    // "Drained" with requests still in flight.
  kBalancerGivesUp,         // A lost connection is the client's problem.
  kScalerSeesHalf,          // Of what is in flight.
  kScalerSeesNoise,         // Readings jump up and down.
  kScalerIsStuck,           // On the first reading.
};

class SimulatedPlatform final : private env::ProcessStarter, private TrafficControl {
 public:
  struct Faults {
    Duration mean{};  // Between two of them; 0: none.
  };

  SimulatedPlatform(uint64_t seed, UpConfig config, Bug bug)
      : random_(seed),
        choice_random_(seed + 1),
        bug_(bug),
        config_(std::move(config)),
        dispatcher_(DispatcherOptions(), choice_random_) {
    SlotPlan plan;
    for (int i = 0; i < config_.slots.count; ++i) plan.slots.push_back({.id = Concat("cpu ", i)});
    supervisor_ = std::make_unique<Supervisor>(
        Supervisor::Options{config_, std::move(plan), "tepal", {"serve"}, "logs"},
        Supervisor::Seams{loop_, *this, *this, nullptr,
                          [this](const env::Address&) { return Bind(); },
                          [this](const env::Address& to, std::string_view path, Duration time_max,
                                 Function<void(Result<std::string>)> done) {
                            AnswerFetch(to, path, time_max, std::move(done));
                          },
                          [](const std::string&) { return std::string(); }, [](std::string_view) {},
                          [this] { finished_ = true; }});
    supervisor_->Start();
    Settle();
  }

  // So many clients from now on, each with one request at a time.
  void SetClients(int clients) {
    clients_ = clients;
    while (asking_ < clients_) {
      ++asking_;
      Later(Up(50ms), [this] { Ask(); });
    }
  }

  void SetFaults(Duration mean) {
    const bool begin = faults_mean_ == Duration::zero() && mean > Duration::zero();
    faults_mean_ = mean;
    if (begin) ScheduleFault();
  }

  void RunFor(Duration duration) {
    for (Duration ran{}; ran < duration && problem_.empty(); ran += 1s) {
      loop_.RunFor(1s);
      Observe();
    }
  }

  // Everything that was asked must have been answered by now, and every process must go.
  void Finish() {
    if (problem_.empty() && answered_ != asked_) {
      Problem(Concat(asked_ - answered_, " requests were lost"));
    }
    supervisor_->Stop();
    loop_.RunFor(120s);
    if (!finished_) Problem("it does not stop");
    if (!servers_.empty()) Problem("processes were left behind");
  }

  // Counts of replicas wanted, once a second.
  const std::vector<int>& desired() const { return desired_; }
  void ForgetDesired() { desired_.clear(); }
  int ready() const { return supervisor_->ready(); }
  int64_t asked() const { return asked_; }
  int64_t deaths() const { return deaths_; }  // Of replicas, by faults or the supervisor's hand.
  int64_t unlucky() const { return unlucky_; }
  const std::string& problem() const { return problem_; }

 private:
  static constexpr Duration kLatency = 1ms;
  static constexpr Duration kAnswerTimeMax = 60s;

  struct Request {
    Instant begun{};
    std::vector<lb::EndpointId> tried;
    uint32_t tries = 0, begun_tries = 0;
    lb::Dispatcher::Grant grant;
    uint64_t attempt = 0;  // The try in progress.
    bool trying = false, waiting = false;
  };
  struct Server {
    int pid = 0;
    std::unique_ptr<DynamicBatcher> batcher;
    std::map<uint64_t, lb::Ticket> tries;  // By attempt: what it has to answer.
    Batch executing;
    bool busy = false, frozen = false, stopping = false;
    Instant ready_at{};
    uint64_t batches = 0;
    Function<void(env::ProcessExit)> on_exit;
  };

  // Made-up randomness and time.

  Duration Up(Duration max) {
    return Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(max.count())) + 1));
  }
  void Later(Duration delay, Function<void()> task) {
    loop_.RunAfter(delay, [this, task = std::move(task)]() mutable {
      task();
      Settle();
    });
  }
  void Problem(const std::string& what) {
    if (problem_.empty()) {
      problem_ = Concat(what, " at ", ToSeconds(loop_.Now() - begun_), " s");
    }
  }

  lb::Dispatcher::Options DispatcherOptions() const {
    lb::Dispatcher::Options options;
    options.queue_time_max = kAnswerTimeMax;
    return options;
  }

  // Clients.

  void Ask() {
    if (asking_ > clients_) {
      --asking_;
      return;
    }
    const lb::Ticket ticket = static_cast<lb::Ticket>(++asked_);
    Request& request = requests_[ticket];
    request.begun = loop_.Now();
    OnAdmitted(ticket, dispatcher_.Admit({.ticket = ticket}, loop_.Now()));
  }

  void Answer(lb::Ticket ticket, int status) {
    const auto request = requests_.find(ticket);
    if (request == requests_.end()) return Problem("a request was answered twice");
    // Three replicas that die one after the other may take a request with them (docs/retries.md).
    const bool unlucky = status == 502 && request->second.begun_tries >= lb::kTriesMax;
    if (status != 200 && !unlucky) Problem(Concat("a request failed with ", status));
    unlucky_ += unlucky;
    requests_.erase(request);
    ++answered_;
    Later(Up(20ms), [this] { Ask(); });
  }

  // The balancer.

  void OnAdmitted(lb::Ticket ticket, const lb::Dispatcher::Admitted& admitted) {
    switch (admitted.admission) {
      case lb::Dispatcher::Admission::kGranted:
        return BeginTry(admitted.grant);
      case lb::Dispatcher::Admission::kWaiting:
        requests_[ticket].waiting = true;
        return;
      default:
        return Answer(ticket, 503);
    }
  }

  void BeginTry(const lb::Dispatcher::Grant& grant) {
    const auto found = requests_.find(grant.ticket);
    if (found == requests_.end() || found->second.trying) return Problem("granted twice");
    Request& request = found->second;
    request.waiting = false;
    request.trying = true;
    request.grant = grant;
    ++request.tries;
    const uint64_t attempt = request.attempt = ++attempts_;
    const int in_flight = ++in_flight_[grant.endpoint];
    if (in_flight > static_cast<int>(config_.balancer.in_flight_max)) {
      Problem("more in flight than allowed");
    }
    Later(kLatency, [this, grant, attempt] { Arrive(grant, attempt); });
  }

  void Arrive(const lb::Dispatcher::Grant& grant, uint64_t attempt) {
    const auto server = servers_.find(grant.address.port);
    const auto request = requests_.find(grant.ticket);
    const bool given_up = request == requests_.end() || request->second.attempt != attempt;
    if (server == servers_.end()) {
      return EndTry(grant.ticket, attempt, lb::TryEnd::kUnprocessed, 0);
    }
    if (!given_up) ++request->second.begun_tries;
    server->second.tries[attempt] = grant.ticket;
    auto inference = std::make_unique<InferenceRequest>();
    inference->correlation_id = attempt;
    const auto queued = server->second.batcher->Enqueue(std::move(inference), loop_.Now());
    if (!queued.ok()) Problem("the batcher refused: " + queued.status().message());
    Pump(grant.address.port);
  }

  void EndTry(lb::Ticket ticket, uint64_t attempt, lb::TryEnd end, int status) {
    const auto found = requests_.find(ticket);
    // The balancer had given this try up.
    if (found == requests_.end() || !found->second.trying || found->second.attempt != attempt) {
      return;
    }
    Request& request = found->second;
    const lb::RetryVerdict verdict = lb::JudgeTry({.end = end,
                                                   .status = status,
                                                   .route = lb::RouteKind::kInfer,
                                                   .body_kept = true,
                                                   .answer_begun = false,
                                                   .tries_begun = request.begun_tries});
    if (verdict == lb::RetryVerdict::kGoOnWaiting) return;
    if (end == lb::TryEnd::kSuspected && !dispatcher_.retry_budget().CanTake()) return;
    request.trying = false;
    --in_flight_[request.grant.endpoint];
    const bool forgotten = bug_ == Bug::kBalancerKeepsPermits && random_.Below(40) == 0;
    if (!forgotten) dispatcher_.Finish(request.grant, end, status, loop_.Now());
    const bool again =
        verdict == lb::RetryVerdict::kAgain || verdict == lb::RetryVerdict::kBackInLine;
    if (!again) return Answer(ticket, end == lb::TryEnd::kAnswered ? status : 502);
    if (bug_ == Bug::kBalancerGivesUp && end == lb::TryEnd::kConnectionLost) {
      return Answer(ticket, 502);
    }
    request.tried.push_back(request.grant.endpoint);
    const bool unprocessed = verdict == lb::RetryVerdict::kBackInLine;
    OnAdmitted(ticket, dispatcher_.Again({.failed = request.grant,
                                          .tried = request.tried,
                                          .tries = request.tries,
                                          .unprocessed = unprocessed},
                                         loop_.Now()));
  }

  // Carries out what the dispatcher wants.
  void Settle() {
    lb::Dispatcher::Due due;
    dispatcher_.Poll(loop_.Now(), due);
    for (const lb::Dispatcher::Grant& grant : due.grants) BeginTry(grant);
    for (const lb::Ticket ticket : due.expired) Answer(ticket, 503);
    for (const lb::Dispatcher::Check& check : due.checks) RunCheck(check);
    for (const lb::EndpointId endpoint : due.suspected) Suspect(endpoint);
    for (const lb::EndpointId endpoint : due.drained) OnDrained(endpoint);
    const std::optional<Instant> next = dispatcher_.NextDeadline(loop_.Now());
    if (!next.has_value() || (wake_.has_value() && *wake_ <= *next)) return;
    wake_ = next;
    loop_.RunAt(*next, [this, when = *next] {
      if (wake_ == when) wake_.reset();
      Settle();
    });
  }

  void RunCheck(const lb::Dispatcher::Check& check) {
    const auto server = servers_.find(check.address.port);
    const bool dead = server == servers_.end();
    if (!dead && server->second.frozen) return;  // Nobody answers; the dispatcher has a limit.
    const bool passes = !dead && loop_.Now() >= server->second.ready_at;
    Later(kLatency, [this, check, passes] {
      dispatcher_.OnCheck(check.endpoint, check.number, passes ? "" : "refused", loop_.Now());
    });
  }

  void Suspect(lb::EndpointId endpoint) {
    std::vector<std::pair<lb::Ticket, uint64_t>> tries;
    for (const auto& [ticket, request] : requests_) {
      if (request.trying && request.grant.endpoint == endpoint) {
        tries.emplace_back(ticket, request.attempt);
      }
    }
    for (const auto& [ticket, attempt] : tries) {
      EndTry(ticket, attempt, lb::TryEnd::kSuspected, 0);
    }
  }

  void OnDrained(lb::EndpointId endpoint) {
    const auto done = drains_.find(endpoint);
    if (done == drains_.end()) return;
    if (in_flight_[endpoint] != 0) Problem("drained with requests in flight");
    auto call = std::move(done->second);
    drains_.erase(done);
    loop_.Post(std::move(call));
  }

  // TrafficControl, for the supervisor.

  EndpointId AddEndpoint(const Endpoint& endpoint) override {
    lb::EndpointSpec spec;
    spec.address = endpoint.address;
    spec.grpc_address = endpoint.grpc_address;
    spec.name = endpoint.name;
    spec.slot = endpoint.slot;
    spec.in_flight_max = config_.balancer.in_flight_max;
    const EndpointId id = dispatcher_.Add(std::move(spec), loop_.Now());
    SettleSoon();
    return id;
  }

  void DrainEndpoint(EndpointId endpoint, Function<void()> done) override {
    if (bug_ == Bug::kBalancerDrainsAtOnce) return loop_.Post(std::move(done));
    drains_.emplace(endpoint, std::move(done));
    if (!dispatcher_.Drain(endpoint, loop_.Now()).ok()) Problem("drained an unknown endpoint");
    SettleSoon();
  }

  void RemoveEndpoint(EndpointId endpoint) override {
    drains_.erase(endpoint);
    // Whoever was drained has left the list already.
    (void)dispatcher_.Remove(endpoint, loop_.Now());
    SettleSoon();
  }

  TrafficReading Read() override {
    TrafficReading reading;
    for (const lb::Dispatcher::EndpointStatus& endpoint : dispatcher_.Endpoints()) {
      reading.in_flight += endpoint.in_flight;
    }
    reading.waiting = dispatcher_.waiting();
    reading.oldest_wait = dispatcher_.oldest_wait(loop_.Now());
    reading.admitted = dispatcher_.counters().admitted;
    reading.wait_time = dispatcher_.counters().wait_time;
    if (bug_ == Bug::kScalerSeesHalf) reading.in_flight /= 2;
    if (bug_ == Bug::kScalerSeesNoise && random_.Below(60) == 0) noisy_until_ = loop_.Now() + 3s;
    if (loop_.Now() < noisy_until_) reading.in_flight *= 3;
    if (bug_ == Bug::kScalerIsStuck) reading.in_flight = reading.waiting = 4;
    return reading;
  }

  void SettleSoon() {
    loop_.Post([this] { Settle(); });
  }

  // Replicas.

  class SimulatedProcess final : public env::Process {
   public:
    SimulatedProcess(SimulatedPlatform& platform, uint16_t port, int pid)
        : platform_(platform), port_(port), pid_(pid) {}
    int pid() const override { return pid_; }
    void Signal(int number) override { platform_.OnSignal(port_, number); }

   private:
    SimulatedPlatform& platform_;
    uint16_t port_;
    int pid_;
  };

  class Socket final : public env::BoundSocket {
   public:
    explicit Socket(uint16_t port) : port_(port) {}
    int descriptor() const override { return port_; }
    env::Address address() const override {
      return {env::Address::Family::kIp4, "127.0.0.1", port_};
    }

   private:
    uint16_t port_;
  };

  Result<std::unique_ptr<env::BoundSocket>> Bind() {
    return std::unique_ptr<env::BoundSocket>(std::make_unique<Socket>(++last_port_));
  }

  Result<std::unique_ptr<env::Process>> Start(env::ProcessOptions options,
                                              Function<void(env::ProcessExit)> on_exit) override {
    if (faults_mean_ > Duration::zero() && random_.Below(10) == 0) {
      return Unavailable("out of processes");
    }
    const auto port = static_cast<uint16_t>(options.listen_descriptors[0]);
    Server& server = servers_[port];
    server.pid = ++last_pid_;
    BatcherOptions batching;
    batching.batch_rows_max = 4;
    batching.batches = true;
    batching.shares_batches = true;
    batching.queue_delay_max = 5ms;
    server.batcher = std::make_unique<DynamicBatcher>(std::move(batching));
    server.ready_at = loop_.Now() + 200ms + Up(2s);
    server.on_exit = std::move(on_exit);
    if (servers_.size() > static_cast<size_t>(config_.slots.count)) {
      Problem("more processes than slots");
    }
    return std::unique_ptr<env::Process>(
        std::make_unique<SimulatedProcess>(*this, port, server.pid));
  }

  void AnswerFetch(const env::Address& to, std::string_view path, Duration time_max,
                   Function<void(Result<std::string>)> done) {
    const auto server = servers_.find(to.port);
    const bool silent = server != servers_.end() && server->second.frozen;
    const bool ok = server != servers_.end() && !silent &&
                    (path != "/v2/health/ready" || loop_.Now() >= server->second.ready_at);
    loop_.RunAfter(silent ? time_max : kLatency, [ok, done = std::move(done)]() mutable {
      done(ok ? Result<std::string>(std::string()) : Unavailable("no answer"));
    });
  }

  void OnSignal(uint16_t port, int number) {
    const auto server = servers_.find(port);
    if (server == servers_.end()) return;
    if (number == SIGTERM) {
      if (!server->second.tries.empty() && !server->second.frozen && BegunTries(port) > 0) {
        Problem("a replica was stopped with requests in it");
      }
      server->second.stopping = true;
      if (server->second.frozen) return;
    }
    loop_.RunAfter(Up(100ms), [this, port, number] { Die(port, number == SIGKILL); });
  }

  // Tries at this server that the balancer still waits for.
  int BegunTries(uint16_t port) const {
    int tries = 0;
    for (const auto& [attempt, ticket] : servers_.at(port).tries) {
      const auto request = requests_.find(ticket);
      tries += request != requests_.end() && request->second.trying &&
               request->second.attempt == attempt;
    }
    return tries;
  }

  void Die(uint16_t port, bool killed) {
    const auto entry = servers_.extract(port);
    if (entry.empty()) return;
    deaths_ += killed;
    for (const auto& [attempt, ticket] : entry.mapped().tries) {
      const lb::Ticket lost = ticket;
      const uint64_t its_attempt = attempt;
      Later(kLatency, [this, lost, its_attempt] {
        EndTry(lost, its_attempt, lb::TryEnd::kConnectionLost, 0);
      });
    }
    auto on_exit = std::move(entry.mapped().on_exit);
    on_exit({killed, killed ? SIGKILL : 0});
    Settle();
  }

  void Pump(uint16_t port) {
    const auto found = servers_.find(port);
    if (found == servers_.end() || found->second.busy || found->second.frozen) return;
    Server& server = found->second;
    server.executing = server.batcher->PopDue(loop_.Now());
    if (server.executing.empty()) {
      const std::optional<Instant> next = server.batcher->NextBatch();
      if (next.has_value() && bug_ != Bug::kBatcherForgetsItsDelay) {
        loop_.RunAt(*next, [this, port] { Pump(port); });
      }
      return;
    }
    server.busy = true;
    ++server.batches;
    const auto rows = static_cast<int64_t>(server.executing.size());
    loop_.RunAfter(80ms + rows * 120ms, [this, port, pid = server.pid] { Execute(port, pid); });
  }

  void Execute(uint16_t port, int pid) {
    const auto found = servers_.find(port);
    if (found == servers_.end() || found->second.pid != pid || found->second.frozen) return;
    Server& server = found->second;
    server.busy = false;
    const Batch batch = std::exchange(server.executing, {});
    for (const auto& request : batch) {
      const bool odd = server.batches % 50 == 0 && &request == &batch.front();
      if (odd && bug_ == Bug::kBatcherLosesARequest) continue;
      Respond(server, request->correlation_id);
      if (odd && bug_ == Bug::kBatcherAnswersTwice) Respond(server, request->correlation_id);
    }
    Pump(port);
  }

  void Respond(Server& server, uint64_t attempt) {
    const auto found = server.tries.find(attempt);
    if (found == server.tries.end()) return Problem("a replica answered twice");
    const lb::Ticket ticket = found->second;
    server.tries.erase(found);
    Later(kLatency,
          [this, ticket, attempt] { EndTry(ticket, attempt, lb::TryEnd::kAnswered, 200); });
  }

  // Faults: a replica dies, or stops answering for a while (longer than the supervisor's patience,
  // now and then).

  void ScheduleFault() {
    loop_.RunAfter(1s + FromSeconds(-std::log(1 - random_.Unit()) * ToSeconds(faults_mean_)),
                   [this] {
                     if (faults_mean_ == Duration::zero()) return;
                     ScheduleFault();
                     Strike();
                     Settle();
                   });
  }

  void Strike() {
    if (servers_.empty()) return;
    auto victim = servers_.begin();
    std::advance(victim, random_.Below(servers_.size()));
    const uint16_t port = victim->first;
    if (random_.Below(3) != 0) return Die(port, true);
    victim->second.frozen = true;
    loop_.RunAfter(Up(25s), [this, port] { Thaw(port); });
  }

  void Thaw(uint16_t port) {
    const auto server = servers_.find(port);
    if (server == servers_.end() || !server->second.frozen) return;
    server->second.frozen = false;
    if (server->second.stopping) return Die(port, false);
    if (server->second.busy) {
      Execute(port, server->second.pid);
    } else {
      Pump(port);
    }
  }

  void Observe() {
    const autoscaling::AutoscalerOptions& limits = config_.autoscaler.options;
    const int desired = supervisor_->desired();
    desired_.push_back(desired);
    if (desired < limits.replicas_min || desired > limits.replicas_max) {
      Problem(Concat(desired, " replicas are wanted"));
    }
    for (const auto& [ticket, request] : requests_) {
      if (loop_.Now() - request.begun > kAnswerTimeMax) Problem("a request has no answer");
    }
  }

  FakeLoop loop_;
  env::SeededRandom random_;
  env::SeededRandom choice_random_;
  Bug bug_;
  UpConfig config_;
  lb::Dispatcher dispatcher_;
  Instant begun_ = loop_.Now();

  std::map<lb::Ticket, Request> requests_;
  std::map<lb::EndpointId, int> in_flight_;
  std::map<lb::EndpointId, Function<void()>> drains_;
  std::map<uint16_t, Server> servers_;  // By HTTP port.
  std::optional<Instant> wake_;
  Instant noisy_until_{};
  Duration faults_mean_{};
  int clients_ = 0, asking_ = 0;
  int64_t asked_ = 0, answered_ = 0, deaths_ = 0, unlucky_ = 0;
  uint64_t attempts_ = 0;
  uint16_t last_port_ = 1000;
  int last_pid_ = 0;
  bool finished_ = false;
  std::vector<int> desired_;
  std::string problem_;
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace tepal::supervisor
