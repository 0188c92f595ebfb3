// /api/tepal: everything the dashboard shows.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "balancing/load_balancer/balancer_state.h"

namespace tepal::lb {

// `extra`: JSON of the supervisor, put under "extra"; empty for null. Durations are in
// milliseconds, rates in requests a second, shares from 0 to 1.
std::string StateJson(const BalancerState& state, std::string_view extra);

// Who is asking, and why it may change nothing; empty: it may.
struct CallerRights {
  std::string name;
  std::string refusal;
};

// This balancer among others.
struct BalancerIdentity {
  std::string name;      // Of its machine or pod.
  std::string instance;  // Of this process alone.
  bool fleet = false;    // It knows others: GET /api/tepal/fleet.
};

// {"pools": [the above without "extra", …], "extra": …, "balancer": {"name", "instance", "fleet"},
//  "caller": {"name", "may_write", "refusal"}}
std::string PoolsJson(const std::vector<BalancerState>& pools, std::string_view extra,
                      const BalancerIdentity& balancer, const CallerRights& caller);

// The models of a pool, and where one of them is. "ready" of an endpoint is null when it does not
// say what it has; "expected_ms" is what a deadline is held against, and null when too little is
// known.
std::string ModelsJson(std::string_view upstream, const std::vector<ModelReading>& models);
std::string ModelEndpointsJson(ModelNumber model, const std::vector<ModelAtEndpoint>& endpoints);

}  // namespace tepal::lb
