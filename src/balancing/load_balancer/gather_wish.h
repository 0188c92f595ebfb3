// What a client wants of a gathering beside what the request itself says. Pure.

#pragma once

#include <string_view>

#include "balancing/load_balancer/endpoint.h"
#include "network/http/message.h"

namespace tepal::lb {

struct GatherWish {
  bool per_replica = false;   // Each endpoint's own answer, and no sum.
  std::string_view endpoint;  // Only this one is asked; empty: all of them.

  bool Wants(const EndpointSpec& spec) const;
};

// By the fields (gRPC: metadata) `tepal-per-replica: true` and `tepal-endpoint: ADDRESS or name`,
// and the query `?per_replica=true`. The texts are the head's.
GatherWish ReadWish(const http::RequestHead& head);

}  // namespace tepal::lb
