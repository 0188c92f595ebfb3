// What a changed configuration means for a balancer that runs: a pure function.
//
// Pools with their endpoints, choices, health checks, ejection, queue, retries and who may use them
// are applied while requests go on, limits for connections that come from then on, and DNS at once;
// pools and addresses can be added, and pools removed with all of their addresses. What is made
// once (threads, the admin address, TLS, the access log) needs a restart and is named. A plan that
// needs a restart is not carried out at all.

#pragma once

#include <string>
#include <vector>

#include "balancing/gateway/config.h"

namespace tepal::gateway {

struct ReloadPlan {
  std::vector<std::string> restart;  // Fields that need one, as "admin.tls".
  std::vector<std::string> added;    // Pools.
  std::vector<std::string> removed;
  std::vector<ListenerConfig> listeners;  // To be added, those of added pools among them.
};

ReloadPlan PlanReload(const GatewayConfig& running, const GatewayConfig& next);

// kFailedPrecondition with the fields; OK when no restart is needed.
Status NeedsRestart(const ReloadPlan& plan);

}  // namespace tepal::gateway
