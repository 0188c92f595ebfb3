// What `tepal balance` runs, as a struct: made from a YAML file (config_yaml.h) or from flags.
//
// Only what a person writes is here. Names are not looked up and files are not opened yet.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "balancing/discovery/endpoint_slices.h"
#include "balancing/load_balancer/balancer.h"
#include "core/env/network.h"
#include "network/net/resolver.h"
#include "network/net/tls.h"

namespace tepal::gateway {

inline constexpr uint16_t kEndpointPort = 8000;  // Of an endpoint that names none.
inline constexpr int kThreadsMax = 64;
inline constexpr size_t kPoolsMax = 256;

struct ListenerConfig {
  env::Address address;
  std::string pool;
  bool tls = false;  // With the pool's client_tls.
  bool operator==(const ListenerConfig&) const = default;
};

// A name stands for each of its addresses.
struct EndpointConfig {
  net::HostPort host;
  uint16_t grpc_port = 0;  // Where gRPC calls go; 0: to the port of `host`.
  std::string name;
  std::string slot;
  uint32_t weight = 1;
  std::optional<uint32_t> in_flight_max;  // Absent: the pool's.
  bool down = false;
  bool backup = false;    // Used only while no other endpoint is.
  Duration slow_start{};  // How long it counts for less after it has (re)joined.
  bool resolve = false;   // Looked up again and again; false: when the configuration is read.
  std::string service;    // With `resolve`: by the SRV records of this service.
};

// How a request is tried; each is documented in load_balancer/proxy_handler.h.
struct TriesConfig {
  Duration try_time_max = 30s;
  Duration answer_idle_max = 60s;
  Duration connect_time_max = 5s;
  uint32_t tries_max = lb::kTriesMax;
  uint64_t replay_bytes_max = 1u << 20;
  uint64_t replay_total_bytes_max = 256u << 20;
  uint64_t hold_bytes_max = 1u << 20;
  bool allow_replica_changes = false;
};

// Who may use a pool; one of the files at least.
struct AuthConfig {
  std::string tokens_file;    // Lines of "NAME TOKEN".
  std::string jwt_keys_file;  // A JWK set.
  lb::JwtRules jwt_rules;
  bool operator==(const AuthConfig&) const = default;
};

// Of the admin server.
struct AdminTlsConfig {
  net::TlsSource::ServerFiles files;
  lb::CertificateRoles roles;  // Of clients' certificates, with files.client_ca.
};

struct PoolConfig {
  std::string name;
  std::vector<EndpointConfig> endpoints;
  std::string endpoints_file;                        // Watched; more endpoints.
  std::optional<discovery::KubeService> kubernetes;  // Those of a Service, too.
  uint32_t endpoint_in_flight_max = 0;
  lb::Dispatcher::Options pool;
  std::optional<lb::HashKey> hash_key;  // With policy hash.
  bool model_routing = true;            // Endpoints are asked which models they have ready.
  TriesConfig tries;
  std::optional<AuthConfig> auth;                           // Absent: everybody may.
  std::optional<net::TlsSource::ServerFiles> client_tls;    // For listeners with TLS.
  std::optional<net::TlsSource::ClientFiles> endpoint_tls;  // Given: endpoints speak TLS.
};

// Of clients' connections; see network/http/session.h and docs/limits.md.
struct LimitsConfig {
  uint32_t connections_max = 65536;
  uint64_t body_bytes_max = 2ull << 30;
  uint64_t header_bytes_max = 64 * 1024;
  uint32_t header_count_max = 100;
  Duration header_time_max = 10s;
  Duration body_idle_max = 30s;
  Duration idle_max = 75s;
  Duration write_idle_max = 60s;
  uint32_t streams_max = 1024;
};

// How names are looked up again.
struct DnsConfig {
  std::vector<env::Address> servers;  // Empty: those of resolv.conf.
  std::optional<Duration> valid;      // Given: instead of what the records say.
  Duration ttl_max = 5s;
  Duration time_max = 2s;
  bool ip6 = true;                  // Ask for IPv6 addresses, too.
  std::string status_zone = "dns";  // Its name in the admin API.
  bool operator==(const DnsConfig&) const = default;
};

// The API server that Services are asked of.
struct KubeConfig {
  std::string kubeconfig;  // A file; empty: as a pod finds it.
  std::string context;     // Empty: the file's current one.
  bool operator==(const KubeConfig&) const = default;
};

// Another balancer's admin server; a name stands for each of its addresses.
struct FleetAddress {
  net::HostPort host;
  bool tls = false;
  std::string ToString() const;  // "https://HOST:PORT".
  bool operator==(const FleetAddress& other) const { return ToString() == other.ToString(); }
};
inline constexpr uint16_t kAdminPort = 8080;  // Of one that names none.

struct GatewayConfig {
  std::vector<ListenerConfig> listeners;
  std::vector<PoolConfig> pools;
  std::optional<env::Address> admin = env::Address{env::Address::Family::kIp4, "127.0.0.1", 8080};
  std::string admin_tokens;  // The file of them (admin_access.h); empty: everybody may.
  bool admin_writes = true;  // Whether the admin API may change anything.
  std::optional<AdminTlsConfig> admin_tls;
  std::vector<FleetAddress> fleet;  // Shown beside this balancer.
  // For https://; absent: any the system trusts.
  std::optional<net::TlsSource::ClientFiles> fleet_tls;
  LimitsConfig limits;
  DnsConfig dns;
  KubeConfig kubernetes;
  std::string access_log = "off";  // Or "stdout", or a file.
  int threads = 0;                 // Event loops; 0: one for each core, at most 8.
  Duration drain_time_max = 30s;
  Duration tls_reload_interval = 10s;  // Looks whether certificates changed; 0: on SIGHUP only.

  const PoolConfig* FindPool(std::string_view name) const {
    for (const PoolConfig& pool : pools) {
      if (pool.name == name) return &pool;
    }
    return nullptr;
  }
};

// The address that a host says without a look-up.
std::optional<env::Address> NumericAddress(const net::HostPort& host);

// When a request is sent a second time, as it is written: "off", "p95" or "50ms".
inline constexpr std::string_view kHedgeAfterExpected =
    "off, a percentile from p50 to p99.9, or a time above 0 as 50ms";
// False when it is none of those.
bool ParseHedgeAfter(std::string_view text, lb::Hedging::Options& hedging);

// What the balancer of one pool is made with, but for TLS.
lb::Balancer::Options BalancerOptions(const PoolConfig& pool, const LimitsConfig& limits);

}  // namespace tepal::gateway
