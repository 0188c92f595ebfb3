#include "balancing/load_balancer/gather_wish.h"

namespace tepal::lb {

bool GatherWish::Wants(const EndpointSpec& spec) const {
  return endpoint.empty() || endpoint == spec.name || endpoint == spec.address.ToString() ||
         (spec.grpc_address.has_value() && endpoint == spec.grpc_address->ToString());
}

GatherWish ReadWish(const http::RequestHead& head) {
  GatherWish wish;
  wish.per_replica = head.query().find("per_replica=true") != std::string_view::npos ||
                     head.headers.Get("tepal-per-replica") == "true";
  wish.endpoint = head.headers.Get("tepal-endpoint").value_or("");
  return wish;
}

}  // namespace tepal::lb
