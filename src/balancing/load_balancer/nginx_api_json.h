// The JSON shapes of nginx_api.h, from a reading of the balancer.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "balancing/load_balancer/admin_subject.h"
#include "balancing/load_balancer/balancer_state.h"
#include "core/json/writer.h"

namespace tepal::lb {

// "2026-01-31T12:00:00.000Z".
std::string IsoTime(WallTime when);

using BalancerStates = std::vector<BalancerState>;

void WriteNginx(json::Writer& out, const BalancerStates& pools, uint64_t generation);
void WriteConnections(json::Writer& out, const BalancerStates& pools);
void WriteSsl(json::Writer& out, const BalancerStates& pools);
void WriteRequests(json::Writer& out, const BalancerStates& pools);
void WriteResolver(json::Writer& out, const ResolverZone& zone);
void WriteResolvers(json::Writer& out, const std::vector<ResolverZone>& zones);
// `version`: of the API; from 7 on there are answers by status, too.
void WriteServerZones(json::Writer& out, const BalancerStates& pools, int version);
void WriteServerZone(json::Writer& out, const BalancerState& pool, int version);
void WriteUpstreams(json::Writer& out, const BalancerStates& pools, int version);
void WriteUpstream(json::Writer& out, const BalancerState& pool, int version);

// What a server's configuration says of what is a property of the whole pool here.
inline constexpr int kApiMaxFails = 1;
inline constexpr std::string_view kApiFailTimeout = "10s";

// Configuration of the servers, as the write routes see it.
void WriteServer(json::Writer& out, const EndpointReading& endpoint);
void WriteServers(json::Writer& out, const BalancerState& state);

}  // namespace tepal::lb
