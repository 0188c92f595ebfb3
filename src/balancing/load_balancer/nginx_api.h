// The part of NGINX Plus's API (version 9) that monitoring and scripts use on an upstream, in its
// JSON shapes, so that tools made for that API can read and steer this balancer.
//
//   GET            /api/9/nginx, connections, http/requests, http/server_zones
//   GET            /api/9/http/upstreams/[{u}/[servers/[{id}]]]
//   POST           /api/9/http/upstreams/{u}/servers          {"server": "10.0.0.1:8000", …}
//   PATCH, DELETE  /api/9/http/upstreams/{u}/servers/{id}     {"drain": true}, {"down": true}, …
//
// There is one upstream and one server zone, both under the balancer's upstream name. "fields=" is
// ignored. Format: the API's published description, nginx_api.yaml.

#pragma once

#include <string_view>

#include "balancing/load_balancer/admin_answer.h"
#include "balancing/load_balancer/endpoint_control.h"

namespace tepal::lb {

// `path` begins with "/api/"; `body` is empty for GET.
AdminAnswer AnswerNginxApi(EndpointControl& control, std::string_view method, std::string_view path,
                           std::string_view body);

}  // namespace tepal::lb
