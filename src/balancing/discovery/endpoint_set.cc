#include "balancing/discovery/endpoint_set.h"

#include <set>
#include <utility>

namespace tepal::discovery {

namespace {

// What cannot be changed of an endpoint that is there.
bool SamePlace(const lb::EndpointSpec& a, const lb::EndpointSpec& b) {
  return a.name == b.name && a.slot == b.slot && a.grpc_address == b.grpc_address &&
         a.slow_start == b.slow_start && a.backup == b.backup;
}

}  // namespace

EndpointSet::Change EndpointSet::Set(const std::vector<WantedEndpoint>& wanted) {
  std::set<lb::EndpointId> there;
  for (const lb::EndpointReading& endpoint : control_.Read().endpoints) {
    if (endpoint.status.state != lb::EndpointState::kRemoved) there.insert(endpoint.status.id);
  }
  std::erase_if(known_, [&](const auto& entry) { return there.count(entry.second.id) == 0; });

  Change change;
  std::set<std::string> seen;
  for (const WantedEndpoint& one : wanted) {
    const std::string address = one.spec.address.ToString();
    if (!seen.insert(address).second) continue;
    const auto known = known_.find(address);
    if (known == known_.end()) {
      Add(one);
      ++change.added;
    } else if (Update(known->second, one)) {
      ++change.changed;
    }
  }
  for (auto known = known_.begin(); known != known_.end();) {
    if (seen.count(known->first) > 0) {
      ++known;
      continue;
    }
    (void)control_.RemoveEndpoint(known->second.id);
    known = known_.erase(known);
    ++change.removed;
  }
  return change;
}

void EndpointSet::Add(const WantedEndpoint& wanted) {
  const lb::EndpointId id = control_.AddEndpoint(wanted.spec);
  if (wanted.down) (void)control_.SetDown(id, true);
  known_.insert_or_assign(wanted.spec.address.ToString(), Known{id, wanted});
}

bool EndpointSet::Update(Known& known, const WantedEndpoint& wanted) {
  const WantedEndpoint before = std::exchange(known.wanted, wanted);
  if (!SamePlace(before.spec, wanted.spec)) {
    (void)control_.RemoveEndpoint(known.id);
    Add(wanted);
    return true;
  }
  bool changed = false;
  if (before.spec.weight != wanted.spec.weight) {
    (void)control_.SetWeight(known.id, wanted.spec.weight);
    changed = true;
  }
  if (before.spec.in_flight_max != wanted.spec.in_flight_max) {
    (void)control_.SetInFlightMax(known.id, wanted.spec.in_flight_max);
    changed = true;
  }
  if (before.down != wanted.down) {
    (void)control_.SetDown(known.id, wanted.down);
    changed = true;
  }
  return changed;
}

}  // namespace tepal::discovery
