// health_check and match.

#pragma once

#include <map>
#include <string>

#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

void ReadHealthCheck(Context& context, const Directive& directive,
                     const std::map<std::string, Directive>& matches,
                     lb::HealthCheck::Options& health);

}  // namespace tepal::nginx_conf
