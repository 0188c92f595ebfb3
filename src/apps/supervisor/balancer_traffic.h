// The supervisor's view of the balancer: see traffic.h.

#pragma once

#include <cstdint>

#include "apps/supervisor/traffic.h"
#include "balancing/load_balancer/endpoint_control.h"

namespace tepal::supervisor {

class BalancerTraffic final : public TrafficControl {
 public:
  // `in_flight_max` of every endpoint; 0: no limit. The balancer outlives this.
  BalancerTraffic(lb::EndpointControl& balancer, uint32_t in_flight_max)
      : balancer_(balancer), in_flight_max_(in_flight_max) {}

  EndpointId AddEndpoint(const Endpoint& endpoint) override;
  void DrainEndpoint(EndpointId endpoint, Function<void()> done) override;
  void RemoveEndpoint(EndpointId endpoint) override;
  TrafficReading Read() override;

 private:
  lb::EndpointControl& balancer_;
  uint32_t in_flight_max_;
};

}  // namespace tepal::supervisor
