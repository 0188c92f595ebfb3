// What the balancers of a fleet say of themselves, side by side.
//
// Each says it in its GET /api/tepal/pools. What cannot be read is that one's error and touches
// none of the others. An endpoint is known by its address within the pool of one name. The
// balancers differ about it when it is up for some and not for others, or not there at all; who has
// not answered, or has no such pool, is not heard. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal::lb {

struct FleetEndpoint {
  std::string address;
  std::string name;
  std::string state;  // As EndpointStateName, or what a newer balancer calls it.
  double rate_1s = 0;
};

struct FleetPool {
  std::string upstream;
  double uptime_s = 0;
  double rate_1s = 0;
  uint64_t in_flight = 0;
  uint64_t waiting = 0;
  std::optional<double> latency_p99_ms;
  std::vector<FleetEndpoint> endpoints;
};

struct FleetMember {
  std::string address;  // Where it was asked; empty: it is the one that asks.
  std::string error;    // Why nothing else is known of it; empty: it has answered.
  std::string name;
  std::string instance;  // Told apart by this from all others, and from itself before a restart.
  double uptime_s = 0;
  std::vector<FleetPool> pools;
};

// Reads one answer, without `address` and `error`. kInvalidArgument names the field.
Result<FleetMember> ReadFleetMember(std::string_view pools_json);

// {"members": [{"address", "self", "error", "name", "uptime_s", "rate_1s", "in_flight", "waiting",
//               "latency_p99_ms", "up", "endpoints"}],
//  "pools": [{"upstream", "heard", "endpoints": [{"address", "name", "differs", "states",
//             "rates"}]}]}
// Of a member's pools the largest latency_p99_ms counts. "heard" (which of them have the pool),
// "states" and "rates" are in the order of the members, null where one does not have the endpoint.
std::string FleetJson(const std::vector<FleetMember>& members);

}  // namespace tepal::lb
