// /api/tepal/state: everything the dashboard shows.

#pragma once

#include <string>
#include <string_view>

#include "balancing/load_balancer/balancer_state.h"

namespace tepal::lb {

// `extra`: JSON of the supervisor, put under "extra"; empty for null. Durations are in
// milliseconds, rates in requests a second, shares from 0 to 1.
std::string StateJson(const BalancerState& state, std::string_view extra);

// {"pools": [the above without "extra", …], "extra": …}
std::string PoolsJson(const std::vector<BalancerState>& pools, std::string_view extra);

}  // namespace tepal::lb
