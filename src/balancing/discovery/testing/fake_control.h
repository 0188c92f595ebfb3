// A pool of endpoints that keeps what it is told, for tests of whoever tells it.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "balancing/load_balancer/endpoint_control.h"
#include "core/base/text.h"

namespace tepal::discovery::testing {

class FakeControl final : public lb::EndpointControl {
 public:
  lb::EndpointId AddEndpoint(lb::EndpointSpec spec) override {
    lb::EndpointReading reading;
    reading.status.id = ++last_;
    reading.status.spec = std::move(spec);
    reading.status.state = lb::EndpointState::kUp;
    endpoints_.push_back(std::move(reading));
    return last_;
  }
  Status DrainEndpoint(lb::EndpointId id, Function<void()>) override {
    return Change(id, [](auto& status) { status.state = lb::EndpointState::kDraining; });
  }
  Status RemoveEndpoint(lb::EndpointId id) override {
    const size_t before = endpoints_.size();
    std::erase_if(endpoints_, [&](const auto& endpoint) { return endpoint.status.id == id; });
    return endpoints_.size() < before ? Status() : NotFound("unknown");
  }
  Status SetDown(lb::EndpointId id, bool down) override {
    return Change(id, [&](auto& status) {
      status.state = down ? lb::EndpointState::kDown : lb::EndpointState::kUp;
    });
  }
  Status SetWeight(lb::EndpointId id, uint32_t weight) override {
    return Change(id, [&](auto& status) { status.spec.weight = weight; });
  }
  Status SetInFlightMax(lb::EndpointId id, uint32_t most) override {
    return Change(id, [&](auto& status) { status.spec.in_flight_max = most; });
  }
  lb::BalancerState Read() override {
    lb::BalancerState state;
    state.endpoints = endpoints_;
    return state;
  }
  std::vector<lb::ModelReading> ReadModels() override { return {}; }
  std::vector<lb::ModelAtEndpoint> ReadModelEndpoints(lb::ModelNumber) override { return {}; }

  // "1 2*3 4!": ports, weights but for 1, and who is down.
  std::string Listed() const {
    std::string text;
    for (const lb::EndpointReading& endpoint : endpoints_) {
      if (!text.empty()) text += " ";
      text += Concat(endpoint.status.spec.address.port);
      if (endpoint.status.spec.weight != 1) text += Concat("*", endpoint.status.spec.weight);
      if (endpoint.status.state == lb::EndpointState::kDown) text += "!";
    }
    return text;
  }

 private:
  template <typename Act>
  Status Change(lb::EndpointId id, Act act) {
    for (lb::EndpointReading& endpoint : endpoints_) {
      if (endpoint.status.id != id) continue;
      act(endpoint.status);
      return {};
    }
    return NotFound("unknown");
  }

  std::vector<lb::EndpointReading> endpoints_;
  lb::EndpointId last_ = 0;
};

}  // namespace tepal::discovery::testing
