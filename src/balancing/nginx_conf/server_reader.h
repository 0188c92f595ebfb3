// server { }: addresses for clients and the upstream behind them, or the admin address.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "balancing/nginx_conf/context.h"
#include "balancing/nginx_conf/upstream_reader.h"

namespace tepal::nginx_conf {

// What servers speak of and add to. Limits are of the whole balancer here: the last value counts.
struct ServerScope {
  std::map<std::string, Upstream>& upstreams;
  const std::map<std::string, Directive>& matches;
  gateway::GatewayConfig& config;
  const std::vector<const Directive*>& inherited;  // Of http { }: ssl_*, proxy_* and grpc_*.
};

// Also for what stands in http { } itself.
bool ReadLimit(Context& context, const Directive& directive, gateway::LimitsConfig& limits);

void ReadServer(Context& context, const Directive& block, ServerScope scope);

}  // namespace tepal::nginx_conf
