#include "apps/supervisor/balancer_traffic.h"

#include <numeric>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::supervisor {

EndpointId BalancerTraffic::AddEndpoint(const Endpoint& endpoint) {
  lb::EndpointSpec spec;
  spec.address = endpoint.address;
  spec.grpc_address = endpoint.grpc_address;
  spec.name = endpoint.name;
  spec.slot = endpoint.slot;
  spec.in_flight_max = in_flight_max_;
  return balancer_.AddEndpoint(std::move(spec));
}

void BalancerTraffic::DrainEndpoint(EndpointId endpoint, Function<void()> done) {
  const Status status = balancer_.DrainEndpoint(endpoint, std::move(done));
  // It waits for its time limit then, as one that never becomes empty.
  if (!status.ok()) telemetry::LogError(Concat("draining: ", status.message()));
}

void BalancerTraffic::RemoveEndpoint(EndpointId endpoint) {
  // Whoever has drained may have left the list already.
  (void)balancer_.RemoveEndpoint(endpoint);
}

TrafficReading BalancerTraffic::Read() {
  const lb::BalancerState state = balancer_.Read();
  TrafficReading reading;
  for (const lb::EndpointReading& endpoint : state.endpoints) {
    reading.endpoints.push_back({endpoint.status.id, endpoint.requests, endpoint.status.in_flight,
                                 std::string(lb::EndpointStateName(endpoint.status.state))});
  }
  reading.in_flight = state.in_flight;
  reading.waiting = state.waiting;
  reading.oldest_wait = state.oldest_wait;
  reading.admitted = state.counters.admitted;
  reading.wait_time = state.counters.wait_time;
  reading.answered =
      std::accumulate(state.responses.begin(), state.responses.end(), uint64_t{0}) - state.failed;
  reading.failed = state.failed + state.broken_off;
  reading.latency_p50 = state.latency_p50;
  reading.latency_p99 = state.latency_p99;
  return reading;
}

}  // namespace tepal::supervisor
