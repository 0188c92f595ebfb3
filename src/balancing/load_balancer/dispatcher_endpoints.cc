// The endpoints of a Dispatcher: added, changed, drained, removed, and which of them are used now.

#include <algorithm>
#include <utility>

#include "balancing/load_balancer/dispatcher.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

bool HasRoom(const EndpointSpec& spec, const Candidate& load) {
  return spec.in_flight_max == 0 || load.in_flight < spec.in_flight_max;
}

Status UnknownEndpoint(EndpointId id) { return NotFound(Concat("endpoint ", id, " is unknown")); }

}  // namespace

EndpointId Dispatcher::Add(EndpointSpec spec, Instant now) {
  const EndpointId id = ++last_id_;
  spec.weight = std::max(spec.weight, 1u);
  if (spec.name.empty()) spec.name = spec.address.ToString();
  EndpointStatus status;
  status.id = id;
  status.spec = std::move(spec);
  status.added = now;
  status.traffic = std::make_shared<EndpointTraffic>();
  Candidate load;
  load.weight = status.spec.weight;
  const auto added = records_.emplace(id, Record{.status = std::move(status),
                                                 .health = HealthCheck(options_.health, now, id),
                                                 .ejection = Ejection(options_.ejection),
                                                 .load = load,
                                                 .models = {},
                                                 .position = {},
                                                 .wake = {}});
  Record& record = added.first->second;
  AddToRing(record);
  WakeAt(record, now);
  Update(record, now);
  return id;
}

Status Dispatcher::Drain(EndpointId id, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->draining = true;
  Update(*record, now);
  ForgetIfDone(id, now);
  return {};
}

Status Dispatcher::Remove(EndpointId id, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->removed = true;
  if (options_.policy == ChoicePolicy::kHash) ring_.Remove(id);
  Update(*record, now);
  ForgetIfDone(id, now);
  return {};
}

Status Dispatcher::SetDown(EndpointId id, bool down, Instant now) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->down = down;
  record->draining = false;
  Update(*record, now);
  return {};
}

Status Dispatcher::SetWeight(EndpointId id, uint32_t weight) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  if (weight == 0) return InvalidArgument("weight is 0, expected at least 1");
  if (weight == record->load.weight) return {};
  if (record->position.has_value()) weight_usable_ += weight - uint64_t{record->load.weight};
  record->status.spec.weight = record->load.weight = weight;
  if (record->position.has_value()) loads_[*record->position] = record->load;
  if (options_.policy == ChoicePolicy::kHash) ring_.Remove(id);
  AddToRing(*record);
  return {};
}

Status Dispatcher::SetInFlightMax(EndpointId id, uint32_t in_flight_max) {
  Record* record = Find(id);
  if (record == nullptr) return UnknownEndpoint(id);
  record->status.spec.in_flight_max = in_flight_max;
  NoteRoom(*record);
  return {};
}

void Dispatcher::Reconfigure(const Options& options, Instant now) {
  const bool same_ring = options.policy == options_.policy;
  options_ = options;
  if (!same_ring) {
    ring_ = HashRing();
    for (const auto& [id, record] : records_) AddToRing(record);
  }
  budget_.Reconfigure(options.retry_budget);
  hedging_.Reconfigure(options.hedging);
  model_times_.SetUsualQuantile(options.hedging.usual_quantile());
  line_.set_size_max(options.queue_size_max);
  for (auto& [id, record] : records_) {
    record.health.OnReconfigured(now);
    if (!options.ejection.enabled) record.ejection.Release(Instant::max());
    WakeAt(record, now);
  }
  Refresh(now);
}

void Dispatcher::AddToRing(const Record& record) {
  if (options_.policy != ChoicePolicy::kHash || record.removed) return;
  ring_.Add(record.status.id, record.status.spec.address.ToString(), record.load.weight);
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

// Recomputes every state and who is usable.
void Dispatcher::Refresh(Instant now) {
  for (auto& [id, record] : records_) Update(record, now);
}

// One endpoint may have changed. What it does to the others (panic, backups) is rare, and only then
// are they looked at.
void Dispatcher::Update(Record& record, Instant now) {
  Count(record, -1);
  record.status.state = StateOf(record);
  Count(record, +1);
  const bool panic = Ejection::Panic(options_.ejection, up_, up_ + ejected_);
  const bool backups_in = up_primary_ == 0;
  if (panic == panic_ && backups_in == backups_in_) return Place(record, now);
  panic_ = panic;
  backups_in_ = backups_in;
  for (auto& [id, other] : records_) Place(other, now);
}

void Dispatcher::Count(const Record& record, int by) {
  const auto add = static_cast<uint32_t>(by);
  if (record.status.state == EndpointState::kUp) {
    up_ += add;
    if (!record.status.spec.backup) up_primary_ += add;
  } else if (record.status.state == EndpointState::kEjected) {
    ejected_ += add;
  }
}

void Dispatcher::Place(Record& record, Instant now) {
  const EndpointState state = record.status.state;
  const bool in = record.status.spec.backup ? backups_in_ : true;
  SetUsable(record,
            in && (state == EndpointState::kUp || (panic_ && state == EndpointState::kEjected)),
            now);
}

void Dispatcher::NoteRoom(Record& record) {
  const bool has_room = record.position.has_value() && HasRoom(record.status.spec, record.load);
  if (has_room == record.has_room) return;
  record.has_room = has_room;
  with_room_ += has_room ? 1 : static_cast<size_t>(-1);
}

void Dispatcher::SetUsable(Record& record, bool usable, Instant now) {
  if (usable == record.position.has_value()) return;
  if (usable) {
    record.load.turns = TurnsOfNewcomer(record.load.turns, loads_);
    // Not in a pool that has only just begun: somebody must carry its load.
    record.load.ramp = usable_.empty() ? Duration(0) : record.status.spec.slow_start;
    record.load.ramp_from = now;
    record.position = usable_.size();
    usable_.push_back(&record);
    loads_.push_back(record.load);
    weight_usable_ += record.load.weight;
    record.has_been_up = true;
    NoteRoom(record);
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
  weight_usable_ -= record.load.weight;
  NoteRoom(record);
  if (record.has_been_up) record.status.down_since = now;
}

void Dispatcher::ForgetIfDone(EndpointId id, Instant) {
  const auto found = records_.find(id);
  if (found == records_.end() || found->second.load.in_flight > 0) return;
  const Record& record = found->second;
  if (!record.draining && !record.removed) return;
  drained_.push_back(id);
  if (!record.removed) return;
  models_.Forget(id);
  DropWake(found->second);
  records_.erase(found);
}

}  // namespace tepal::lb
