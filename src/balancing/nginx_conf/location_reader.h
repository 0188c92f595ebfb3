// location { }: which upstream a server passes to and how, its health check, or the admin API.

#pragma once

#include "balancing/nginx_conf/server_reader.h"
#include "balancing/nginx_conf/tls_reader.h"

namespace tepal::nginx_conf {

// What the locations of one server say together.
struct Found {
  Upstream* upstream = nullptr;  // Of the first location that passes.
  bool api = false;
  bool api_writes = false;
  int api_line = 0;
  bool dashboard = false;
  TlsFound tls;
  std::optional<uint32_t> tries_max;  // proxy_next_upstream and its kin.
  std::optional<Duration> read_time_max;
  std::optional<Duration> connect_time_max;
};

// proxy_read_timeout, proxy_next_upstream, …: true when it is one of them.
bool ReadPassing(Context& context, const Directive& directive, Found& found);
void ApplyPassing(const Found& found, Upstream& upstream);

void ReadLocation(Context& context, const Directive& block, ServerScope scope, Found& found);

}  // namespace tepal::nginx_conf
