// The directive access_log.

#pragma once

#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

// Whether it was access_log or log_format. One log is kept for all servers, of lines of our own:
// the first file that is named counts. `inside`: of a server or a location.
bool ReadAccessLog(Context& context, const Directive& directive, bool inside,
                   gateway::GatewayConfig& config);

}  // namespace tepal::nginx_conf
