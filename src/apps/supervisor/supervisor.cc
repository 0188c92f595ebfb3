#include "apps/supervisor/supervisor.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::supervisor {
namespace {

constexpr Duration kSamplePeriod = 200ms;  // Of the balancer's numbers.
constexpr Duration kAskPeriod = 100ms;     // While a replica starts.
constexpr Duration kReadyAskPeriod = 1s;   // Once it is ready.
constexpr Duration kAnswerTimeMax = 2s;

std::string Seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s", ToSeconds(duration));
  return text;
}

}  // namespace

Supervisor::Supervisor(Options options, Seams seams)
    : options_(std::move(options)),
      seams_(std::move(seams)),
      table_(static_cast<size_t>(options_.config.replicas.slots)),
      set_(options_.config.replicas, &preference_),
      autoscaler_(options_.config.autoscaler.options),
      signals_(options_.config.autoscaler),
      answered_(kRateWindow),
      self_(std::make_shared<Supervisor*>(this)) {
  for (int slot = 0; slot < options_.config.replicas.slots; ++slot) set_.WithdrawSlot(slot, {});
  TakeSlots(options_.slots.slots);
}

Supervisor::~Supervisor() {
  *self_ = nullptr;
  for (const auto timer : {step_timer_, sample_timer_, ask_timer_, decide_timer_, look_timer_}) {
    seams_.loop.Cancel(timer);
  }
}

void Supervisor::Start() {
  begun_ = seams_.loop.Now();
  set_.SetDesired(options_.config.autoscaler.options.replicas_min, begun_);
  Sample();
  Every(kSamplePeriod, &Supervisor::Sample, sample_timer_);
  Every(kAskPeriod, &Supervisor::AskReplicas, ask_timer_);
  Every(options_.config.autoscaler.period, &Supervisor::Decide, decide_timer_);
  if (seams_.look) Every(kLookPeriod, &Supervisor::Look, look_timer_);
  Step();
}

void Supervisor::Stop() {
  set_.Shutdown(/*at_once=*/std::exchange(stopping_, true), seams_.loop.Now());
  reason_ = "stopping";
  Step();
}

void Supervisor::Every(Duration period, void (Supervisor::*round)(),
                       env::EventLoop::TimerId& timer) {
  timer = seams_.loop.RunAfter(period, [this, period, round, &timer] {
    timer = 0;
    Every(period, round, timer);
    (this->*round)();
  });
}

void Supervisor::Step() {
  const Instant now = seams_.loop.Now();
  for (const Action& action : set_.Poll(now)) Do(action);
  seams_.loop.Cancel(std::exchange(step_timer_, 0));
  if (set_.finished()) {
    if (!std::exchange(finished_, true)) seams_.loop.Post(std::move(seams_.on_finished));
    return;
  }
  const std::optional<Instant> deadline = set_.NextDeadline();
  if (!deadline.has_value()) return;
  step_timer_ = seams_.loop.RunAt(*deadline, [this] {
    step_timer_ = 0;
    Step();
  });
}

void Supervisor::Do(const Action& action) {
  if (action.kind == Action::Kind::kStart) return StartReplica(action);
  ReplicaProcess* const replica = Find(action.replica);
  if (replica == nullptr) return;
  switch (action.kind) {
    case Action::Kind::kAdmit:
      Admit(*replica);
      break;
    case Action::Kind::kDrain:
      Tell(NameOf(*replica) + " drains");
      seams_.traffic.DrainEndpoint(replica->endpoint, [self = self_, id = action.replica] {
        if (*self == nullptr) return;
        (*self)->set_.OnDrained(id, (*self)->seams_.loop.Now());
        (*self)->Step();
      });
      break;
    case Action::Kind::kRemove:
      seams_.traffic.RemoveEndpoint(std::exchange(replica->endpoint, 0));
      break;
    case Action::Kind::kTerminate:
      replica->process->Signal(SIGTERM);
      break;
    case Action::Kind::kKill:
      Tell(NameOf(*replica) + " is killed");
      replica->process->Signal(SIGKILL);
      break;
    case Action::Kind::kStart:
      break;
  }
}

void Supervisor::StartReplica(const Action& action) {
  const ReplicaProcess::Plan plan{options_.program, options_.serve_arguments, LogOf(action.slot),
                                  table_[static_cast<size_t>(action.slot)].device, options_.grpc};
  Result<ReplicaProcess> started = ReplicaProcess::Start(
      action.replica, action.slot, plan, seams_.bind, seams_.processes, seams_.loop.Now(),
      [self = self_, id = action.replica](env::ProcessExit exit) {
        if (*self != nullptr) (*self)->OnExit(id, exit);
      });
  if (started.ok()) {
    replicas_.emplace(action.replica, std::move(*started));
    return;
  }
  Tell(Concat("replica ", action.slot, " cannot be started: ", started.status().message()));
  set_.OnExit(action.replica, seams_.loop.Now());
  seams_.loop.Post([self = self_] {
    if (*self != nullptr) (*self)->Step();
  });
}

void Supervisor::Admit(ReplicaProcess& replica) {
  const Slot& slot = table_[static_cast<size_t>(replica.slot)];
  // The quota holds from here on: loading models within it would take many times as long.
  if (!slot.cgroup.empty() && seams_.groups != nullptr) {
    const Status limited = seams_.groups->Move(slot.cgroup, replica.process->pid());
    if (!limited.ok()) Tell(Concat(NameOf(replica), " has no quota: ", limited.message()));
  }
  replica.endpoint = seams_.traffic.AddEndpoint(
      {replica.http, replica.grpc, Concat("replica-", replica.slot), slot.name});
  Tell(Concat(NameOf(replica), " is ready after ", Seconds(seams_.loop.Now() - replica.started)));
}

void Supervisor::OnExit(ReplicaId id, env::ProcessExit exit) {
  ReplicaProcess* const replica = Find(id);
  if (replica == nullptr) return;
  const ReplicaState state = StateOf(*replica);
  if (state == ReplicaState::kStarting || state == ReplicaState::kReady) {
    const std::string log = LogOf(replica->slot);
    Tell(
        Concat(NameOf(*replica), " died while ", Name(state), ": ", Describe(exit), "; see ", log));
    // Whoever was killed had no time to say why; whoever gave up said it last.
    const std::string last_line = exit.signalled ? std::string() : seams_.last_line(log);
    if (!last_line.empty()) Tell(Concat("  it said: ", last_line));
  } else {
    Tell(NameOf(*replica) + " has stopped");
  }
  set_.OnExit(id, seams_.loop.Now());
  Step();  // Removes it from the balancer while it can still be found.
  const auto entry = replicas_.find(id);
  // Not inside its own callback.
  seams_.loop.Post([process = std::move(entry->second.process)] {});
  replicas_.erase(entry);
}

void Supervisor::Look() {
  if (stopping_ || std::exchange(looking_, true)) return;
  seams_.look([self = self_](Result<std::vector<Slot>> found) {
    if (*self != nullptr) (*self)->OnLook(found);
  });
}

void Supervisor::OnLook(const Result<std::vector<Slot>>& found) {
  looking_ = false;
  if (stopping_) return;
  if (!found.ok()) {
    // A driver that does not answer says nothing about the devices: processes go on as they are.
    if (std::exchange(blind_, true)) return;
    return Tell(
        Concat("the GPUs cannot be seen, slots stay as they are: ", found.status().message()));
  }
  if (std::exchange(blind_, false)) Tell("the GPUs can be seen again");
  TakeSlots(*found);
  Step();
}

void Supervisor::TakeSlots(std::span<const Slot> found) {
  const bool first = begun_ == Instant();
  const SlotTable::Changes changes = table_.Update(found, [this](int slot) {
    return set_.slots()[static_cast<size_t>(slot)].state == ReplicaState::kFree;
  });
  if (!changes.gone.empty()) Tell(NamesOf(changes.gone) + " gone: what runs there is drained");
  for (const int slot : changes.gone) set_.WithdrawSlot(slot, seams_.loop.Now());
  if (!first && !changes.added.empty()) Tell(NamesOf(changes.added) + " new");
  for (const int slot : changes.added) set_.Offer(slot);
}

// "slot 3 (GPU 0 1g.5gb at 3) is", "7 slots (GPU 0 1g.5gb at 0, …) are".
std::string Supervisor::NamesOf(std::span<const int> slots) const {
  const std::string& name = table_[static_cast<size_t>(slots.front())].name;
  if (slots.size() == 1) return Concat("slot ", slots.front(), " (", name, ") is");
  return Concat(slots.size(), " slots (", name, ", …) are");
}

void Supervisor::Sample() {
  const Instant now = seams_.loop.Now();
  traffic_ = seams_.traffic.Read();
  signals_.AddTraffic(traffic_, now);
  answered_.Add(now, static_cast<double>(traffic_.answered));
  for (const EndpointReading& endpoint : traffic_.endpoints) {
    shares_.try_emplace(endpoint.id, kRateWindow)
        .first->second.Add(now, static_cast<double>(endpoint.requests));
  }
  std::erase_if(shares_, [this](const auto& share) {
    return std::none_of(
        traffic_.endpoints.begin(), traffic_.endpoints.end(),
        [&](const EndpointReading& endpoint) { return endpoint.id == share.first; });
  });
}

void Supervisor::AskReplicas() {
  const Instant now = seams_.loop.Now();
  std::vector<ReplicaId> silent;
  for (auto& [id, replica] : replicas_) {
    const ReplicaState state = StateOf(replica);
    const bool starting = state == ReplicaState::kStarting;
    if (!starting && state != ReplicaState::kReady) continue;
    if (!starting && now - replica.last_heard >= kSilenceMax) {
      silent.push_back(id);
    } else if (!replica.asking && (starting || now - replica.asked >= kReadyAskPeriod)) {
      Ask(replica, starting);
    }
  }
  for (const ReplicaId id : silent) {
    Tell(Concat(NameOf(*Find(id)), " has not answered for ", Seconds(kSilenceMax)));
    set_.OnUnresponsive(id, now);
  }
  if (!silent.empty()) Step();
}

void Supervisor::Ask(ReplicaProcess& replica, bool starting) {
  const bool metrics = !starting && signals_.wants_queue_time();
  replica.asking = true;
  replica.asked = seams_.loop.Now();
  seams_.fetch(metrics ? replica.metrics : replica.http,
               starting  ? "/v2/health/ready"
               : metrics ? "/metrics"
                         : "/v2/health/live",
               kAnswerTimeMax,
               [self = self_, id = replica.id, starting](Result<std::string> answer) {
                 if (*self != nullptr) (*self)->OnAnswer(id, starting, answer);
               });
}

void Supervisor::OnAnswer(ReplicaId id, bool starting, const Result<std::string>& answer) {
  ReplicaProcess* const replica = Find(id);
  if (replica == nullptr) return;
  const Instant now = seams_.loop.Now();
  replica->asking = false;
  if (!answer.ok()) return;
  replica->last_heard = now;
  if (starting) {
    set_.OnReady(id, now);
    Step();
  } else if (signals_.wants_queue_time()) {
    const Result<QueueCounters> counters = ReadQueueCounters(*answer);
    if (counters.ok()) signals_.AddReplica(id, *counters, now);
  }
}

void Supervisor::Decide() {
  if (stopping_) return;
  const Instant now = seams_.loop.Now();
  std::vector<ReplicaId> active;
  for (const auto& [id, replica] : replicas_) {
    const ReplicaState state = StateOf(replica);
    if (state == ReplicaState::kStarting || state == ReplicaState::kReady) active.push_back(id);
  }
  // Not more than there are slots for; who has lost slots keeps wanting them back.
  const autoscaling::AutoscalerOptions& limits = options_.config.autoscaler.options;
  autoscaler_.SetReplicasMax(std::clamp(std::max(set_.offered(), set_.desired()),
                                        limits.replicas_min, limits.replicas_max));
  readings_ = signals_.Read(active, now);
  const autoscaling::ScalingDecision decision = autoscaler_.Decide(set_.desired(), readings_, now);
  reason_ = decision.reason;
  if (!decision.changes()) return;
  Tell(decision.reason);
  set_.SetDesired(decision.desired, now);
  Step();
}

ReplicaProcess* Supervisor::Find(ReplicaId id) {
  const auto found = replicas_.find(id);
  return found == replicas_.end() ? nullptr : &found->second;
}

ReplicaState Supervisor::StateOf(const ReplicaProcess& replica) const {
  const ReplicaSet::Slot& slot = set_.slots()[static_cast<size_t>(replica.slot)];
  return slot.replica == replica.id ? slot.state : ReplicaState::kFree;
}

std::string Supervisor::NameOf(const ReplicaProcess& replica) const {
  return Concat("replica ", replica.slot, " (process ", replica.process->pid(), ")");
}

std::string Supervisor::LogOf(int slot) const {
  return Concat(options_.log_directory, "/replica-", slot, ".log");
}

}  // namespace tepal::supervisor
