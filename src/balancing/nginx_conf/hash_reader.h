// The key of `hash`: "$request_uri", "$scheme$proxy_host$request_uri", "$http_x_user".

#pragma once

#include <optional>

#include "balancing/load_balancer/hash_key.h"
#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

// Nothing, and a note, when a variable of it has no meaning here.
std::optional<lb::HashKey> ReadHashKey(Context& context, const Directive& directive,
                                       std::string_view text);

}  // namespace tepal::nginx_conf
