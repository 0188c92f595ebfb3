#include "balancing/load_balancer/endpoint.h"

namespace tepal::lb {

std::string_view EndpointStateName(EndpointState state) {
  switch (state) {
    case EndpointState::kChecking:
      return "checking";
    case EndpointState::kUp:
      return "up";
    case EndpointState::kUnhealthy:
      return "unhealthy";
    case EndpointState::kEjected:
      return "ejected";
    case EndpointState::kDown:
      return "down";
    case EndpointState::kDraining:
      return "draining";
    case EndpointState::kRemoved:
      return "removed";
  }
  return "unknown";
}

}  // namespace tepal::lb
