// ssl_*, proxy_ssl_* and grpc_ssl_*: certificates for clients and what endpoints are asked for.

#pragma once

#include <string>

#include "balancing/nginx_conf/context.h"

namespace tepal::nginx_conf {

// What they say together; a directive of an inner block counts instead of one of an outer.
struct TlsFound {
  TlsFound() { endpoints.verify_server = false; }  // As nginx has it.
  net::TlsSource::ServerFiles clients;
  bool verify_clients = false;
  net::TlsSource::ClientFiles endpoints;
  bool sends_name = false;  // proxy_ssl_server_name.

  // Of endpoints behind an upstream of that name.
  net::TlsSource::ClientFiles ForEndpoints(const std::string& upstream) const;
};

// True when the directive is one of them.
bool ReadTls(Context& context, const Directive& directive, TlsFound& found);

}  // namespace tepal::nginx_conf
