#include "balancing/load_balancer/dispatcher.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

template <typename T>
bool Contains(const std::vector<T>& all, T one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

Status Dispatcher::Validate(const Options& options) {
  RETURN_IF_ERROR(HealthCheck::Validate(options.health));
  RETURN_IF_ERROR(Ejection::Validate(options.ejection));
  RETURN_IF_ERROR(Hedging::Validate(options.hedging));
  if (options.queue_time_max <= 0ns) return InvalidArgument("queue_time_max must be above 0");
  if (!(options.retry_budget.share >= 0 && options.retry_budget.share <= 1)) {
    return InvalidArgument(
        Concat("retry budget: share is ", options.retry_budget.share, ", expected 0 to 1"));
  }
  if (!(options.hash_bound == 0 || options.hash_bound >= 1)) {
    return InvalidArgument(
        Concat("hash: bound is ", options.hash_bound, ", expected at least 1, or 0 for none"));
  }
  return {};
}

Dispatcher::Dispatcher(const Options& options, env::Random& random)
    : options_(options),
      random_(random),
      budget_(options.retry_budget),
      hedging_(options.hedging),
      line_(options.queue_size_max),
      model_times_(options.hedging.usual_quantile()) {}

void Dispatcher::CountAdmitted(const Asking& asking) {
  ++counters_.admitted;
  budget_.OnRequest();
  if (asking.work) hedging_.OnRequest();
}

Dispatcher::Admitted Dispatcher::Admit(const Asking& asking, Instant now) {
  const Instant deadline = std::min(now + options_.queue_time_max, asking.deadline);
  const ModelNumber model = models_.Find(asking.model);
  if (asking.deadline != Instant::max()) {
    if (const auto soonest = Soonest(model, now);
        soonest.has_value() && *soonest > ToSeconds(asking.deadline - now)) {
      ++counters_.refused_late;
      model_times_.CountRefused(model);
      return {Admission::kTooLate, {}, FromSeconds(*soonest)};
    }
  }
  const TakeFor what{asking.ticket,       deadline,   false, asking.work, asking.sequence,
                     asking.sequence_end, asking.key, model};
  const ModelNumber routed = Routed(model, now);
  if (Record* record = WhereItIs(asking, now)) {
    CountAdmitted(asking);
    return {Admission::kGranted, Take(*record, what, now), {}};
  }
  // Those who wait come first; Poll lets this one pass if they only wait to avoid an endpoint.
  if (line_.empty() || !asking.may_wait) {
    if (Record* record = Pick({{}, asking.key, routed}, now)) {
      CountAdmitted(asking);
      return {Admission::kGranted, Take(*record, what, now), {}};
    }
    if (!asking.may_wait) {
      ++counters_.refused;
      return {Admission::kUnavailable, {}, {}};
    }
  }
  if (NowhereSoon(routed, now)) {
    ++counters_.model_nowhere;
    model_times_.CountRefused(model);
    return {Admission::kModelNowhere, {}, {}};
  }
  WaitingLine::Entry entry;
  entry.ticket = asking.ticket;
  entry.since = now;
  entry.deadline = std::min(now + options_.queue_time_max, LatestStart(asking.deadline, model));
  entry.by_deadline = entry.deadline < now + options_.queue_time_max;
  entry.model = routed;
  entry.work = asking.work;
  entry.sequence = asking.sequence;
  entry.sequence_end = asking.sequence_end;
  entry.key = asking.key;
  if (!line_.PushBack(std::move(entry))) {
    ++counters_.refused;
    model_times_.CountRefused(model);
    return {Admission::kFull, {}, {}};
  }
  CountAdmitted(asking);
  return {Admission::kWaiting, {}, {}};
}

Dispatcher::Admitted Dispatcher::Again(const AskingAgain& asking, Instant now) {
  const Grant& failed = asking.failed;
  if (!asking.unprocessed && !budget_.TryTake()) return {Admission::kNoBudget, {}, {}};
  const Instant deadline = asking.unprocessed
                               ? failed.deadline
                               : std::min(now + options_.queue_time_max, asking.deadline);
  if (Record* record = Pick({asking.tried, failed.key, failed.model}, now)) {
    return {Admission::kGranted,
            Take(*record,
                 {.ticket = failed.ticket,
                  .deadline = deadline,
                  .retry = !asking.unprocessed,
                  .work = failed.work,
                  .sequence = failed.sequence,
                  .sequence_end = failed.ended_sequence != 0,
                  .model = failed.model},
                 now),
            {}};
  }
  WaitingLine::Entry entry;
  entry.ticket = failed.ticket;
  entry.tried = asking.tried;
  entry.avoid_until = now + RetryDelay(asking.tries == 0 ? 0 : asking.tries - 1);
  entry.since = now;
  entry.deadline = deadline;
  entry.costs_token = !asking.unprocessed;
  entry.work = failed.work;
  entry.key = failed.key;
  entry.sequence = failed.sequence;
  entry.sequence_end = failed.ended_sequence != 0;
  entry.model = failed.model;
  line_.PushFront(std::move(entry));
  return {Admission::kWaiting, {}, {}};
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

// The endpoint that a sequence is with, also when it drains or has no room: its state is there.
// Null when there is none, or it can not be reached.
Dispatcher::Record* Dispatcher::WhereItIs(const Asking& asking, Instant now) {
  if (asking.sequence == 0 || asking.sequence_start) return nullptr;
  const auto id = sequences_.Find(asking.sequence, now);
  Record* record = id.has_value() ? Find(*id) : nullptr;
  if (record == nullptr) return nullptr;
  const EndpointState state = record->status.state;
  const bool reachable = state == EndpointState::kUp || state == EndpointState::kEjected ||
                         state == EndpointState::kDraining;
  return reachable ? record : nullptr;
}

bool Dispatcher::MayGo(const Record& record, const Where& where, Instant now) const {
  return record.has_room && !Contains(where.avoid, record.status.id) &&
         !models_.Lacks(record.status.id, where.model, now);
}

// One that has room and the model, and is not to be avoided; null when there is none.
Dispatcher::Record* Dispatcher::Pick(const Where& where, Instant now) {
  if (with_room_ == 0) return nullptr;
  if (options_.policy == ChoicePolicy::kHash && where.key != 0) {
    Record* record = PickByKey(where, now);
    return record != nullptr ? record : PickAmong(where, options_.policy, now);
  }
  // In a large pool each attempt looks at other endpoints.
  const int attempts = usable_.size() > kFullScanMax ? 4 : 1;
  for (int i = 0; i < attempts; ++i) {
    Record* record = usable_[Choose(options_.policy, loads_, random_, {now, usual_seconds_})];
    if (MayGo(*record, where, now)) return record;
  }
  return PickAmong(where, options_.policy, now);
}

// Bounded loads (Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads"): who has
// more than its share passes the request on along the ring.
Dispatcher::Record* Dispatcher::PickByKey(const Where& where, Instant now) {
  const double bound = options_.hash_bound * (static_cast<double>(in_flight_) + 1) /
                       std::max(1.0, static_cast<double>(weight_usable_));
  const auto id = ring_.Find(where.key, [&](EndpointId candidate) {
    const Record& record = records_.at(candidate);
    if (!MayGo(record, where, now)) return false;
    return bound == 0 || record.load.in_flight < std::ceil(bound * record.load.weight);
  });
  return id.has_value() ? &records_.at(*id) : nullptr;
}

Dispatcher::Record* Dispatcher::PickAmong(const Where& where, ChoicePolicy policy, Instant now) {
  std::vector<Record*> records;
  std::vector<Candidate> loads;
  for (Record* record : usable_) {
    if (!MayGo(*record, where, now)) continue;
    records.push_back(record);
    loads.push_back(record->load);
  }
  if (records.empty()) return nullptr;
  return records[Choose(policy, loads, random_, {now, usual_seconds_})];
}

Dispatcher::Grant Dispatcher::Take(Record& record, const TakeFor& what, Instant now) {
  ++in_flight_;
  double expected = 0;
  record.load.turns += 1.0 / (record.load.weight * record.load.Share(now));
  if (what.work) expected = record.load.service.Expect(record.load.in_flight, usual_seconds_, now);
  ++record.load.in_flight;
  const bool alone = what.work && record.load.service.OnBegin(now);
  if (what.sequence != 0) sequences_.Bind(what.sequence, record.status.id, now);
  if (record.position.has_value()) loads_[*record.position] = record.load;
  NoteRoom(record);
  record.status.selected = now;
  const std::shared_ptr<EndpointTraffic> traffic =
      std::const_pointer_cast<EndpointTraffic>(record.status.traffic);
  traffic->requests.fetch_add(1, std::memory_order_relaxed);
  const EndpointSpec& spec = record.status.spec;
  Grant grant;
  grant.ticket = what.ticket;
  grant.endpoint = record.status.id;
  grant.address = spec.address;
  grant.grpc_address = spec.grpc_address;
  grant.traffic = traffic;
  grant.deadline = what.deadline;
  grant.retry = what.retry;
  grant.work = what.work;
  grant.alone = alone;
  grant.begun = now;
  grant.sequence = what.sequence;
  grant.ended_sequence = what.sequence_end ? what.sequence : 0;
  grant.key = what.key;
  grant.hedge = what.hedge;
  if (what.work && what.sequence == 0) {
    grant.hedge_after = hedging_.After(model_times_.Usual(what.model, now));
  }
  if (what.work && what.model != 0) {
    grant.model = what.model;
    grant.alone_with_model = record.models.OnBegin(what.model, now);
    model_times_.CountBegin(what.model);
    const auto time = model_times_.TryTime(what.model, expected, now);
    if (time.has_value() && what.sequence == 0) grant.rescue_after = *time;
  }
  return grant;
}

void Dispatcher::Finish(const Grant& grant, TryEnd end, int status, Instant now,
                        const TrySaid& said) {
  const auto found = records_.find(grant.endpoint);
  TEPAL_CHECK(found != records_.end() && found->second.load.in_flight > 0);
  Record& record = found->second;
  --record.load.in_flight;
  --in_flight_;
  if (grant.ended_sequence != 0) sequences_.Forget(grant.ended_sequence);
  if (grant.work) Learn(record, grant, end, status, now);
  if (grant.work) LearnModel(record, grant, end, status, now, said);
  if (record.position.has_value()) loads_[*record.position] = record.load;
  NoteRoom(record);
  if (grant.retry) budget_.OnRetryEnd();
  if (grant.hedge) hedging_.OnEnd();
  CountOutcome(record, end, status, now);
  ForgetIfDone(grant.endpoint, now);
}

void Dispatcher::CountOutcome(Record& record, TryEnd end, int status, Instant now) {
  auto outcome = Ejection::Outcome::kTransportFailure;
  if (end == TryEnd::kCancelled || end == TryEnd::kOutrun) return;
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
  if (StateOf(record) != EndpointState::kUp) return;
  if (!Ejection::MayEject(options_.ejection, ejected_, up_ + ejected_)) return;
  record.ejection.Eject(now);
  record.status.ejections = record.ejection.count();
  WakeAt(record, record.ejection.until());
  Update(record, now);
}

void Dispatcher::Suspect(Record& record, Instant now) {
  record.health.Suspect(now);
  WakeAt(record, record.health.NextDeadline());
}

void Dispatcher::OnCheck(EndpointId id, uint64_t number, std::string error, Instant now) {
  const auto found = records_.find(id);
  if (found == records_.end()) return;
  found->second.health.OnResult(number, std::move(error), now);
  WakeAt(found->second, now);  // KeepHouse looks at the new state.
}

// What has become due.

void Dispatcher::Poll(Instant now, Due& due) {
  if (!wakes_.empty() && wakes_.begin()->first <= now) KeepHouse(now, due);
  while (const auto entry = line_.PopExpired(now)) {
    LeaveLine(*entry, now);
    if (entry->costs_token) budget_.OnRetryEnd();
    model_times_.CountRefused(entry->model);
    if (entry->by_deadline) {
      ++counters_.dropped_late;
      due.too_late.push_back(entry->ticket);
      continue;
    }
    ++counters_.expired;
    due.expired.push_back(entry->ticket);
  }
  if (!line_.empty()) ServeLine(now, due);
  due.drained.insert(due.drained.end(), drained_.begin(), drained_.end());
  drained_.clear();
}

void Dispatcher::KeepHouse(Instant now, Due& due) {
  std::vector<EndpointId> awake;
  for (const auto& [when, id] : wakes_) {
    if (when > now) break;
    awake.push_back(id);
  }
  for (const EndpointId id : awake) {
    Record& record = records_.at(id);
    DropWake(record);
    record.ejection.Release(now);
    if (const auto number = record.health.Due(now); number.has_value() && !record.removed) {
      due.checks.push_back(
          {id, *number, record.status.spec.address, record.status.spec.grpc_address});
    }
    const bool just_failed = record.status.health.unhealthy != record.health.counters().unhealthy;
    if (just_failed) due.suspected.push_back(id);
    record.status.health = record.health.counters();
    WakeAt(record, record.health.NextDeadline());
    WakeAt(record, record.ejection.until());
    Update(record, now);
  }
}

void Dispatcher::ServeLine(Instant now, Due& due) {
  const std::vector<EndpointId> none;
  std::vector<ModelNumber> nowhere;  // Models for which there is no room: no need to look again.
  line_.Walk([&](const WaitingLine::Entry& entry) {
    const bool avoids = !entry.tried.empty() && now < entry.avoid_until;
    if (Contains(nowhere, entry.model)) return WaitingLine::Step::kStay;
    Record* record = Pick({avoids ? entry.tried : none, entry.key, entry.model}, now);
    if (record == nullptr) {
      if (!avoids) nowhere.push_back(entry.model);
      return with_room_ > 0 ? WaitingLine::Step::kStay : WaitingLine::Step::kStop;
    }
    LeaveLine(entry, now);
    ++counters_.waited;
    due.grants.push_back(Take(*record,
                              {entry.ticket, entry.deadline, entry.costs_token, entry.work,
                               entry.sequence, entry.sequence_end, entry.key, entry.model},
                              now));
    return WaitingLine::Step::kLeave;
  });
}

void Dispatcher::WakeAt(Record& record, std::optional<Instant> when) {
  if (!when.has_value() || (record.wake.has_value() && *record.wake <= *when)) return;
  DropWake(record);
  record.wake = when;
  wakes_.emplace(*when, record.status.id);
}

void Dispatcher::DropWake(Record& record) {
  if (record.wake.has_value()) wakes_.erase({*record.wake, record.status.id});
  record.wake.reset();
}

std::optional<Instant> Dispatcher::NextDeadline(Instant now) const {
  const auto line = line_.NextDeadline(now);
  if (wakes_.empty()) return line;
  const Instant wake = wakes_.begin()->first;
  return line.has_value() ? std::min(wake, *line) : wake;
}

std::vector<Dispatcher::EndpointStatus> Dispatcher::Endpoints() const {
  std::vector<EndpointStatus> all;
  all.reserve(records_.size());
  for (const auto& [id, record] : records_) {
    all.push_back(record.status);
    all.back().in_flight = record.load.in_flight;
    all.back().health = record.health.counters();
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

}  // namespace tepal::lb
