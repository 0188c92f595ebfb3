// admin.fleet and admin.fleet_tls: the other balancers that the dashboard shows.

#pragma once

#include "balancing/gateway/config.h"
#include "core/options/yaml.h"

namespace tepal::gateway {

void ReadFleet(options::YamlReader& admin, GatewayConfig& config);

}  // namespace tepal::gateway
