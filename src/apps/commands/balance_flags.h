// The flags of `tepal balance`, and the configuration that they or the file make.

#pragma once

#include <string>
#include <vector>

#include "balancing/gateway/config.h"
#include "core/options/flags.h"

namespace tepal::commands {

struct BalanceFlags {
  std::string config;
  std::string nginx_conf;
  bool check = false;
  bool verbose = false;
  std::vector<std::string> listen;
  std::vector<std::string> listen_tls;
  net::TlsSource::ServerFiles client_tls;
  bool endpoint_tls_on = false;
  net::TlsSource::ClientFiles endpoint_tls;
  std::string admin = "127.0.0.1:8080";
  gateway::AdminTlsConfig admin_tls;
  std::vector<std::string> endpoints;
  std::string kubernetes_service;
  std::string policy = "least_outstanding";
  std::string hash_key = "uri";
  std::string hedge_after = "off";
  std::string health_type = "http";
  std::string health_statuses = "200";
  std::vector<std::string> health_headers;
  std::string health_body;
  uint64_t health_fails = 2;
  uint64_t health_passes = 1;
  uint64_t in_flight_max = 0;
  uint64_t queue_size_max = 1024;
  gateway::PoolConfig pool;
  gateway::GatewayConfig gateway;  // Its scalars only.

  const std::string& file() const { return config.empty() ? nginx_conf : config; }
};

// `flags` outlives the set.
options::FlagSet MakeBalanceFlags(BalanceFlags& flags);

// Of the file, when one is given; of the flags otherwise. kInvalidArgument names the mistakes. What
// of an nginx.conf is not honoured is printed to stderr.
Result<gateway::GatewayConfig> ReadBalanceConfig(const options::FlagSet& set,
                                                 const BalanceFlags& flags);

// The file read again; kFailedPrecondition without one.
Result<gateway::GatewayConfig> ReadBalanceFile(const BalanceFlags& flags);

}  // namespace tepal::commands
