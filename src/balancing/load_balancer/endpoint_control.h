// Endpoints in, out and changed, and how they do: what the admin API needs of the balancer.

#pragma once

#include <vector>

#include "balancing/load_balancer/balancer_state.h"
#include "core/base/function.h"

namespace tepal::lb {

// Used on the control loop.
class EndpointControl {
 public:
  virtual ~EndpointControl() = default;

  // A new endpoint is checked at once and gets its share as soon as it passes.
  virtual EndpointId AddEndpoint(EndpointSpec spec) = 0;

  // kNotFound for an unknown endpoint. Drained: it gets nothing new; `done` (may be empty) runs
  // once when it has answered what it had, or is removed and has. Removed: off the list; what it
  // has in flight goes on.
  virtual Status DrainEndpoint(EndpointId id, Function<void()> done) = 0;
  virtual Status RemoveEndpoint(EndpointId id) = 0;
  virtual Status SetDown(EndpointId id, bool down) = 0;  // False also ends a drain.
  virtual Status SetWeight(EndpointId id, uint32_t weight) = 0;
  virtual Status SetInFlightMax(EndpointId id, uint32_t in_flight_max) = 0;

  virtual BalancerState Read() = 0;
  // What is known of its models: those that an endpoint has ready or that have had traffic within
  // the minute. And where one of them is; empty for an unknown number.
  virtual std::vector<ModelReading> ReadModels() = 0;
  virtual std::vector<ModelAtEndpoint> ReadModelEndpoints(ModelNumber model) = 0;
};

}  // namespace tepal::lb
