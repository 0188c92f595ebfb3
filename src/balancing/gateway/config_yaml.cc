#include "balancing/gateway/config_yaml.h"

#include <algorithm>
#include <set>
#include <utility>

#include "balancing/gateway/fleet_yaml.h"
#include "balancing/gateway/tls_yaml.h"
#include "balancing/gateway/yaml_fields.h"
#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::gateway {
namespace {

using options::YamlReader;

constexpr uint16_t kDnsPort = 53;
constexpr uint32_t kCountMax = 1'000'000;
constexpr uint64_t kBytesMax = 1ull << 40;

void ReadEndpoint(YamlReader& item, EndpointConfig& endpoint) {
  item.Require("address", "HOST:PORT, as 10.0.0.1:8000 or triton.default.svc:8000");
  std::string text;
  item.Text("address", &text);
  if (!text.empty()) {
    const Result<net::HostPort> host = net::HostPort::Parse(text, kEndpointPort);
    if (host.ok()) {
      endpoint.host = *host;
    } else {
      item.Fail("address", Concat("'", text, "'"),
                "HOST:PORT, as 10.0.0.1:8000, triton.default.svc:8000 or unix:/path");
    }
  }
  item.Int("grpc_port", &endpoint.grpc_port, 1, 65535);
  item.Text("name", &endpoint.name);
  item.Text("slot", &endpoint.slot);
  item.Int("weight", &endpoint.weight, 1, kCountMax);
  if (item.Has("in_flight_max")) {
    uint32_t most = 0;
    item.Int("in_flight_max", &most, 0, kCountMax);
    endpoint.in_flight_max = most;
  }
  item.Flag("down", &endpoint.down);
  item.Flag("resolve", &endpoint.resolve);
  item.Text("service", &endpoint.service);
  if (!endpoint.service.empty()) endpoint.resolve = true;
  if (endpoint.resolve && NumericAddress(endpoint.host).has_value()) {
    item.Fail("resolve", "a numeric address", "a name, which can be looked up");
  }
  item.Flag("backup", &endpoint.backup);
  item.Time("slow_start", &endpoint.slow_start);
}

void ReadMatch(YamlReader& section, lb::HealthMatch::Options& match) {
  std::string statuses = "200";
  section.Text("statuses", &statuses);
  if (!lb::HealthMatch::ParseStatuses(statuses, match).ok()) {
    section.Fail("statuses", Concat("'", statuses, "'"),
                 "statuses and ranges, as 200-299,304, or '!' before those that fail");
  }
  std::vector<std::string> headers;
  section.Texts("headers", &headers);
  for (const std::string& text : headers) {
    const auto header = lb::HealthMatch::ParseHeader(text);
    if (header.ok()) {
      match.headers.push_back(*header);
    } else {
      section.Fail("headers", Concat("'", text, "'"),
                   "'name', '!name', 'name = value', 'name != value', 'name ~ expression' or "
                   "'name !~ expression'");
    }
  }
  std::string body;
  section.Text("body", &body);
  lb::HealthMatch::ParseBody(body, match);
}

void ReadHealthCheck(YamlReader section, lb::HealthCheck::Options& health) {
  section.Flag("enabled", &health.enabled);
  section.Text("path", &health.path);
  if (!health.path.starts_with('/')) {
    section.Fail("path", Concat("'", health.path, "'"), "a path that begins with '/'");
  }
  using Kind = lb::HealthCheck::Kind;
  section.Choice<Kind>(
      "type", {{"http", Kind::kHttp}, {"grpc", Kind::kGrpcHealth}, {"kserve", Kind::kKserve}},
      &health.kind);
  ReadMatch(section, health.match);
  section.Text("service", &health.service);
  section.Int("grpc_status", &health.grpc_status, 0, 16);
  section.Int("port", &health.port);
  ReadTime(section, "interval", &health.interval);
  section.Time("jitter", &health.jitter);
  ReadTime(section, "interval_starting", &health.interval_starting);
  ReadTime(section, "time_max", &health.time_max);
  section.Int("fails", &health.fails, 1, 1000);
  section.Int("passes", &health.passes, 1, 1000);
}

void ReadEjection(YamlReader section, lb::Ejection::Options& ejection) {
  section.Flag("enabled", &ejection.enabled);
  section.Int("failures", &ejection.failures, 1, kCountMax);
  section.Int("errors", &ejection.errors, 1, kCountMax);
  ReadTime(section, "time_base", &ejection.time_base);
  ReadTime(section, "time_max", &ejection.time_max);
  if (ejection.time_max < ejection.time_base) {
    section.Fail("time_max", Concat("'", options::DurationText(ejection.time_max), "'"),
                 Concat("at least time_base, ", options::DurationText(ejection.time_base)));
  }
  ReadTime(section, "forgive_after", &ejection.forgive_after);
  section.Number("share_max", &ejection.share_max, 0, 1);
  section.Number("panic_share", &ejection.panic_share, 0, 1);
}

void ReadRetries(YamlReader section, lb::RetryBudget::Options& budget, TriesConfig& tries) {
  section.Number("share", &budget.share, 0, 1);
  section.Number("tokens_start", &budget.tokens_start, 0, kCountMax);
  section.Number("tokens_max", &budget.tokens_max, 0, kCountMax);
  section.Int("active_min", &budget.active_min, 0, kCountMax);
  ReadTime(section, "try_time_max", &tries.try_time_max);
  ReadTime(section, "answer_idle_max", &tries.answer_idle_max);
  ReadTime(section, "connect_time_max", &tries.connect_time_max);
  section.Int("tries_max", &tries.tries_max, 1, 100);
  ReadBytes(section, "replay_bytes_max", &tries.replay_bytes_max, 0, kBytesMax);
  ReadBytes(section, "replay_total_bytes_max", &tries.replay_total_bytes_max, 0, kBytesMax);
  if (tries.replay_total_bytes_max < tries.replay_bytes_max) {
    section.Fail("replay_total_bytes_max", Concat("'", tries.replay_total_bytes_max, "'"),
                 Concat("at least replay_bytes_max, ", tries.replay_bytes_max));
  }
  ReadBytes(section, "hold_bytes_max", &tries.hold_bytes_max, 0, kBytesMax);
}

void ReadHedging(YamlReader section, lb::Hedging::Options& hedging) {
  std::string after = "off";
  section.Text("after", &after);
  if (!ParseHedgeAfter(after, hedging)) {
    section.Fail("after", Concat("'", after, "'"), kHedgeAfterExpected);
  }
  section.Number("share", &hedging.share, 0, 1);
  section.Number("tokens_max", &hedging.tokens_max, 1, kCountMax);
}

void ReadAuth(YamlReader& pool, std::optional<AuthConfig>& auth) {
  if (!pool.Has("auth")) return;
  YamlReader section = pool.Section("auth");
  auth.emplace();
  section.Text("tokens_file", &auth->tokens_file);
  YamlReader jwt = section.Section("jwt");
  jwt.Text("keys_file", &auth->jwt_keys_file);
  jwt.Text("issuer", &auth->jwt_rules.issuer);
  jwt.Text("audience", &auth->jwt_rules.audience);
  jwt.Time("leeway", &auth->jwt_rules.leeway);
  if (auth->jwt_rules.leeway < 0ns || auth->jwt_rules.leeway > 3600s) {
    jwt.Fail("leeway", options::DurationText(auth->jwt_rules.leeway), "from 0s to 1h");
  }
  if (auth->tokens_file.empty() && auth->jwt_keys_file.empty()) {
    section.Fail("tokens_file", "neither it nor jwt.keys_file", "at least one of them");
  }
}

void ReadService(YamlReader section, discovery::KubeService& service) {
  using Family = discovery::KubeService::Family;
  section.Text("namespace", &service.name_space);
  section.Require("service", "the name of a Service");
  section.Text("service", &service.name);
  section.Text("port", &service.port);
  section.Text("grpc_port", &service.grpc_port);
  section.Choice<Family>("family",
                         {{"auto", Family::kAuto}, {"ipv4", Family::kIp4}, {"ipv6", Family::kIp6}},
                         &service.family);
  for (const auto& [key, text] :
       {std::pair("namespace", service.name_space), std::pair("service", service.name)}) {
    if (!discovery::IsKubernetesName(text)) {
      section.Fail(key, Concat("'", text, "'"), "lower case letters, digits, '-' and '.'");
    }
  }
}

void ReadHash(YamlReader section, PoolConfig& pool) {
  std::string text = "uri";
  const bool given = section.Has("key");
  section.Text("key", &text);
  const Result<lb::HashKey> key = lb::HashKey::Parse(text);
  if (!key.ok()) {
    section.Fail("key", Concat("'", text, "'"), lb::kHashKeyExpected);
  } else if (given || pool.pool.policy == lb::ChoicePolicy::kHash) {
    pool.hash_key = *key;
  }
  section.Number("bound", &pool.pool.hash_bound, 0, 1000);
  if (pool.pool.hash_bound > 0 && pool.pool.hash_bound < 1) {
    section.Fail("bound", Concat(pool.pool.hash_bound), "at least 1, or 0 for none");
  }
}

void ReadPool(YamlReader& section, PoolConfig& pool) {
  section.Choice<lb::ChoicePolicy>("policy",
                                   {{"least_outstanding", lb::ChoicePolicy::kLeastOutstanding},
                                    {"round_robin", lb::ChoicePolicy::kRoundRobin},
                                    {"power_of_two", lb::ChoicePolicy::kPowerOfTwo},
                                    {"least_time", lb::ChoicePolicy::kLeastTime},
                                    {"least_wait", lb::ChoicePolicy::kLeastWait},
                                    {"hash", lb::ChoicePolicy::kHash}},
                                   &pool.pool.policy);
  ReadHash(section.Section("hash"), pool);
  section.Int("endpoint_in_flight_max", &pool.endpoint_in_flight_max, 0, kCountMax);
  for (YamlReader& item : section.Sections("endpoints")) {
    ReadEndpoint(item, pool.endpoints.emplace_back());
  }
  section.Text("endpoints_file", &pool.endpoints_file);
  if (section.Has("kubernetes"))
    ReadService(section.Section("kubernetes"), pool.kubernetes.emplace());
  ReadHealthCheck(section.Section("health_check"), pool.pool.health);
  ReadEjection(section.Section("ejection"), pool.pool.ejection);
  ReadRetries(section.Section("retries"), pool.pool.retry_budget, pool.tries);
  ReadHedging(section.Section("hedging"), pool.pool.hedging);
  ReadClientTls(section, pool.client_tls);
  ReadServerTrust(section, "endpoint_tls", pool.endpoint_tls);
  ReadAuth(section, pool.auth);
  section.Flag("model_routing", &pool.model_routing);
  section.Flag("allow_replica_changes", &pool.tries.allow_replica_changes);
  YamlReader queue = section.Section("queue");
  queue.Int("size_max", &pool.pool.queue_size_max, 0, kCountMax);
  ReadTime(queue, "time_max", &pool.pool.queue_time_max);
}

void ReadPools(YamlReader& root, std::vector<PoolConfig>& pools) {
  root.Require("pools", "a mapping of at least one pool, as 'pools: {http: {endpoints: […]}}'");
  for (auto& [name, section] : root.NamedSections("pools")) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    });
    if (name.empty() || !plain) {
      root.Fail("pools", Concat("the name '", name, "'"), "letters, digits, '_', '-' and '.'");
    }
    pools.emplace_back().name = name;
    ReadPool(section, pools.back());
  }
  if (root.Has("pools") && pools.empty()) root.Fail("pools", "none", "at least one pool");
  if (pools.size() > kPoolsMax) {
    root.Fail("pools", Concat(pools.size()), Concat("at most ", kPoolsMax));
  }
}

void ReadListener(YamlReader& item, const GatewayConfig& config, ListenerConfig& listener) {
  item.Require("address", "HOST:PORT with a numeric host, as 0.0.0.0:80");
  ReadAddress(item, "address", &listener.address);
  if (config.pools.size() == 1) listener.pool = config.pools.front().name;
  if (config.pools.size() != 1) item.Require("pool", "the name of one of the pools");
  item.Text("pool", &listener.pool);
  if (!listener.pool.empty() && config.FindPool(listener.pool) == nullptr) {
    item.Fail("pool", Concat("'", listener.pool, "'"), "the name of one of the pools");
  }
  item.Flag("tls", &listener.tls);
  const PoolConfig* pool = config.FindPool(listener.pool);
  if (listener.tls && pool != nullptr && !pool->client_tls.has_value()) {
    item.Fail("tls", "'true'", Concat("false, or client_tls in pools.", listener.pool));
  }
}

void ReadListeners(YamlReader& root, GatewayConfig& config) {
  root.Require("listeners", "a list of addresses for clients, as '- {address: 0.0.0.0:80}'");
  std::set<std::string> addresses;
  for (YamlReader& item : root.Sections("listeners")) {
    ListenerConfig listener;
    ReadListener(item, config, listener);
    if (listener.address.port != 0 && !addresses.insert(listener.address.ToString()).second) {
      item.Fail("address", Concat("'", listener.address.ToString(), "' again"),
                "each address once");
    }
    config.listeners.push_back(std::move(listener));
  }
  if (root.Has("listeners") && config.listeners.empty()) {
    root.Fail("listeners", "none", "at least one");
  }
}

void ReadAdmin(YamlReader section, GatewayConfig& config) {
  bool enabled = true;
  section.Flag("enabled", &enabled);
  env::Address address = *config.admin;
  ReadAddress(section, "address", &address);
  section.Flag("write", &config.admin_writes);
  section.Text("tokens_file", &config.admin_tokens);
  ReadAdminTls(section, !config.admin_tokens.empty(), config.admin_tls);
  ReadFleet(section, config);
  config.admin = enabled ? std::optional(address) : std::nullopt;
}

void ReadDns(YamlReader section, DnsConfig& dns) {
  std::vector<std::string> servers;
  section.Texts("servers", &servers);
  for (const std::string& text : servers) {
    const Result<net::HostPort> host = net::HostPort::Parse(text, kDnsPort);
    const auto address = host.ok() ? NumericAddress(*host) : std::nullopt;
    if (address.has_value()) {
      dns.servers.push_back(*address);
    } else {
      section.Fail("servers", Concat("'", text, "'"), "numeric addresses, as 10.96.0.10");
    }
  }
  if (section.Has("valid")) {
    Duration valid = dns.ttl_max;
    ReadTime(section, "valid", &valid);
    dns.valid = valid;
  }
  ReadTime(section, "ttl_max", &dns.ttl_max);
  if (dns.ttl_max < 1s) section.Fail("ttl_max", options::DurationText(dns.ttl_max), "at least 1s");
  ReadTime(section, "time_max", &dns.time_max);
  section.Flag("ip6", &dns.ip6);
  section.Text("status_zone", &dns.status_zone);
}

void ReadLimits(YamlReader section, LimitsConfig& limits) {
  section.Int("connections_max", &limits.connections_max, 1, 10 * kCountMax);
  ReadBytes(section, "body_bytes_max", &limits.body_bytes_max, 1, kBytesMax);
  ReadBytes(section, "header_bytes_max", &limits.header_bytes_max, 1024, 16 << 20);
  section.Int("header_count_max", &limits.header_count_max, 1, 10'000);
  ReadTime(section, "header_time_max", &limits.header_time_max);
  ReadTime(section, "body_idle_max", &limits.body_idle_max);
  ReadTime(section, "idle_max", &limits.idle_max);
  ReadTime(section, "write_idle_max", &limits.write_idle_max);
  section.Int("streams_max", &limits.streams_max, 1, kCountMax);
}

}  // namespace

Result<GatewayConfig> ParseGatewayConfig(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const options::YamlNode tree, options::ParseYaml(text, file));
  GatewayConfig config;
  YamlReader root(tree, file);
  ReadPools(root, config.pools);
  ReadListeners(root, config);
  ReadAdmin(root.Section("admin"), config);
  ReadLimits(root.Section("limits"), config.limits);
  ReadDns(root.Section("dns"), config.dns);
  YamlReader kubernetes = root.Section("kubernetes");
  kubernetes.Text("kubeconfig", &config.kubernetes.kubeconfig);
  kubernetes.Text("context", &config.kubernetes.context);
  root.Text("access_log", &config.access_log);
  root.Int("threads", &config.threads, 0, kThreadsMax);
  ReadTime(root, "drain_time_max", &config.drain_time_max);
  root.Time("tls_reload_interval", &config.tls_reload_interval);
  RETURN_IF_ERROR(root.Finish());
  for (const PoolConfig& pool : config.pools) {
    RETURN_IF_ERROR(lb::Balancer::Validate(BalancerOptions(pool, config.limits))
                        .WithContext(Concat(file, ": pool '", pool.name, "'")));
  }
  return config;
}

Result<std::vector<EndpointConfig>> ParseEndpointsFile(std::string_view text,
                                                       const std::string& file) {
  ASSIGN_OR_RETURN(const options::YamlNode tree, options::ParseYaml(text, file));
  std::vector<EndpointConfig> endpoints;
  YamlReader root(tree, file);
  root.Require("endpoints", "a list, which may be empty");
  for (YamlReader& item : root.Sections("endpoints")) {
    ReadEndpoint(item, endpoints.emplace_back());
    const net::HostPort& host = endpoints.back().host;
    if (!host.host.empty() && !NumericAddress(host).has_value()) {
      item.Fail("address", Concat("'", host.host, "'"), "a numeric address, as 10.0.0.1:8000");
    }
  }
  RETURN_IF_ERROR(root.Finish());
  return endpoints;
}

}  // namespace tepal::gateway
