// The JSON shapes of nginx_api.h, from a reading of the balancer.

#pragma once

#include <string>

#include "balancing/load_balancer/balancer_state.h"
#include "core/json/writer.h"

namespace tepal::lb {

// "2026-01-31T12:00:00.000Z".
std::string IsoTime(WallTime when);

void WriteNginx(json::Writer& out, const BalancerState& state);
void WriteConnections(json::Writer& out, const BalancerState& state);
void WriteRequests(json::Writer& out, const BalancerState& state);
void WriteServerZones(json::Writer& out, const BalancerState& state);
void WriteUpstreams(json::Writer& out, const BalancerState& state);
void WriteUpstream(json::Writer& out, const BalancerState& state);

// Configuration of the servers, as the write routes see it.
void WriteServer(json::Writer& out, const EndpointReading& endpoint);
void WriteServers(json::Writer& out, const BalancerState& state);

}  // namespace tepal::lb
