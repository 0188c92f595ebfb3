#include "apps/commands/balance_flags.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "balancing/gateway/config_yaml.h"
#include "balancing/nginx_conf/reading.h"
#include "core/base/text.h"
#include "core/options/values.h"
#include "core/options/yaml.h"
#include "core/runtime/runtime.h"

namespace tepal::commands {
namespace {

// What a file does not say.
constexpr std::array<std::string_view, 4> kBesideAFile = {"config", "nginx-conf", "check",
                                                          "verbose"};

void AddPoolFlags(options::FlagSet& set, BalanceFlags& flags) {
  lb::Dispatcher::Options& pool = flags.pool.pool;
  set.Group("Choice");
  set.Add("policy", &flags.policy, std::string(lb::kChoicePolicies));
  set.Add("hash-key", &flags.hash_key,
          Concat("what --policy hash goes by: ", lb::kHashKeyExpected));
  set.Add("hash-bound", &pool.hash_bound,
          "with --policy hash, an endpoint gets at most so many times its share of the requests in "
          "flight, as 1.25; 0: no bound");
  set.Add("endpoint-in-flight-max", &flags.in_flight_max,
          "requests at a time for each endpoint, the rest waits; 0: no limit");
  set.Add("queue-size-max", &flags.queue_size_max, "requests that may wait for an endpoint");
  set.Add("queue-time-max", &pool.queue_time_max, "how long a request may wait");
  set.Group("Health");
  set.Add("health-check", &pool.health.enabled, "check endpoints actively");
  set.Add(
      "health-type", &flags.health_type,
      "http, grpc (grpc.health.v1) or kserve (gRPC: ServerReady, or ModelReady of the service)");
  set.Add("health-path", &pool.health.path, "GET this (http)");
  set.Add("health-statuses", &flags.health_statuses,
          "these pass, as 200-299,304; \"!500-599\": all but these (http)");
  set.Add("health-header", &flags.health_headers,
          "a header must be so: \"name\", \"!name\", \"name = value\", \"name != value\", \"name ~ "
          "expression\" or \"name !~ expression\" (http)");
  set.Add("health-body", &flags.health_body,
          "the body must match this regular expression; \"!~ expression\": must not (http)");
  set.Add("health-service", &pool.health.service,
          "service (grpc) or model (kserve) to ask about; the whole server without it");
  set.Add("health-grpc-status", &pool.health.grpc_status,
          "passes as well; 12: servers without that service are healthy");
  set.Add("health-port", &pool.health.port, "ask there; 0: the endpoint's own port");
  set.Add("health-interval", &pool.health.interval, "from one check to the next");
  set.Add("health-jitter", &pool.health.jitter, "and up to that much longer, at random");
  set.Add("health-fails", &flags.health_fails, "checks in a row that fail, until no more requests");
  set.Add("health-passes", &flags.health_passes, "checks in a row that pass, until requests again");
  set.Add("health-time-max", &pool.health.time_max, "a check without answer fails then");
  set.Add("ejection", &pool.ejection.enabled,
          "leave endpoints out for a while whose requests fail");
  set.Group("Retries (docs/retries.md)");
  set.Add("try-time-max", &flags.pool.tries.try_time_max,
          "how long one endpoint may take to begin its answer");
  set.Add("answer-idle-max", &flags.pool.tries.answer_idle_max,
          "how long it may be quiet within its answer; streaming gRPC calls: as long as it likes");
  set.Add("hedge-after", &flags.hedge_after,
          Concat("an inference without an answer by then is sent to a second endpoint as well: ",
                 gateway::kHedgeAfterExpected));
  set.Add("hedge-share", &pool.hedging.share, "of the inferences may be sent twice");
  set.Add("allow-replica-changes", &flags.pool.tries.allow_replica_changes,
          "pass on requests that change one replica of many (load, unload, shared memory)");
}

void AddTlsFlags(options::FlagSet& set, BalanceFlags& flags) {
  set.Group("TLS (certificates are loaded again when they change, and on SIGHUP)");
  set.Add("listen-tls", &flags.listen_tls, "address for clients that speak TLS");
  set.Add("tls-cert", &flags.client_tls.certificate_chain, "certificate chain for --listen-tls");
  set.Add("tls-key", &flags.client_tls.key, "its key");
  set.Add("tls-client-ca", &flags.client_tls.client_ca,
          "clients must show a certificate that this one has signed");
  set.Add("endpoint-tls", &flags.endpoint_tls_on, "speak TLS to the endpoints");
  set.Add("endpoint-tls-ca", &flags.endpoint_tls.ca,
          "trust the certificates that this one has signed; the system's without it");
  set.Add("endpoint-tls-verify", &flags.endpoint_tls.verify_server,
          "false: take any certificate of an endpoint");
  set.Add("endpoint-tls-name", &flags.endpoint_tls.server_name,
          "the name in the endpoints' certificates, sent as SNI; their address without it");
  set.Add("endpoint-tls-cert", &flags.endpoint_tls.certificate_chain,
          "certificate that is shown to the endpoints");
  set.Add("endpoint-tls-key", &flags.endpoint_tls.key, "its key");
  set.Add("tls-reload-interval", &flags.gateway.tls_reload_interval,
          "how often to look whether certificates have changed; 0: on SIGHUP only");
}

void AddAdminFlags(options::FlagSet& set, BalanceFlags& flags) {
  set.Group("Who may use the admin server; without any of them whoever reaches it");
  set.Add(
      "admin-tokens", &flags.gateway.admin_tokens,
      "a file with lines of \"NAME ROLE TOKEN\", ROLE read or write; read again when it changes");
  set.Add("admin-tls-cert", &flags.admin_tls.files.certificate_chain,
          "certificate chain: the admin server speaks TLS");
  set.Add("admin-tls-key", &flags.admin_tls.files.key, "its key");
  set.Add("admin-tls-client-ca", &flags.admin_tls.files.client_ca,
          "clients must show a certificate that this one has signed");
  set.Add("admin-tls-client-required", &flags.admin_tls.files.client_required,
          "false: a client without a certificate is let in, and must have a token");
  set.Add("admin-tls-writer", &flags.admin_tls.roles.writers,
          "may change things: a name in a client's certificate (CN or SAN), \"*\" for any");
  set.Add("admin-tls-reader", &flags.admin_tls.roles.readers, "may read: the same");
}

Status TakeAdminTls(const options::FlagSet& set, const BalanceFlags& flags,
                    gateway::GatewayConfig& config) {
  const net::TlsSource::ServerFiles& files = flags.admin_tls.files;
  const bool given = !files.certificate_chain.empty() && !files.key.empty();
  if (files.certificate_chain.empty() != files.key.empty()) {
    return InvalidArgument("--admin-tls-cert and --admin-tls-key: expected both or none");
  }
  if (!given && !files.client_ca.empty()) {
    return InvalidArgument("--admin-tls-client-ca needs --admin-tls-cert and --admin-tls-key");
  }
  const bool asks = !files.client_ca.empty();
  for (const char* name : {"admin-tls-client-required", "admin-tls-writer", "admin-tls-reader"}) {
    if (set.given(name) && !asks) {
      return InvalidArgument(Concat("--", name, " needs --admin-tls-client-ca"));
    }
  }
  if (asks && flags.admin_tls.roles.empty() && config.admin_tokens.empty()) {
    return InvalidArgument(
        "--admin-tls-client-ca: nobody has a role; expected --admin-tls-writer, "
        "--admin-tls-reader or --admin-tokens");
  }
  if (given) config.admin_tls = flags.admin_tls;
  return {};
}

Status TakeTls(const BalanceFlags& flags, gateway::PoolConfig& pool) {
  const bool has_certificate =
      !flags.client_tls.certificate_chain.empty() && !flags.client_tls.key.empty();
  if (!flags.listen_tls.empty() && !has_certificate) {
    return InvalidArgument("--listen-tls needs --tls-cert and --tls-key");
  }
  if (!flags.listen_tls.empty()) pool.client_tls = flags.client_tls;
  const net::TlsSource::ClientFiles& endpoint = flags.endpoint_tls;
  if (!flags.endpoint_tls_on &&
      !Concat(endpoint.ca, endpoint.server_name, endpoint.certificate_chain, endpoint.key)
           .empty()) {
    return InvalidArgument("--endpoint-tls-... is of no use without --endpoint-tls");
  }
  if (flags.endpoint_tls_on) pool.endpoint_tls = endpoint;
  return {};
}

Status ReadEndpointOption(std::string_view option, gateway::EndpointConfig& endpoint) {
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (name == "name") {
    endpoint.name = value;
    return {};
  }
  if (name == "grpc") {
    endpoint.grpc_port = ParseNumber<uint16_t>(value).value_or(0);
    if (endpoint.grpc_port > 0) return {};
    return InvalidArgument(Concat("'", option, "', expected grpc=PORT (1 to 65535)"));
  }
  if (option == "backup") {
    endpoint.backup = true;
    return {};
  }
  if (name == "slow-start") {
    const auto time = options::ParseDuration(value);
    if (!time.has_value()) {
      return InvalidArgument(Concat("'", option, "', expected ", options::kDurationExpected));
    }
    endpoint.slow_start = *time;
    return {};
  }
  const auto number = ParseNumber<uint32_t>(value);
  if (name == "weight" && number.value_or(0) > 0) {
    endpoint.weight = *number;
  } else if (name == "max" && number.has_value()) {
    endpoint.in_flight_max = *number;
  } else {
    return InvalidArgument(Concat("'", option,
                                  "', expected grpc=PORT, weight=N (from 1), max=N, name=TEXT, "
                                  "slow-start=TIME or backup"));
  }
  return {};
}

Result<gateway::EndpointConfig> ReadEndpoint(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, ',');
  gateway::EndpointConfig endpoint;
  for (size_t i = 1; i < parts.size(); ++i) RETURN_IF_ERROR(ReadEndpointOption(parts[i], endpoint));
  ASSIGN_OR_RETURN(endpoint.host, net::HostPort::Parse(parts[0], gateway::kEndpointPort));
  return endpoint;
}

Status TakeHealth(const BalanceFlags& flags, lb::HealthCheck::Options& health) {
  using Kind = lb::HealthCheck::Kind;
  if (flags.health_type == "grpc") {
    health.kind = Kind::kGrpcHealth;
  } else if (flags.health_type == "kserve") {
    health.kind = Kind::kKserve;
  } else if (flags.health_type != "http") {
    return InvalidArgument(
        Concat("--health-type is '", flags.health_type, "', expected http, grpc or kserve"));
  }
  RETURN_IF_ERROR(lb::HealthMatch::ParseStatuses(flags.health_statuses, health.match)
                      .WithContext("--health-statuses"));
  for (const std::string& text : flags.health_headers) {
    auto header = lb::HealthMatch::ParseHeader(text).WithContext("--health-header");
    if (!header.ok()) return header.status();
    health.match.headers.push_back(*std::move(header));
  }
  lb::HealthMatch::ParseBody(flags.health_body, health.match);
  constexpr uint64_t kMost = 1000;
  if (flags.health_fails > kMost || flags.health_passes > kMost) {
    return InvalidArgument(Concat("--health-fails and --health-passes: expected 1 to ", kMost));
  }
  health.fails = static_cast<uint32_t>(flags.health_fails);
  health.passes = static_cast<uint32_t>(flags.health_passes);
  return {};
}

// "[NAMESPACE/]NAME[:PORT[,grpc=PORT]]"
Status TakeService(const BalanceFlags& flags, gateway::PoolConfig& pool) {
  std::string_view text = flags.kubernetes_service;
  if (text.empty()) return {};
  discovery::KubeService service;
  const std::vector<std::string_view> parts = Split(text, ',');
  text = parts[0];
  constexpr std::string_view kGrpc = "grpc=";
  if (parts.size() == 2 && parts[1].starts_with(kGrpc)) {
    service.grpc_port = parts[1].substr(kGrpc.size());
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    service.port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    service.name_space = text.substr(0, slash);
    text = text.substr(slash + 1);
  }
  service.name = text;
  const bool right = parts.size() <= 2 && (parts.size() == 1) == service.grpc_port.empty() &&
                     !service.name.empty() && discovery::IsKubernetesName(service.name) &&
                     discovery::IsKubernetesName(service.name_space);
  if (!right) {
    return InvalidArgument(Concat("--kubernetes-service is '", flags.kubernetes_service,
                                  "', expected [NAMESPACE/]NAME[:PORT][,grpc=PORT]"));
  }
  pool.kubernetes = std::move(service);
  return {};
}

Result<gateway::GatewayConfig> FromFlags(const options::FlagSet& set, const BalanceFlags& flags) {
  gateway::GatewayConfig config = flags.gateway;
  gateway::PoolConfig pool = flags.pool;
  ASSIGN_OR_RETURN(pool.pool.policy, lb::ParseChoicePolicy(flags.policy));
  RETURN_IF_ERROR(TakeHealth(flags, pool.pool.health));
  if (pool.pool.policy == lb::ChoicePolicy::kHash) {
    ASSIGN_OR_RETURN(pool.hash_key, lb::HashKey::Parse(flags.hash_key).WithContext("--hash-key"));
  }
  if (!gateway::ParseHedgeAfter(flags.hedge_after, pool.pool.hedging)) {
    return InvalidArgument(Concat("--hedge-after is '", flags.hedge_after, "', expected ",
                                  gateway::kHedgeAfterExpected));
  }
  if (flags.in_flight_max > UINT32_MAX || flags.queue_size_max > UINT32_MAX) {
    return InvalidArgument(Concat("the largest count is ", UINT32_MAX));
  }
  if (config.threads < 0 || config.threads > gateway::kThreadsMax) {
    return InvalidArgument(
        Concat("--threads is ", config.threads, ", expected 0 to ", gateway::kThreadsMax));
  }
  pool.endpoint_in_flight_max = static_cast<uint32_t>(flags.in_flight_max);
  pool.pool.queue_size_max = static_cast<uint32_t>(flags.queue_size_max);
  for (const std::string& text : flags.endpoints) {
    auto endpoint = ReadEndpoint(text).WithContext(Concat("--endpoint ", text));
    if (!endpoint.ok()) return endpoint.status();
    pool.endpoints.push_back(*std::move(endpoint));
  }
  RETURN_IF_ERROR(TakeTls(flags, pool));
  RETURN_IF_ERROR(TakeService(flags, pool));
  std::vector<std::string> listen = flags.listen;
  if (listen.empty() && flags.listen_tls.empty()) listen = {"0.0.0.0:80"};
  for (const std::string& text : listen) {
    ASSIGN_OR_RETURN(const env::Address address, env::Address::Parse(text));
    config.listeners.push_back({address, pool.name, false});
  }
  for (const std::string& text : flags.listen_tls) {
    ASSIGN_OR_RETURN(const env::Address address, env::Address::Parse(text));
    config.listeners.push_back({address, pool.name, true});
  }
  config.admin.reset();
  if (flags.admin != "none") {
    ASSIGN_OR_RETURN(config.admin, env::Address::Parse(flags.admin));
  }
  RETURN_IF_ERROR(TakeAdminTls(set, flags, config));
  RETURN_IF_ERROR(lb::Balancer::Validate(gateway::BalancerOptions(pool, config.limits)));
  config.pools.push_back(std::move(pool));
  return config;
}

}  // namespace

options::FlagSet MakeBalanceFlags(BalanceFlags& flags) {
  flags.pool.name = "tepal";
  options::FlagSet set(
      "tepal balance --config FILE | --nginx-conf FILE | --endpoint HOST:PORT [FLAGS]",
      "Spreads requests over servers that come and go, so that no client "
      "notices. A dashboard is on the admin address.");
  set.Add("config", &flags.config,
          "a YAML file that says all of it (docs/balancer.md), read again on SIGHUP and by POST "
          "/api/tepal/reload");
  set.Add("nginx-conf", &flags.nginx_conf,
          "an nginx.conf instead, read as it is; what is not honoured is named with its line");
  set.Add("check", &flags.check, "read the configuration, say what is wrong with it, and end");
  set.Group("Without a file: one pool");
  set.Add("listen", &flags.listen,
          "address for clients (default 0.0.0.0:80); HTTP/1.1, HTTP/2 and gRPC share each");
  set.Add(
      "admin", &flags.admin,
      "address of the dashboard, the admin API and /metrics; \"none\" for none. Whoever reaches "
      "it may change the endpoints");
  set.Add("endpoint", &flags.endpoints,
          "a server, as HOST:PORT[,grpc=PORT][,weight=N][,max=N][,name=TEXT][,slow-start=TIME]"
          "[,backup]; every address of a name is one. gRPC calls go to the port grpc, or to PORT. "
          "More can be added through the admin API");
  set.Add(
      "kubernetes-service", &flags.kubernetes_service,
      "the endpoints of a Service of Kubernetes, watched, as [NAMESPACE/]NAME[:PORT][,grpc=PORT]; "
      "a port is a name or a number, the first one when left out");
  set.Add("kubeconfig", &flags.gateway.kubernetes.kubeconfig,
          "how to reach Kubernetes; in a pod it is not needed");
  set.Add("upstream", &flags.pool.name, "the pool's name in the admin API");
  set.Add("threads", &flags.gateway.threads, "event loops; 0: one for each core, at most 8");
  AddPoolFlags(set, flags);
  AddTlsFlags(set, flags);
  AddAdminFlags(set, flags);
  set.Group("Process");
  set.Add("access-log", &flags.gateway.access_log,
          "a line of JSON for each request: off, stdout or a file, opened again on SIGUSR1");
  set.Add("drain-time-max", &flags.gateway.drain_time_max,
          "how long requests in progress have at a stop");
  set.Add("verbose", &flags.verbose, "log every retry");
  set.Example("tepal balance --listen 0.0.0.0:80 --endpoint 10.0.0.1:8000 --endpoint 10.0.0.2:8000",
              "two servers behind port 80; the dashboard is on http://127.0.0.1:8080/");
  set.Example("tepal balance --listen 127.0.0.1:9000 --endpoint tritons.default.svc:8000",
              "every server that the name stands for");
  set.Example("tepal balance --config balance.yaml --check", "whether the file is right");
  set.Example("tepal balance --nginx-conf nginx.conf --check",
              "what would be done with it, and what not");
  return set;
}

Result<gateway::GatewayConfig> ReadBalanceFile(const BalanceFlags& flags) {
  if (flags.file().empty()) return FailedPrecondition("there is no configuration file (--config)");
  ASSIGN_OR_RETURN(const std::string text,
                   runtime::SystemFileSystem().Read(flags.file(), options::kYamlBytesMax));
  if (!flags.config.empty()) return gateway::ParseGatewayConfig(text, flags.config);
  ASSIGN_OR_RETURN(nginx_conf::Reading reading, nginx_conf::ReadNginxConf(text, flags.nginx_conf));
  for (const nginx_conf::Note& note : reading.notes) {
    std::fprintf(stderr, "%s\n", nginx_conf::NoteText(flags.nginx_conf, note).c_str());
  }
  return std::move(reading.config);
}

Result<gateway::GatewayConfig> ReadBalanceConfig(const options::FlagSet& set,
                                                 const BalanceFlags& flags) {
  if (flags.file().empty()) return FromFlags(set, flags);
  if (!flags.config.empty() && !flags.nginx_conf.empty()) {
    return InvalidArgument("--config and --nginx-conf: expected one of the two");
  }
  for (const auto& flag : set.Flags()) {
    const bool beside =
        std::find(kBesideAFile.begin(), kBesideAFile.end(), flag.name) != kBesideAFile.end();
    if (set.given(flag.name) && !beside) {
      return InvalidArgument(Concat("--", flag.name,
                                    " cannot be given with a configuration file, "
                                    "which says it"));
    }
  }
  return ReadBalanceFile(flags);
}

}  // namespace tepal::commands
