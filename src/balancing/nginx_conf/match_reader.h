// match { }: what the answer to a health check must look like.

#pragma once

#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

// A block without `status` takes any status, as in nginx.
lb::HealthMatch::Options ReadMatch(Context& context, const Directive& block);

}  // namespace tepal::nginx_conf
