// NGINX Plus's API, versions 6 to 9, for the paths that apply to this balancer, in its JSON shapes:
// dashboards, exporters and client libraries made for that API read and steer this one.
//
//   GET            /api/9/[nginx|processes|connections|slabs|ssl|resolvers[/{zone}]|workers]
//   GET            /api/9/http/[requests|server_zones[/{zone}]|…]
//   GET            /api/9/http/upstreams/[{u}/[servers/[{id}]]]
//   POST           /api/9/http/upstreams/{u}/servers          {"server": "10.0.0.1:8000", …}
//   PATCH, DELETE  /api/9/http/upstreams/{u}/servers/{id}     {"drain": true}, {"down": true}, …
//
// Each pool is an upstream and a server zone; the name servers are one resolver zone. What this
// balancer has none of (caches, key-value zones, shared memory) is an empty object. "?fields=a,b"
// keeps those members, of each entry where the answer is a list by name. Servers of a pool with
// discovery can be drained and weighed, not added or removed. Format: the API's published
// description, nginx_api.yaml.

#pragma once

#include <string_view>

#include "balancing/load_balancer/admin_answer.h"
#include "balancing/load_balancer/admin_subject.h"

namespace tepal::lb {

struct ApiRequest {
  std::string_view method;
  std::string_view path;   // Begins with "/api/".
  std::string_view query;  // Without '?'.
  std::string_view body;   // Empty for GET.
  std::string_view id;     // The request's, for errors.
};

AdminAnswer AnswerNginxApi(AdminSubject& subject, const ApiRequest& request);

}  // namespace tepal::lb
