// What the admin server speaks for: the pools of one balancer process, in their order, and what the
// process as a whole can do. Used on the control loop.

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "balancing/load_balancer/admin_access.h"
#include "balancing/load_balancer/certificate_roles.h"
#include "balancing/load_balancer/endpoint_control.h"
#include "balancing/load_balancer/state_json.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

struct AdminPool {
  std::string name;  // The upstream's in the API.
  EndpointControl* control;
  // Its endpoints come from a discovery, which would undo what is added or removed by hand.
  bool discovered = false;
};

// What name servers were asked, and what came of it, by NGINX Plus's names.
struct ResolverZone {
  using Counts = std::vector<std::pair<std::string_view, uint64_t>>;
  std::string name;
  Counts requests;
  Counts responses;
};

struct AdminSubject {
  std::vector<AdminPool> pools;
  Function<std::vector<ResolverZone>()> resolvers;  // Null: names are not looked up again.
  telemetry::MetricsRegistry metrics;
  // Shown as "extra" in the state of the dashboard: one JSON value, or empty for none.
  Function<std::string()> extra_state;
  // Reads the configuration again and says later, on the control loop, what was applied or why
  // nothing was; null where there is no configuration to read.
  Function<void(Function<void(Result<std::string>)>)> reload;
  BalancerIdentity identity;
  // Asks the others of the fleet what they see, with the `authorization` of who wants to know, and
  // says it later as JSON (fleet_state.h); null where there is none.
  Function<void(std::string authorization, Function<void(Result<std::string>)>)> fleet;
  AdminAccess access;                            // Who may read and change, by token,
  std::optional<CertificateRoles> certificates;  // and by certificate; absent: none is asked for.
  bool writable = true;                          // Whether the API may change anything.
  uint64_t generation = 1;                       // Grows with every reload.

  AdminPool* Find(std::string_view name) {
    const auto found = std::find_if(pools.begin(), pools.end(),
                                    [&](const AdminPool& pool) { return pool.name == name; });
    return found == pools.end() ? nullptr : &*found;
  }
  std::vector<ResolverZone> ReadResolvers() {
    return resolvers ? resolvers() : std::vector<ResolverZone>();
  }
  std::vector<BalancerState> Read() {
    std::vector<BalancerState> states;
    for (const AdminPool& pool : pools) states.push_back(pool.control->Read());
    return states;
  }
};

}  // namespace tepal::lb
