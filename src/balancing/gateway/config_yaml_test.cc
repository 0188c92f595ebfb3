#include "balancing/gateway/config_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/testing/repository_file.h"
#include "core/base/text.h"

namespace tepal::gateway {
namespace {

using testing::HasSubstr;

constexpr char kShortest[] = R"(
listeners: [{address: "0.0.0.0:80"}]
pools:
  http:
    endpoints: [{address: "10.0.0.1:8000"}]
)";

std::string ErrorOf(std::string_view text) {
  return ParseGatewayConfig(text, "balance.yaml").status().message();
}

TEST(GatewayConfigTest, TheShortestFileHasTheDefaults) {
  const auto config = ParseGatewayConfig(kShortest, "balance.yaml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->listeners.size(), 1u);
  EXPECT_EQ(config->listeners[0].pool, "http");  // The only one.
  EXPECT_EQ(config->admin->ToString(), "127.0.0.1:8080");
  const PoolConfig& pool = config->pools.at(0);
  EXPECT_EQ(pool.endpoints.at(0).host.host, "10.0.0.1");
  EXPECT_EQ(pool.endpoints.at(0).weight, 1u);
  EXPECT_EQ(pool.pool.health.path, "/v2/health/ready");
  EXPECT_EQ(pool.pool.queue_size_max, 1024u);
}

TEST(GatewayConfigTest, EveryFieldIsRead) {
  const auto config = ParseGatewayConfig(R"(
listeners:
  - {address: "0.0.0.0:80", pool: http}
  - {address: "[::1]:81", pool: spare, tls: true}
pools:
  http:
    policy: round_robin
    endpoint_in_flight_max: 8
    endpoints:
      - {address: "triton.default.svc", name: a, slot: "MIG 1g", weight: 3, in_flight_max: 2, down: true,
         backup: true, slow_start: 30s}
      - {address: "10.0.0.2:9000", grpc_port: 9001}
      - {address: "svc:1", resolve: true}
      - {address: "svc", service: http}
    endpoints_file: more.yaml
    kubernetes: {namespace: ml, service: triton, port: http, grpc_port: '8001', family: ipv6}
    health_check: {enabled: false, path: /ready, interval: 2s, interval_starting: 50ms, time_max: 1s,
                   fails: 3, passes: 2, jitter: 3s, statuses: '!500-599', body: '!~ down',
                   headers: [server, '!x-old', 'a = b']}
    hash: {key: 'header:X-User+model', bound: 1.25}
    auth: {tokens_file: users, jwt: {keys_file: jwks.json, issuer: i, audience: a, leeway: 5s}}
    ejection: {enabled: false, failures: 4, errors: 6, time_base: 1s, time_max: 10s, forgive_after: 20s,
               share_max: 0.25, panic_share: 0.75}
    retries: {share: 0.1, tokens_start: 5, tokens_max: 50, active_min: 1, try_time_max: 3s, tries_max: 2, answer_idle_max: 8s,
              replay_bytes_max: 2MiB, replay_total_bytes_max: 64MiB, hold_bytes_max: 3MiB}
    hedging: {after: p99.5, share: 0.02, tokens_max: 9}
    allow_replica_changes: true
    model_routing: false
    queue: {size_max: 7, time_max: 4s}
  spare:
    client_tls: {certificate: c.pem, key: k.pem, client_ca: a.pem}
    endpoint_tls: {ca: ea.pem, verify: false, name: n, certificate: ec.pem, key: ek.pem}
admin: {address: "127.0.0.1:9090", write: false, tokens_file: t}
limits: {connections_max: 10, body_bytes_max: 1GiB, header_bytes_max: 8KiB, header_count_max: 50,
         header_time_max: 1s, body_idle_max: 2s, idle_max: 3s, write_idle_max: 4s, streams_max: 5}
threads: 2
drain_time_max: 5s
dns: {servers: [10.96.0.10, "[::1]:54"], valid: 7s, ttl_max: 9s, time_max: 1s, ip6: false, status_zone: z}
tls_reload_interval: 1s
kubernetes: {kubeconfig: kube.yaml, context: c}
)",
                                         "balance.yaml");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const PoolConfig& pool = config->pools.at(0);
  EXPECT_EQ(pool.pool.policy, lb::ChoicePolicy::kRoundRobin);
  EXPECT_EQ(pool.endpoint_in_flight_max, 8u);
  const EndpointConfig& endpoint = pool.endpoints.at(0);
  EXPECT_EQ(endpoint.host.port, 8000);
  EXPECT_EQ(endpoint.name, "a");
  EXPECT_EQ(endpoint.slot, "MIG 1g");
  EXPECT_EQ(endpoint.weight, 3u);
  EXPECT_EQ(endpoint.in_flight_max, 2u);
  EXPECT_TRUE(endpoint.down);
  EXPECT_TRUE(endpoint.backup);
  EXPECT_EQ(endpoint.slow_start, 30s);
  EXPECT_FALSE(pool.endpoints.at(1).in_flight_max.has_value());
  const lb::HealthCheck::Options& health = pool.pool.health;
  EXPECT_FALSE(health.enabled);
  EXPECT_EQ(health.path, "/ready");
  EXPECT_EQ(health.interval, 2s);
  EXPECT_EQ(health.interval_starting, 50ms);
  EXPECT_EQ(health.time_max, 1s);
  EXPECT_EQ(health.fails, 3u);
  EXPECT_EQ(health.passes, 2u);
  EXPECT_EQ(health.jitter, 3s);
  EXPECT_TRUE(health.match.other_statuses);
  EXPECT_EQ(health.match.body, "down");
  EXPECT_TRUE(health.match.body_differs);
  ASSERT_EQ(health.match.headers.size(), 3u);
  EXPECT_EQ(health.match.headers[2].value, "b");
  ASSERT_TRUE(pool.hash_key.has_value());
  EXPECT_EQ(pool.hash_key->parts().size(), 2u);
  EXPECT_EQ(pool.pool.hash_bound, 1.25);
  ASSERT_TRUE(pool.auth.has_value());
  EXPECT_EQ(pool.auth->tokens_file, "users");
  EXPECT_EQ(pool.auth->jwt_keys_file, "jwks.json");
  EXPECT_EQ(pool.auth->jwt_rules.issuer, "i");
  EXPECT_EQ(pool.auth->jwt_rules.audience, "a");
  EXPECT_EQ(pool.auth->jwt_rules.leeway, 5s);
  const lb::Ejection::Options& ejection = pool.pool.ejection;
  EXPECT_FALSE(ejection.enabled);
  EXPECT_EQ(ejection.failures, 4u);
  EXPECT_EQ(ejection.errors, 6u);
  EXPECT_EQ(ejection.time_base, 1s);
  EXPECT_EQ(ejection.time_max, 10s);
  EXPECT_EQ(ejection.forgive_after, 20s);
  EXPECT_EQ(ejection.share_max, 0.25);
  EXPECT_EQ(ejection.panic_share, 0.75);
  const lb::RetryBudget::Options& budget = pool.pool.retry_budget;
  EXPECT_EQ(budget.share, 0.1);
  EXPECT_EQ(budget.tokens_start, 5);
  EXPECT_EQ(budget.tokens_max, 50);
  EXPECT_EQ(budget.active_min, 1u);
  EXPECT_EQ(pool.pool.hedging.quantile, 0.995);
  EXPECT_EQ(pool.pool.hedging.after, 0s);
  EXPECT_EQ(pool.pool.hedging.share, 0.02);
  EXPECT_EQ(pool.pool.hedging.tokens_max, 9);
  EXPECT_FALSE(config->pools.at(1).pool.hedging.on());
  EXPECT_EQ(pool.pool.queue_size_max, 7u);
  EXPECT_EQ(pool.pool.queue_time_max, 4s);
  EXPECT_EQ(config->admin->port, 9090);
  EXPECT_FALSE(config->admin_writes);
  EXPECT_EQ(config->admin_tokens, "t");
  EXPECT_EQ(pool.endpoints.at(1).grpc_port, 9001);
  EXPECT_FALSE(pool.client_tls.has_value());
  EXPECT_TRUE(config->listeners.at(1).tls);
  EXPECT_EQ(config->pools.at(1).client_tls->certificate_chain, "c.pem");
  EXPECT_EQ(config->pools.at(1).client_tls->key, "k.pem");
  EXPECT_EQ(config->pools.at(1).client_tls->client_ca, "a.pem");
  const net::TlsSource::ClientFiles& tls = *config->pools.at(1).endpoint_tls;
  EXPECT_EQ(Concat(tls.ca, tls.server_name, tls.certificate_chain, tls.key), "ea.pemnec.pemek.pem");
  EXPECT_FALSE(tls.verify_server);
  EXPECT_EQ(config->tls_reload_interval, 1s);
  EXPECT_FALSE(pool.endpoints.at(1).resolve);
  EXPECT_TRUE(pool.endpoints.at(2).resolve);
  EXPECT_TRUE(pool.endpoints.at(3).resolve);
  EXPECT_EQ(pool.endpoints.at(3).service, "http");
  EXPECT_EQ(pool.endpoints_file, "more.yaml");
  EXPECT_EQ(config->dns.servers.at(0).ToString(), "10.96.0.10:53");
  EXPECT_EQ(config->dns.servers.at(1).ToString(), "[::1]:54");
  EXPECT_EQ(config->dns.valid, 7s);
  EXPECT_EQ(config->dns.ttl_max, 9s);
  EXPECT_EQ(config->dns.time_max, 1s);
  EXPECT_FALSE(config->dns.ip6);
  EXPECT_EQ(config->dns.status_zone, "z");
  EXPECT_EQ(config->threads, 2);
  ASSERT_TRUE(pool.kubernetes.has_value());
  EXPECT_EQ(Concat(pool.kubernetes->name_space, " ", pool.kubernetes->name, " ",
                   pool.kubernetes->port, " ", pool.kubernetes->grpc_port),
            "ml triton http 8001");
  EXPECT_EQ(pool.kubernetes->family, discovery::KubeService::Family::kIp6);
  EXPECT_EQ(config->kubernetes.kubeconfig, "kube.yaml");
  EXPECT_EQ(config->kubernetes.context, "c");
  EXPECT_EQ(config->drain_time_max, 5s);

  const lb::Balancer::Options options = BalancerOptions(pool, config->limits);
  EXPECT_EQ(options.upstream, "http");
  EXPECT_FALSE(options.model_routing);
  EXPECT_TRUE(config->pools.at(1).model_routing);
  EXPECT_EQ(options.proxy.try_time_max, 3s);
  EXPECT_EQ(options.proxy.answer_idle_max, 8s);
  EXPECT_EQ(options.proxy.tries_max, 2u);
  EXPECT_EQ(options.proxy.replay_bytes_max, 2u << 20);
  EXPECT_EQ(options.proxy.replay_total_bytes_max, 64u << 20);
  EXPECT_EQ(options.proxy.hold_bytes_max, 3u << 20);
  EXPECT_TRUE(options.proxy.allow_changes);
  EXPECT_EQ(options.connections_max, 10u);
  EXPECT_EQ(options.limits.body_bytes_max, 1u << 30);
  EXPECT_EQ(options.limits.header_bytes_max, 8u << 10);
  EXPECT_EQ(options.limits.header_count_max, 50u);
  EXPECT_EQ(options.limits.header_time_max, 1s);
  EXPECT_EQ(options.limits.body_idle_max, 2s);
  EXPECT_EQ(options.limits.idle_max, 3s);
  EXPECT_EQ(options.limits.write_idle_max, 4s);
  EXPECT_EQ(options.limits.streams_max, 5u);
}

TEST(GatewayConfigTest, EveryMistakeIsNamedWithItsLine) {
  const std::string error = ErrorOf(R"(listeners:
  - {address: "localhost:80", pool: htp}
  - {address: "0.0.0.0:81", pool: http, tls: true}
  - {address: "0.0.0.0:81", pool: http}
pools:
  http:
    polcy: round_robin
    endpoints:
      - {address: "10.0.0.1:x"}
      - {weight: 0}
      - {address: "10.0.0.1:1", resolve: true}
    health_check: {path: ready, interval: 0s}
    ejection: {time_base: 5s, time_max: 1s}
    retries: {tries_max: 0, replay_bytes_max: 8MiB, replay_total_bytes_max: 1MiB}
    hedging: {after: p100, tokens_max: 0}
  grpc: {kubernetes: {namespace: A}, auth: {}}
threads: -1
)");
  EXPECT_THAT(error, HasSubstr("balance.yaml:2: field 'listeners[0].address': got 'localhost:80'"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:2: field 'listeners[0].pool': got 'htp', expected "
                               "the name of one of the pools"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:3: field 'listeners[1].tls': got 'true', expected "
                               "false, or client_tls in pools.http"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:4: field 'listeners[2].address': got '0.0.0.0:81' "
                               "again, expected each address once"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:7: unknown field 'pools.http.polcy'; did you mean "
                               "'policy'?"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:9: field 'pools.http.endpoints[0].address': got "
                               "'10.0.0.1:x'"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:10: field 'pools.http.endpoints[1].weight': got '0'"));
  EXPECT_THAT(error, HasSubstr("pools.http.endpoints[1].address"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:11: field 'pools.http.endpoints[2].resolve'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.health_check.path': got 'ready'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.health_check.interval': got '0s'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.ejection.time_max': got '1s', expected at least "
                               "time_base, 5s"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.retries.tries_max': got '0'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.retries.replay_total_bytes_max'"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:15: field 'pools.http.hedging.after': got 'p100', "
                               "expected off, a percentile from p50 to p99.9, or a time above 0"));
  EXPECT_THAT(error, HasSubstr("field 'pools.http.hedging.tokens_max': got '0'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.grpc.kubernetes.service'"));
  EXPECT_THAT(error, HasSubstr("field 'pools.grpc.auth"));
  EXPECT_THAT(error, HasSubstr("field 'pools.grpc.kubernetes.namespace': got 'A'"));
  EXPECT_THAT(error, HasSubstr("balance.yaml:17: field 'threads': got '-1'"));
}

TEST(GatewayConfigTest, WhenARequestIsHedged) {
  lb::Hedging::Options hedging;
  EXPECT_FALSE(hedging.on());
  EXPECT_TRUE(ParseHedgeAfter("p95", hedging));
  EXPECT_EQ(hedging.quantile, 0.95);
  EXPECT_TRUE(ParseHedgeAfter("50ms", hedging));
  EXPECT_EQ(hedging.quantile, 0);
  EXPECT_EQ(hedging.after, 50ms);
  EXPECT_TRUE(ParseHedgeAfter("off", hedging));
  EXPECT_FALSE(hedging.on());
  for (const char* wrong : {"", "p", "p49", "p100", "95", "p95x", "0s", "-1s", "on"}) {
    EXPECT_FALSE(ParseHedgeAfter(wrong, hedging)) << wrong;
  }
}

TEST(GatewayConfigTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("field 'listeners'"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("field 'pools'"));
  EXPECT_THAT(ErrorOf("pools: {}\nlisteners: []\n"), HasSubstr("expected at least one pool"));
  EXPECT_THAT(ErrorOf("pools: {a: {}, b: {}}\nlisteners: [{address: '0.0.0.0:80'}]\n"),
              HasSubstr("field 'listeners[0].pool'"));
  EXPECT_THAT(ErrorOf("pools: {'a b': {}}\nlisteners: [{address: '0.0.0.0:80'}]\n"),
              HasSubstr("the name 'a b'"));
  EXPECT_THAT(ErrorOf("pools: [\n"), HasSubstr("balance.yaml:2"));
}

TEST(GatewayConfigTest, TheAdminServerCanBeLeftOut) {
  const auto config = ParseGatewayConfig(Concat(kShortest, "admin: {enabled: false}\n"), "f");
  ASSERT_TRUE(config.ok());
  EXPECT_FALSE(config->admin.has_value());
}

TEST(GatewayConfigTest, TheAdminServerSpeaksTls) {
  const auto read = [](std::string_view admin) {
    return Concat(kShortest, "admin: {", admin, "}\n");
  };
  const auto config = ParseGatewayConfig(
      read("tls: {certificate: c.pem, key: k.pem, client_ca: a.pem, client_required: false, "
           "writers: [deploy], readers: [monitor, 'spiffe://a/b']}"),
      "f");
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_TRUE(config->admin_tls.has_value());
  EXPECT_EQ(config->admin_tls->files,
            (net::TlsSource::ServerFiles{"c.pem", "k.pem", "a.pem", false}));
  EXPECT_EQ(config->admin_tls->roles,
            (lb::CertificateRoles{{"deploy"}, {"monitor", "spiffe://a/b"}}));
  EXPECT_EQ(ErrorOf(read("tls: {certificate: c, key: k}")), "");
  EXPECT_EQ(ErrorOf(read("tokens_file: t, tls: {certificate: c, key: k, client_ca: a}")), "");

  EXPECT_THAT(ErrorOf(read("tls: {certificate: c}")), HasSubstr("field 'admin.tls.key'"));
  EXPECT_THAT(ErrorOf(read("tls: {certificate: c, key: k, writers: [a]}")),
              HasSubstr("field 'admin.tls.writers': got no client_ca, expected client_ca beside"));
  EXPECT_THAT(ErrorOf(read("tls: {certificate: c, key: k, client_required: false}")),
              HasSubstr("field 'admin.tls.client_required'"));
  EXPECT_THAT(ErrorOf(read("tls: {certificate: c, key: k, client_ca: a}")),
              HasSubstr("field 'admin.tls.client_ca': got nobody with a role, expected writers or "
                        "readers, \"*\" for every certificate, or admin.tokens_file"));
}

TEST(GatewayConfigTest, TheFleet) {
  const auto config = ParseGatewayConfig(
      Concat(kShortest, "admin: {fleet: ['https://b2:8443/', 'http://[::1]', 'https://b3'], ",
             "fleet_tls: {ca: ca.pem, name: balancers}}\n"),
      "f");
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->fleet.size(), 3u);
  EXPECT_EQ(config->fleet[0].ToString(), "https://b2:8443");
  EXPECT_EQ(config->fleet[1].ToString(), "http://[::1]:8080");
  EXPECT_EQ(config->fleet[2].ToString(), "https://b3:8080");
  ASSERT_TRUE(config->fleet_tls.has_value());
  EXPECT_EQ(config->fleet_tls->ca, "ca.pem");
  EXPECT_EQ(config->fleet_tls->server_name, "balancers");
  for (const char* wrong : {"b2:8080", "ftp://b2", "http://b2/other", "http://user@b2", "https://",
                            "http://b2:99999", "http://b2?x"}) {
    EXPECT_THAT(ErrorOf(Concat(kShortest, "admin: {fleet: ['", wrong, "']}\n")),
                HasSubstr("field 'admin.fleet': got '"))
        << wrong;
  }
  EXPECT_THAT(ErrorOf(Concat(kShortest, "admin: {fleet: ['http://b2'], fleet_tls: {ca: x}}\n")),
              HasSubstr("field 'admin.fleet_tls'"));
  EXPECT_THAT(ErrorOf(Concat(kShortest, "admin: {fleet: ['https://b2'], fleet_tls: {key: x}}\n")),
              HasSubstr("expected both or none"));
}

// Every example of the documentation is one that works.
TEST(GatewayConfigTest, TheDocumentedExamplesAreRead) {
  const std::string text = ReadRepositoryFile("docs/balancer.md");
  constexpr std::string_view kBegin = "```yaml\n";
  int examples = 0;
  for (size_t at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at)) {
    at += kBegin.size();
    const std::string example = text.substr(at, text.find("```", at) - at);
    EXPECT_EQ(ErrorOf(example), "") << example;
    ++examples;
  }
  EXPECT_GE(examples, 2);
}

}  // namespace
}  // namespace tepal::gateway
