// What a request to the metrics API asks for, and in whose words that is authorised.
//
// A target is split once, after decoding: what is authorised is what is answered. The attributes
// are those that Kubernetes' own API servers give to an authoriser (RequestInfo), for every path,
// also for those that are not served. Pure.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

inline constexpr std::string_view kCustomGroup = "custom.metrics.k8s.io";
inline constexpr std::string_view kExternalGroup = "external.metrics.k8s.io";

struct RequestAttributes {
  std::string verb;
  std::string path;  // Decoded.
  bool is_resource = false;
  // The rest only of a resource.
  std::string group, version, resource, subresource, name_space, name;

  bool operator==(const RequestAttributes&) const = default;
};

struct ApiRequest {
  enum class Kind {
    kUnknown,         // Nothing is served there.
    kHealth,          // /healthz, /livez, /readyz; `name`: which, `check`: one of its checks.
    kVersion,         // /version
    kMetrics,         // /metrics
    kRoot,            // /
    kOpenApiV2,       // /openapi/v2
    kOpenApiV3Index,  // /openapi/v3
    kOpenApiV3,       // /openapi/v3/apis/<group>/<version>
    kGroups,          // /apis
    kGroup,           // /apis/<group>
    kResources,       // /apis/<group>/<version>
    kObjects,         // A metric of objects.
    kExternal,        // A metric of nothing in the cluster.
  };
  Kind kind = Kind::kUnknown;
  RequestAttributes attributes;

  std::string group, version;
  GroupResource resource;
  std::string name_space;  // Empty for what has none.
  std::string name;        // Of the object; "*": all that match.
  std::string metric;
  std::string check;
  std::string label_selector;
  std::string metric_selector;
  bool verbose = false;               // Of the health checks.
  std::vector<std::string> excluded;  // Checks left out.

  bool all_objects() const { return name == "*"; }
};

// kInvalidArgument: an escape that is none.
Result<ApiRequest> ParseApiRequest(std::string_view method, std::string_view target);

// What a client wants to read; nothing when it takes none of what there is.
enum class MediaType { kJson, kAggregatedV2, kAggregatedV2Beta1 };

// `accept`: the header's text; empty takes anything. Protobuf is answered with JSON: whoever asks
// for it reads both. `aggregated`: whether the path has such a document.
std::optional<MediaType> Negotiate(std::string_view accept, bool aggregated);

// The group and resource of "deployments.apps" or "pods".
GroupResource ParseGroupResource(std::string_view text);
std::string ToString(const GroupResource& resource);

}  // namespace tepal::custom_metrics
