// upstream { }: a pool.

#pragma once

#include <string>

#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

struct Upstream {
  gateway::PoolConfig pool;
  std::string zone;  // Empty: none.
  int zone_line = 0;
  int line = 0;
  bool used = false;           // Some location passes to it.
  bool grpc = false;           // … with grpc_pass.
  bool has_check = false;      // Some location checks it.
  bool passed_before = false;  // Whether over TLS is settled.
};

Upstream ReadUpstream(Context& context, const Directive& block);

}  // namespace tepal::nginx_conf
