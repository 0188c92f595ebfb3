// What the supervisor wants from the balancer: endpoints in and out, and how the traffic goes.
//
// A seam, so that the supervisor is tested without one; `tepal up` puts balancing/load_balancer
// behind it. All of it on the supervisor's loop.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/time.h"
#include "core/env/network.h"

namespace tepal::supervisor {

using EndpointId = uint64_t;

struct EndpointReading {
  EndpointId id = 0;
  uint64_t requests = 0;  // Sent to it so far.
  uint32_t in_flight = 0;
  std::string state;  // The balancer's word for it.
};

// Counters grow from the balancer's start.
struct TrafficReading {
  std::vector<EndpointReading> endpoints;
  uint64_t in_flight = 0;  // With endpoints, waiting ones left out.
  uint64_t waiting = 0;    // For an endpoint.
  Duration oldest_wait{};
  uint64_t admitted = 0;  // Requests that were taken in, at once or after a wait.
  Duration wait_time{};   // Of all that have waited so far.
  uint64_t answered = 0;  // Requests that got an answer of an endpoint.
  uint64_t failed = 0;    // Requests that the balancer had to answer with an error.
  // Of the last seconds, the balancer's own view; nothing when there was no request.
  std::optional<Duration> latency_p50;
  std::optional<Duration> latency_p99;
};

class TrafficControl {
 public:
  virtual ~TrafficControl() = default;

  struct Endpoint {
    env::Address address;
    std::optional<env::Address> grpc_address;  // Where gRPC calls go; `address` without it.
    std::string name;                          // For people, as the slot.
    std::string slot;
  };
  virtual EndpointId AddEndpoint(const Endpoint& endpoint) = 0;

  // It gets nothing new. `done` runs once, when it has answered what it had, unless it is removed
  // before.
  virtual void DrainEndpoint(EndpointId endpoint, Function<void()> done) = 0;

  // Forgets it at once. An unknown endpoint is ignored.
  virtual void RemoveEndpoint(EndpointId endpoint) = 0;

  virtual TrafficReading Read() = 0;
};

}  // namespace tepal::supervisor
