#include "balancing/load_balancer/dispatcher.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

bool HasRoom(const EndpointSpec& spec, const Candidate& load) {
  return spec.in_flight_max == 0 || load.in_flight < spec.in_flight_max;
}

bool Contains(const std::vector<EndpointId>& ids, EndpointId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

Status UnknownEndpoint(EndpointId id) { return NotFound(Concat("endpoint ", id, " is unknown")); }

}  // namespace

Status Dispatcher::Validate(const Options& options) {
  RETURN_IF_ERROR(HealthCheck::Validate(options.health));
  RETURN_IF_ERROR(Ejection::Validate(options.ejection));
  if (options.queue_time_max <= 0ns) return InvalidArgument("queue_time_max must be above 0");
  if (!(options.retry_budget.share >= 0 && options.retry_budget.share <= 1)) {
    return InvalidArgument(
        Concat("retry budget: share is ", options.retry_budget.share, ", expected 0 to 1"));
  }
  return {};
}

Dispatcher::Dispatcher(const Options& options, env::Random& random)
    : options_(options),
      random_(random),
      budget_(options.retry_budget),
      line_(options.queue_size_max) {}

// Endpoints.

EndpointId Dispatcher::Add(EndpointSpec spec, Instant now) {
  const EndpointId id = ++last_id_;
  spec.weight = std::max(spec.weight, 1u);
  if (spec.name.empty()) spec.name = spec.address.ToString();
  EndpointStatus status;
  status.id = id;
  status.spec = std::move(spec);
  status.added = now;
  status.traffic = std::make_shared<EndpointTraffic>();
  const Candidate load{status.spec.weight, 0, 0};
  records_.emplace(
      id, Record{std::move(status), HealthCheck(options_.health, now), Ejection(options_.ejection),
                 load, 0, std::nullopt, false, false, false, false});
  WakeAt(now);
  Refresh(now);
  return id;
}

Status Dispatcher::Drain(EndpointId id, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->draining = true;
  Refresh(now);
  ForgetIfDone(id, now);
  return {};
}

Status Dispatcher::Remove(EndpointId id, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->removed = true;
  Refresh(now);
  ForgetIfDone(id, now);
  return {};
}

Status Dispatcher::SetDown(EndpointId id, bool down, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->down = down;
  record->draining = false;
  Refresh(now);
  return {};
}

Status Dispatcher::SetWeight(EndpointId id, uint32_t weight) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  if (weight == 0) return InvalidArgument("weight is 0, expected at least 1");
  record->status.spec.weight = record->load.weight = weight;
  if (record->position.has_value()) loads_[*record->position] = record->load;
  return {};
}

Status Dispatcher::SetInFlightMax(EndpointId id, uint32_t in_flight_max) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->status.spec.in_flight_max = in_flight_max;
  return {};
}

void Dispatcher::Reconfigure(const Options& options, Instant now) {
  options_ = options;
  budget_.Reconfigure(options.retry_budget);
  line_.set_size_max(options.queue_size_max);
  for (auto& [id, record] : records_) {
    record.health.OnReconfigured(now);
    if (!options.ejection.enabled) record.ejection.Release(Instant::max());
  }
  WakeAt(now);
  Refresh(now);
}

Dispatcher::Record* Dispatcher::Find(EndpointId id) {
  const auto found = records_.find(id);
  return found == records_.end() || found->second.removed ? nullptr : &found->second;
}

EndpointState Dispatcher::StateOf(const Record& record) {
  if (record.removed) return EndpointState::kRemoved;
  if (record.draining) return EndpointState::kDraining;
  if (record.down) return EndpointState::kDown;
  if (record.health.state() == HealthCheck::State::kChecking) return EndpointState::kChecking;
  if (record.health.state() == HealthCheck::State::kUnhealthy) return EndpointState::kUnhealthy;
  return record.ejection.ejected() ? EndpointState::kEjected : EndpointState::kUp;
}

// Recomputes every state and who is usable; called when something may have changed.
void Dispatcher::Refresh(Instant now) {
  uint32_t up = 0;
  uint32_t ejected = 0;
  for (auto& [id, record] : records_) {
    record.status.state = StateOf(record);
    if (record.status.state == EndpointState::kUp) ++up;
    if (record.status.state == EndpointState::kEjected) ++ejected;
  }
  const bool panic = Ejection::Panic(options_.ejection, up, up + ejected);
  for (auto& [id, record] : records_) {
    const EndpointState state = record.status.state;
    SetUsable(record, state == EndpointState::kUp || (panic && state == EndpointState::kEjected),
              now);
  }
}

void Dispatcher::SetUsable(Record& record, bool usable, Instant now) {
  if (usable == record.position.has_value()) return;
  if (usable) {
    record.load.turns = TurnsOfNewcomer(record.load.turns, loads_);
    record.position = usable_.size();
    usable_.push_back(&record);
    loads_.push_back(record.load);
    record.has_been_up = true;
    if (record.status.down_since.has_value()) {
      record.status.downtime += now - *record.status.down_since;
      record.status.down_since.reset();
    }
    return;
  }
  const size_t position = *record.position;
  record.position.reset();
  if (position + 1 != usable_.size()) {
    usable_[position] = usable_.back();
    loads_[position] = loads_.back();
    usable_[position]->position = position;
  }
  usable_.pop_back();
  loads_.pop_back();
  if (record.has_been_up) record.status.down_since = now;
}

void Dispatcher::ForgetIfDone(EndpointId id, Instant) {
  const auto found = records_.find(id);
  if (found == records_.end() || found->second.load.in_flight > 0) return;
  const Record& record = found->second;
  if (!record.draining && !record.removed) return;
  drained_.push_back(id);
  if (record.removed) records_.erase(found);
}

// Requests.

Dispatcher::Admitted Dispatcher::Admit(const Asking& asking, Instant now) {
  const Instant deadline = std::min(now + options_.queue_time_max, asking.deadline);
  // Those who wait come first; Poll lets this one pass if they only wait to avoid an endpoint.
  if (line_.empty() || !asking.may_wait) {
    if (Record* record = Pick({})) {
      budget_.OnRequest();
      ++counters_.admitted;
      return {Admission::kGranted, Take(*record, asking.ticket, deadline, false, now)};
    }
    if (!asking.may_wait) {
      ++counters_.refused;
      return {Admission::kUnavailable, {}};
    }
  }
  WaitingLine::Entry entry;
  entry.ticket = asking.ticket;
  entry.since = now;
  entry.deadline = deadline;
  if (!line_.PushBack(std::move(entry))) {
    ++counters_.refused;
    return {Admission::kFull, {}};
  }
  budget_.OnRequest();
  ++counters_.admitted;
  return {Admission::kWaiting, {}};
}

Dispatcher::Admitted Dispatcher::Again(const AskingAgain& asking, Instant now) {
  const Grant& failed = asking.failed;
  if (!asking.unprocessed && !budget_.TryTake()) return {Admission::kNoBudget, {}};
  const Instant deadline = asking.unprocessed
                               ? failed.deadline
                               : std::min(now + options_.queue_time_max, asking.deadline);
  if (Record* record = Pick(asking.tried)) {
    return {Admission::kGranted, Take(*record, failed.ticket, deadline, !asking.unprocessed, now)};
  }
  WaitingLine::Entry entry;
  entry.ticket = failed.ticket;
  entry.tried = asking.tried;
  entry.avoid_until = now + RetryDelay(asking.tries == 0 ? 0 : asking.tries - 1);
  entry.since = now;
  entry.deadline = deadline;
  entry.costs_token = !asking.unprocessed;
  line_.PushFront(std::move(entry));
  return {Admission::kWaiting, {}};
}

bool Dispatcher::Abandon(Ticket ticket, Instant now) {
  const auto entry = line_.Remove(ticket);
  if (!entry.has_value()) return false;
  LeaveLine(*entry, now);
  if (entry->costs_token) budget_.OnRetryEnd();
  return true;
}

void Dispatcher::LeaveLine(const WaitingLine::Entry& entry, Instant now) {
  counters_.wait_time += now - entry.since;
}

// One that has room and is not among `avoid`; null when there is none.
Dispatcher::Record* Dispatcher::Pick(const std::vector<EndpointId>& avoid) {
  if (usable_.empty()) return nullptr;
  Record* record = usable_[Choose(options_.policy, loads_, random_)];
  if (HasRoom(record->status.spec, record->load) && !Contains(avoid, record->status.id)) {
    return record;
  }
  return PickAmong(avoid);
}

Dispatcher::Record* Dispatcher::PickAmong(const std::vector<EndpointId>& avoid) {
  std::vector<Record*> records;
  std::vector<Candidate> loads;
  for (Record* record : usable_) {
    if (!HasRoom(record->status.spec, record->load) || Contains(avoid, record->status.id)) continue;
    records.push_back(record);
    loads.push_back(record->load);
  }
  return records.empty() ? nullptr : records[Choose(options_.policy, loads, random_)];
}

Dispatcher::Grant Dispatcher::Take(Record& record, Ticket ticket, Instant deadline, bool retry,
                                   Instant now) {
  ++record.load.in_flight;
  record.load.turns += 1.0 / record.load.weight;
  loads_[*record.position] = record.load;
  record.status.selected = now;
  const std::shared_ptr<EndpointTraffic> traffic =
      std::const_pointer_cast<EndpointTraffic>(record.status.traffic);
  traffic->requests.fetch_add(1, std::memory_order_relaxed);
  const EndpointSpec& spec = record.status.spec;
  return {ticket, record.status.id, spec.address, spec.grpc_address, traffic, deadline, retry};
}

void Dispatcher::Finish(const Grant& grant, TryEnd end, int status, Instant now) {
  const auto found = records_.find(grant.endpoint);
  TEPAL_CHECK(found != records_.end() && found->second.load.in_flight > 0);
  Record& record = found->second;
  --record.load.in_flight;
  if (record.position.has_value()) loads_[*record.position] = record.load;
  if (grant.retry) budget_.OnRetryEnd();
  CountOutcome(record, end, status, now);
  ForgetIfDone(grant.endpoint, now);
}

void Dispatcher::CountOutcome(Record& record, TryEnd end, int status, Instant now) {
  auto outcome = Ejection::Outcome::kTransportFailure;
  if (end == TryEnd::kCancelled) return;
  if (end == TryEnd::kAnswered) {
    // 503 may be a server with too much to do, which leaving it out would not help, or one that is
    // not ready, which its health check will tell.
    if (status == 503) return Suspect(record, now);
    outcome = status >= 500 ? Ejection::Outcome::kErrorAnswer : Ejection::Outcome::kSuccess;
  }
  if (outcome == Ejection::Outcome::kSuccess) {
    ++record.successes;
    ++successes_;
  } else if (outcome == Ejection::Outcome::kTransportFailure) {
    Suspect(record, now);
  }
  if (!record.ejection.Record(outcome, successes_ - record.successes)) return;
  uint32_t ejected = 0;
  uint32_t total = 0;
  for (const auto& [id, other] : records_) {
    const EndpointState state = StateOf(other);
    if (state == EndpointState::kEjected) ++ejected;
    if (state == EndpointState::kEjected || state == EndpointState::kUp) ++total;
  }
  if (StateOf(record) != EndpointState::kUp) return;
  if (!Ejection::MayEject(options_.ejection, ejected, total)) return;
  record.ejection.Eject(now);
  record.status.ejections = record.ejection.count();
  WakeAt(record.ejection.until());
  Refresh(now);
}

void Dispatcher::Suspect(Record& record, Instant now) {
  record.health.Suspect(now);
  WakeAt(record.health.NextDeadline());
}

void Dispatcher::OnCheck(EndpointId id, uint64_t number, std::string error, Instant now) {
  const auto found = records_.find(id);
  if (found == records_.end()) return;
  found->second.health.OnResult(number, std::move(error), now);
  WakeAt(now);  // KeepHouse looks at the new state.
}

// What has become due.

void Dispatcher::Poll(Instant now, Due& due) {
  if (wake_.has_value() && *wake_ <= now) KeepHouse(now, due);
  while (const auto entry = line_.PopExpired(now)) {
    LeaveLine(*entry, now);
    if (entry->costs_token) budget_.OnRetryEnd();
    ++counters_.expired;
    due.expired.push_back(entry->ticket);
  }
  if (!line_.empty()) ServeLine(now, due);
  due.drained.insert(due.drained.end(), drained_.begin(), drained_.end());
  drained_.clear();
}

void Dispatcher::KeepHouse(Instant now, Due& due) {
  wake_.reset();
  for (auto& [id, record] : records_) {
    record.ejection.Release(now);
    if (const auto number = record.health.Due(now); number.has_value() && !record.removed) {
      due.checks.push_back({id, *number, record.status.spec.address});
    }
    const bool just_failed = record.status.health.unhealthy != record.health.counters().unhealthy;
    if (just_failed) due.suspected.push_back(id);
    record.status.health = record.health.counters();
    WakeAt(record.health.NextDeadline());
    WakeAt(record.ejection.until());
  }
  Refresh(now);
}

void Dispatcher::ServeLine(Instant now, Due& due) {
  line_.Walk([&](const WaitingLine::Entry& entry) {
    const bool avoids = !entry.tried.empty() && now < entry.avoid_until;
    Record* record = Pick(avoids ? entry.tried : std::vector<EndpointId>());
    if (record == nullptr) return AnyRoom() ? WaitingLine::Step::kStay : WaitingLine::Step::kStop;
    LeaveLine(entry, now);
    ++counters_.waited;
    due.grants.push_back(Take(*record, entry.ticket, entry.deadline, entry.costs_token, now));
    return WaitingLine::Step::kLeave;
  });
}

bool Dispatcher::AnyRoom() const {
  return std::any_of(usable_.begin(), usable_.end(), [](const Record* record) {
    return HasRoom(record->status.spec, record->load);
  });
}

void Dispatcher::WakeAt(std::optional<Instant> when) {
  if (when.has_value() && (!wake_.has_value() || *when < *wake_)) wake_ = when;
}

std::optional<Instant> Dispatcher::NextDeadline(Instant now) const {
  const auto line = line_.NextDeadline(now);
  if (!wake_.has_value() || !line.has_value()) return wake_.has_value() ? wake_ : line;
  return std::min(*wake_, *line);
}

std::vector<Dispatcher::EndpointStatus> Dispatcher::Endpoints() const {
  std::vector<EndpointStatus> all;
  all.reserve(records_.size());
  for (const auto& [id, record] : records_) {
    all.push_back(record.status);
    all.back().in_flight = record.load.in_flight;
    all.back().health = record.health.counters();
  }
  return all;
}

}  // namespace tepal::lb
