#include "balancing/nginx_conf/reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::nginx_conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Of the shape that a balancer in front of Triton on Kubernetes has: HTTP, gRPC, and the API.
constexpr char kTriton[] = R"(resolver 10.96.0.10 valid=5s;
upstream http_pool {
  zone shared 64k;
  server tritons.default.svc.cluster.local:8000 resolve;
}
upstream grpc_pool {
  zone shared 64k;
  server tritons.default.svc.cluster.local:8001 resolve;
}
server {
  listen 80;
  status_zone front;
  location / {
    proxy_pass http://http_pool;
    health_check uri=/v2/health/ready;
  }
}
server {
  listen 89 http2;
  location / { grpc_pass grpc://grpc_pool; }
}
server {
  listen 8080;
  root /usr/share/nginx/html;
  location = /dashboard.html { }
  location = / { return 302 /dashboard.html; }
  location /api { api write=on; }
}
)";

Reading Read(std::string_view text) {
  auto reading = ReadNginxConf(text, "nginx.conf");
  EXPECT_TRUE(reading.ok()) << reading.status().message();
  return reading.ok() ? *reading : Reading();
}
std::string ErrorOf(std::string_view text) {
  return ReadNginxConf(text, "nginx.conf").status().message();
}
std::vector<std::string> Notes(const Reading& reading) {
  std::vector<std::string> texts;
  for (const Note& note : reading.notes) texts.push_back(NoteText("nginx.conf", note));
  return texts;
}
std::string AllNotes(const Reading& reading) {
  std::string all;
  for (const std::string& text : Notes(reading)) all += text + "\n";
  return all;
}

// `upstream` and `location` are what stands in those blocks.
std::string Around(std::string_view upstream, std::string_view location,
                   std::string_view server = "") {
  return Concat("upstream u {\n", upstream, "\n}\nserver {\nlisten 80;\n", server,
                "\nlocation / {\nproxy_pass http://u;\n", location, "\n}\n}\n");
}

TEST(NginxConfTest, ATritonBalancerIsReadAsItIs) {
  const Reading reading = Read(kTriton);
  const gateway::GatewayConfig& config = reading.config;
  ASSERT_EQ(config.pools.size(), 2u);
  ASSERT_EQ(config.listeners.size(), 2u);
  EXPECT_EQ(config.listeners[0].address.ToString(), "0.0.0.0:80");
  EXPECT_EQ(config.listeners[0].pool, "http_pool");
  EXPECT_EQ(config.listeners[1].address.ToString(), "0.0.0.0:89");
  EXPECT_EQ(config.listeners[1].pool, "grpc_pool");
  ASSERT_TRUE(config.admin.has_value());
  EXPECT_EQ(config.admin->ToString(), "0.0.0.0:8080");
  EXPECT_TRUE(config.admin_writes);

  const gateway::PoolConfig& http = config.pools[0];
  EXPECT_EQ(http.endpoints.at(0).host.host, "tritons.default.svc.cluster.local");
  EXPECT_EQ(http.endpoints.at(0).host.port, 8000);
  EXPECT_TRUE(http.endpoints.at(0).resolve);
  ASSERT_EQ(config.dns.servers.size(), 1u);
  EXPECT_EQ(config.dns.servers[0].ToString(), "10.96.0.10:53");
  EXPECT_EQ(config.dns.valid, 5s);
  EXPECT_EQ(http.pool.policy, lb::ChoicePolicy::kRoundRobin);
  EXPECT_TRUE(http.pool.health.enabled);
  EXPECT_EQ(http.pool.health.path, "/v2/health/ready");
  EXPECT_EQ(http.pool.health.interval, 5s);
  EXPECT_EQ(http.pool.health.fails, 1u);
  EXPECT_EQ(http.pool.ejection.failures, 1u);
  EXPECT_EQ(http.pool.ejection.time_base, 10s);
  EXPECT_FALSE(config.pools[1].pool.health.enabled);
}

TEST(NginxConfTest, ItsTwoFaultsAreReported) {
  const std::string notes = AllNotes(Read(kTriton));
  EXPECT_THAT(notes, HasSubstr("nginx.conf:7: fault: zone 'shared' is used by the upstreams "
                               "'http_pool' and 'grpc_pool': each needs a name of its own"));
  EXPECT_THAT(notes, HasSubstr("nginx.conf:6: fault: upstream 'grpc_pool' has no health check"));
  EXPECT_THAT(notes, HasSubstr("add 'health_check type=grpc;'"));
  EXPECT_THAT(notes, Not(HasSubstr("'http_pool' has no health check")));
}

TEST(NginxConfTest, BlanksThatWereNotFilledInAreNamed) {
  const std::string error = ErrorOf(R"(resolver  valid=5s;
upstream b { zone z 64k; server  resolve; }
server { listen 80; location / { proxy_pass http://b; } }
)");
  EXPECT_THAT(error, HasSubstr("nginx.conf:1: 'resolver': the address of the name server is "
                               "missing"));
  EXPECT_THAT(error, HasSubstr("nginx.conf:2: 'server': got 'resolve' where the address should "
                               "be; the address is missing"));
}

TEST(NginxConfTest, ServersOfAnUpstream) {
  const Reading reading = Read(Around(R"(least_conn;
server 10.0.0.1:8000 weight=3 max_conns=20 max_fails=4 fail_timeout=30s;
server 10.0.0.2 down max_fails=4 backup slow_start=30s;
server unix:/run/t.sock;
server [::1]:81;
queue 100 timeout=5s;
keepalive 32;)",
                                      ""));
  const gateway::PoolConfig& pool = reading.config.pools.at(0);
  EXPECT_EQ(pool.pool.policy, lb::ChoicePolicy::kLeastOutstanding);
  ASSERT_EQ(pool.endpoints.size(), 4u);
  EXPECT_EQ(pool.endpoints[0].weight, 3u);
  EXPECT_EQ(pool.endpoints[0].in_flight_max, 20u);
  EXPECT_EQ(pool.endpoints[1].host.port, 80);
  EXPECT_TRUE(pool.endpoints[1].down);
  EXPECT_TRUE(pool.endpoints[1].backup);
  EXPECT_EQ(pool.endpoints[1].slow_start, 30s);
  EXPECT_EQ(pool.endpoints[2].host.host, "unix:/run/t.sock");
  EXPECT_EQ(pool.endpoints[3].host.host, "::1");
  EXPECT_EQ(pool.pool.ejection.failures, 4u);
  EXPECT_EQ(pool.pool.ejection.time_base, 30s);
  EXPECT_EQ(pool.pool.queue_size_max, 100u);
  EXPECT_EQ(pool.pool.queue_time_max, 5s);
}

TEST(NginxConfTest, Policies) {
  const auto policy = [](std::string_view words) {
    return Read(Around(Concat("server a:1; ", words), "")).config.pools.at(0).pool.policy;
  };
  EXPECT_EQ(policy(""), lb::ChoicePolicy::kRoundRobin);
  EXPECT_EQ(policy("least_conn;"), lb::ChoicePolicy::kLeastOutstanding);
  EXPECT_EQ(policy("least_time header inflight;"), lb::ChoicePolicy::kLeastTime);
  EXPECT_EQ(policy("random two least_conn;"), lb::ChoicePolicy::kPowerOfTwo);
  EXPECT_EQ(policy("random;"), lb::ChoicePolicy::kPowerOfTwo);
  EXPECT_EQ(policy("random two least_time=header;"), lb::ChoicePolicy::kPowerOfTwo);
  EXPECT_THAT(ErrorOf(Around("server a:1; random three;", "")), HasSubstr("got 'three'"));
  EXPECT_THAT(ErrorOf(Around("server a:1; least_time;", "")), HasSubstr("expected header or"));
  EXPECT_THAT(AllNotes(Read(Around("server a:1; least_time header;", ""))),
              HasSubstr("honoured differently: least_time goes by the time to the last byte"));
}

TEST(NginxConfTest, MaxFailsOfNoneIsNoEjection) {
  EXPECT_FALSE(
      Read(Around("server a:1 max_fails=0;", "")).config.pools.at(0).pool.ejection.enabled);
}

TEST(NginxConfTest, WhatIsNotHonouredIsNamedWithItsLine) {
  const std::string notes = AllNotes(Read(R"(user nginx;
worker_processes 4;
events { worker_connections 1024; }
http {
  include mime.types;
  upstream u {
    hash $cookie_id consistent;
    server a:1 drain route=x;
    server b:1 max_fails=2;
    server c:1 max_fails=3;
    sticky cookie srv;
  }
  upstream idle { server d:1; }
  proxy_cache_path /tmp/c;
  server {
    listen 80;
    listen 81 backlog=10;
    server_name example.com;
    ssl_ciphers HIGH;
    location /v2 { proxy_pass http://u/v3; proxy_set_header X-A b; proxy_set_header Host $host; add_header A b; }
    location /other { proxy_pass http://idle; }
  }
  server { listen 90; }
}
stream { }
)"));
  for (const std::string_view expected :
       {":5: not honoured: include (", ":7: not honoured: hash (",
        ":8: not honoured: server … drain", ":8: not honoured: server … route=",
        ":10: honoured differently: max_fails is one for", ":11: not honoured: sticky (",
        ":14: not honoured: proxy_cache_path (", ":17: not honoured: listen … backlog=10",
        ":18: not honoured: server_name (", ":19: not honoured: ssl_ciphers (",
        ":20: not honoured: the path of http://u/v3", ":20: not honoured: proxy_set_header (",
        ":20: not honoured: add_header (", ":20: honoured differently: not only /v2 is passed on",
        ":21: not honoured: proxy_pass (a server passes all paths to one upstream",
        ":23: not honoured: server (it passes to no upstream", ":25: not honoured: stream ("}) {
    EXPECT_THAT(notes, HasSubstr(expected));
  }
  EXPECT_THAT(notes, Not(HasSubstr("user")));
  EXPECT_THAT(notes, Not(HasSubstr("events")));
}

TEST(NginxConfTest, LimitsTimesAndTries) {
  const Reading reading = Read(Concat("worker_processes 4;\nkeepalive_timeout 65;\n",
                                      Around("server a:1;", R"(client_max_body_size 1g;
proxy_read_timeout 90s; proxy_connect_timeout 3s; proxy_next_upstream off; client_header_timeout 1500ms;)",
                                             "client_body_timeout 1m30s; send_timeout 20; "
                                             "large_client_header_buffers 4 16k;")));
  const gateway::LimitsConfig& limits = reading.config.limits;
  EXPECT_EQ(reading.config.threads, 4);
  EXPECT_EQ(limits.idle_max, 65s);
  EXPECT_EQ(limits.body_bytes_max, 1u << 30);
  EXPECT_EQ(limits.header_time_max, 1500ms);
  EXPECT_EQ(limits.body_idle_max, 90s);
  EXPECT_EQ(limits.write_idle_max, 20s);
  EXPECT_EQ(limits.header_bytes_max, 64u << 10);
  const gateway::TriesConfig& tries = reading.config.pools.at(0).tries;
  EXPECT_EQ(tries.tries_max, 1u);
  EXPECT_EQ(tries.try_time_max, 90s);
  EXPECT_EQ(tries.connect_time_max, 3s);
}

TEST(NginxConfTest, HealthChecksWithEveryParameter) {
  const Reading reading = Read(Concat(
      "match ready { status 200; }\nmatch odd { status 200-399; body ~ ok; }\n",
      Around("server a:1;",
             "health_check uri=/ready interval=2s jitter=1s fails=3 passes=2 mandatory persistent "
             "match=ready port=9000 keepalive_time=60s;")));
  const lb::HealthCheck::Options& health = reading.config.pools.at(0).pool.health;
  EXPECT_EQ(health.path, "/ready");
  EXPECT_EQ(health.interval, 2s);
  EXPECT_EQ(health.fails, 3u);
  EXPECT_EQ(health.passes, 2u);
  EXPECT_EQ(health.jitter, 1s);
  EXPECT_EQ(health.port, 9000);
  ASSERT_EQ(health.match.statuses.size(), 1u);
  EXPECT_EQ(health.match.statuses[0].last, 200);
  EXPECT_THAT(AllNotes(reading), IsEmpty());
  EXPECT_THAT(ErrorOf(Around("server a:1;", "health_check match=none;")),
              HasSubstr("got 'none', expected the name of a match block"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "health_check url=/;")), HasSubstr("got 'url'"));
}

TEST(NginxConfTest, MatchBlocksAreReadWhole) {
  const auto match = [](std::string_view rules) {
    return Read(Concat("match m {\n", rules, "\n}\n",
                       Around("server a:1;", "health_check match=m;")))
        .config.pools.at(0)
        .pool.health.match;
  };
  using Op = lb::HealthMatch::Header::Op;
  const auto any = match("body ~ \"Welcome to nginx!\";");
  EXPECT_EQ(any.statuses.at(0).first, 100);
  EXPECT_EQ(any.statuses.at(0).last, 599);
  EXPECT_EQ(any.body, "Welcome to nginx!");
  EXPECT_FALSE(any.body_differs);
  const auto several = match(
      "status 200-204 301; header Content-Type = text/html;\n"
      "header Connection !~ close; header Host; header ! X-Old;\n"
      "header Server != \"a b\"; header V ~ ^2; body !~ maintenance;");
  ASSERT_EQ(several.statuses.size(), 2u);
  EXPECT_EQ(several.statuses[1].first, 301);
  EXPECT_FALSE(several.other_statuses);
  ASSERT_EQ(several.headers.size(), 6u);
  EXPECT_EQ(several.headers[0].name, "content-type");
  EXPECT_EQ(several.headers[0].op, Op::kEquals);
  EXPECT_EQ(several.headers[0].value, "text/html");
  EXPECT_EQ(several.headers[1].op, Op::kMatchesNot);
  EXPECT_EQ(several.headers[2].op, Op::kPresent);
  EXPECT_EQ(several.headers[3].op, Op::kAbsent);
  EXPECT_EQ(several.headers[3].name, "x-old");
  EXPECT_EQ(several.headers[4].op, Op::kDiffers);
  EXPECT_EQ(several.headers[4].value, "a b");
  EXPECT_EQ(several.headers[5].op, Op::kMatches);
  EXPECT_TRUE(several.body_differs);
  EXPECT_TRUE(match("status ! 500-599 404;").other_statuses);

  const auto error = [](std::string_view rule) {
    return ErrorOf(
        Concat("match m { ", rule, " }\n", Around("server a:1;", "health_check match=m;")));
  };
  EXPECT_THAT(error("status maybe;"), HasSubstr("nginx.conf:1: 'status': got 'maybe'"));
  EXPECT_THAT(error("status;"), HasSubstr("'status': got ''"));
  EXPECT_THAT(error("status 99;"), HasSubstr("expected a range within 100-599"));
  EXPECT_THAT(error("header A is b;"), HasSubstr("'header': got 'A is '"));
  EXPECT_THAT(error("header A ~ (;"), HasSubstr("'(' is no regular expression"));
  EXPECT_THAT(error("body = x;"), HasSubstr("'body': got '=', expected ~ or !~"));
  EXPECT_THAT(error("body ~ a(?=b);"), HasSubstr("no regular expression"));
  EXPECT_THAT(error("colour red;"), HasSubstr("expected status, header or body"));
  EXPECT_THAT(AllNotes(Read(Concat("match m { require $a; body ~ a; body ~ b; }\n",
                                   Around("server a:1;", "health_check match=m;")))),
              testing::AllOf(HasSubstr(":1: not honoured: require ("),
                             HasSubstr(":1: not honoured: body (a check has one rule")));
}

TEST(NginxConfTest, HealthChecksOverGrpc) {
  const Reading reading = Read(R"(upstream u { server a:1; }
server { listen 89 http2;
location / { grpc_pass grpc://u; health_check grpc_service=m grpc_status=12 interval=3s type=grpc; } }
)");
  const lb::HealthCheck::Options& health = reading.config.pools.at(0).pool.health;
  EXPECT_EQ(health.kind, lb::HealthCheck::Kind::kGrpcHealth);
  EXPECT_EQ(health.service, "m");
  EXPECT_EQ(health.grpc_status, 12);
  EXPECT_THAT(Notes(reading), IsEmpty());
  EXPECT_THAT(AllNotes(Read(Around("server a:1;", "health_check type=grpc uri=/x;"))),
              HasSubstr("fault: health_check uri= means something with type=http only"));
  EXPECT_THAT(AllNotes(Read(Around("server a:1;", "health_check grpc_service=x;"))),
              HasSubstr("fault: health_check grpc_service= means something with type=grpc only"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "health_check type=tcp;")), HasSubstr("got 'tcp'"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "health_check port=70000;")),
              HasSubstr("got '70000', expected a port"));
}

TEST(NginxConfTest, Hashes) {
  using From = lb::HashKey::From;
  using Part = lb::HashKey::Part;
  const auto key = [](std::string_view words) {
    const Reading reading = Read(Around(Concat("server a:1; ", words), ""));
    const gateway::PoolConfig& pool = reading.config.pools.at(0);
    EXPECT_EQ(pool.pool.policy, lb::ChoicePolicy::kHash);
    return pool.hash_key.value_or(lb::HashKey()).parts();
  };
  EXPECT_THAT(key("hash $request_uri consistent;"), ElementsAre(Part{From::kUri}));
  EXPECT_THAT(key("hash $scheme$proxy_host$uri${args} consistent;"),
              ElementsAre(Part{From::kPath}, Part{From::kQuery}));
  EXPECT_THAT(key("hash \"$http_x_user:$arg_id\";"),
              ElementsAre(Part{From::kHeader, "x-user"}, Part{From::kArgument, "id"}));
  EXPECT_THAT(key("ip_hash;"), ElementsAre(Part{From::kClientNet}));
  EXPECT_THAT(AllNotes(Read(Around("server a:1; hash $uri;", ""))),
              HasSubstr("honoured differently: hash is honoured as 'consistent'"));
  EXPECT_THAT(AllNotes(Read(Around("server a:1; hash $jwt_sub;", ""))),
              HasSubstr("not honoured: hash (there is no $jwt_sub here)"));
  EXPECT_THAT(AllNotes(Read(Around("server a:1; hash always;", ""))),
              HasSubstr("not honoured: hash (its key is the same for every request)"));
  EXPECT_THAT(ErrorOf(Around("server a:1; hash $uri sometimes;", "")),
              HasSubstr("got 'sometimes'"));
}

TEST(NginxConfTest, TheApiOverTls) {
  const std::string pool = Around("server a:1;", "");
  const Reading reading = Read(Concat(pool, R"(server {
  listen 8443 ssl;
  ssl_certificate c.pem;
  ssl_certificate_key k.pem;
  ssl_client_certificate clients.pem;
  ssl_verify_client on;
  location /api { api write=on; }
}
)"));
  ASSERT_TRUE(reading.config.admin_tls.has_value());
  EXPECT_EQ(reading.config.admin_tls->files,
            (net::TlsSource::ServerFiles{"c.pem", "k.pem", "clients.pem"}));
  EXPECT_EQ(reading.config.admin_tls->roles, (lb::CertificateRoles{{"*"}, {}}));
  const Reading open = Read(Concat(pool, R"(server {
  listen 8443 ssl; ssl_certificate c.pem; ssl_certificate_key k.pem; location /api { api; }
}
)"));
  ASSERT_TRUE(open.config.admin_tls.has_value());
  EXPECT_EQ(open.config.admin_tls->files.client_ca, "");
  EXPECT_TRUE(open.config.admin_tls->roles.empty());
  EXPECT_THAT(ErrorOf(Concat(pool, "server { listen 8443 ssl; location /api { api; } }\n")),
              HasSubstr("'listen … ssl': ssl_certificate and ssl_certificate_key are missing"));
}

TEST(NginxConfTest, TlsOnBothSides) {
  const Reading reading = Read(R"(ssl_certificate outer.pem;
proxy_ssl_verify on;
upstream u { server a:1; }
upstream g { server b:1; }
server {
  listen 443 ssl;
  listen 80;
  location / { proxy_pass https://u; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name triton; }
  ssl_certificate c.pem;
  ssl_certificate_key k.pem;
  ssl_client_certificate clients.pem;
  ssl_verify_client on;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:SSL:1m;
}
server {
  listen 444 ssl;
  ssl_certificate_key k.pem;
  location / { grpc_pass grpcs://g; grpc_ssl_certificate me.pem; grpc_ssl_certificate_key mk.pem; }
}
)");
  ASSERT_EQ(reading.config.listeners.size(), 3u);
  EXPECT_TRUE(reading.config.listeners[0].tls);
  EXPECT_FALSE(reading.config.listeners[1].tls);
  const gateway::PoolConfig& u = reading.config.pools.at(0);
  EXPECT_EQ(u.client_tls->certificate_chain, "c.pem");
  EXPECT_EQ(u.client_tls->key, "k.pem");
  EXPECT_EQ(u.client_tls->client_ca, "clients.pem");
  EXPECT_EQ(u.endpoint_tls->ca, "ca.pem");
  EXPECT_TRUE(u.endpoint_tls->verify_server);
  EXPECT_EQ(u.endpoint_tls->server_name, "triton");
  const gateway::PoolConfig& g = reading.config.pools.at(1);
  EXPECT_EQ(g.client_tls->certificate_chain, "outer.pem");
  EXPECT_EQ(g.client_tls->client_ca, "");
  EXPECT_EQ(g.endpoint_tls->certificate_chain, "me.pem");
  EXPECT_EQ(g.endpoint_tls->server_name, "g");  // As nginx verifies.
  EXPECT_THAT(AllNotes(reading), Not(HasSubstr("ssl")));

  const auto notes = [](std::string_view directives) {
    return AllNotes(Read(Around("server a:1;", "", directives)));
  };
  EXPECT_THAT(notes("ssl_verify_client optional;"), HasSubstr("not honoured: ssl_verify_client"));
  EXPECT_THAT(notes("ssl_protocols TLSv1 TLSv1.2;"), HasSubstr("honoured differently: TLS 1.2"));
  EXPECT_THAT(notes("ssl_protocols TLSv1.3;"), HasSubstr("not honoured: ssl_protocols ("));
  EXPECT_THAT(notes("ssl_stapling on;"), HasSubstr("not honoured: ssl_stapling ("));
  EXPECT_THAT(notes("proxy_ssl_ciphers A;"), HasSubstr("not honoured: proxy_ssl_ciphers ("));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "", "listen 443 ssl;")),
              HasSubstr(":6: 'listen … ssl': ssl_certificate and ssl_certificate_key are missing"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "",
                             "listen 443 ssl; ssl_verify_client on; ssl_certificate c; "
                             "ssl_certificate_key k;")),
              HasSubstr("ssl_client_certificate is missing"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "", "ssl_certificate $ssl_server_name.crt;")),
              HasSubstr("expected a file"));
  EXPECT_FALSE(Read(Around("server a:1;", "")).config.pools.at(0).endpoint_tls.has_value());
}

TEST(NginxConfTest, ListenAddresses) {
  const auto listens = [](std::string_view words) {
    std::string all;
    const Reading reading = Read(Concat("upstream u { server a:1; }\nserver { ", words,
                                        " location / { proxy_pass http://u; health_check; } }"));
    for (const auto& listener : reading.config.listeners) {
      all += listener.address.ToString() + " ";
    }
    return all;
  };
  EXPECT_EQ(listens("listen 81; listen *:82; listen 127.0.0.1:83; listen [::]:84;"),
            "0.0.0.0:81 0.0.0.0:82 127.0.0.1:83 [::]:84 ");
  EXPECT_EQ(
      listens("listen 127.0.0.1; listen [::1]; listen unix:/run/b.sock; listen localhost:85;"),
      "127.0.0.1:80 [::1]:80 unix:/run/b.sock 127.0.0.1:85 ");
  EXPECT_EQ(listens(""), "0.0.0.0:80 ");
}

TEST(NginxConfTest, ResolversAndServices) {
  const Reading reading =
      Read(Concat("resolver 127.0.0.1:5353 [::1] ipv6=off status_zone=z;\n"
                  "resolver_timeout 1s;\n",
                  Around("server s.example service=http resolve;", "")));
  const gateway::DnsConfig& dns = reading.config.dns;
  ASSERT_EQ(dns.servers.size(), 2u);
  EXPECT_EQ(dns.servers[0].ToString(), "127.0.0.1:5353");
  EXPECT_EQ(dns.servers[1].ToString(), "[::1]:53");
  EXPECT_FALSE(dns.valid.has_value());
  EXPECT_FALSE(dns.ip6);
  EXPECT_EQ(dns.time_max, 1s);
  EXPECT_EQ(dns.status_zone, "z");
  EXPECT_EQ(reading.config.pools.at(0).endpoints.at(0).service, "http");
  EXPECT_THAT(ErrorOf("resolver here;"), HasSubstr("got 'here', expected the numeric address"));
}

TEST(NginxConfTest, TheApiMayBeReadOnly) {
  const Reading reading = Read(Concat(Around("server a:1;", "health_check;"),
                                      "server { listen 127.0.0.1:8080; location /api { api; } }"));
  EXPECT_FALSE(reading.config.admin_writes);
  EXPECT_FALSE(Read(Around("server a:1;", "")).config.admin.has_value());
}

TEST(NginxConfTest, ErrorsHaveTheirLine) {
  EXPECT_EQ(ErrorOf("upstream u { server a:1; }\nserver { location / { proxy_pass http://v; } }"),
            "nginx.conf:1: no server passes to an upstream (proxy_pass, grpc_pass)\n"
            "nginx.conf:2: 'proxy_pass': got 'http://v', expected the name of an upstream of this "
            "file");
  EXPECT_THAT(ErrorOf(Around("server a:1 weight=0;", "")),
              HasSubstr("nginx.conf:2: 'server': got '0', expected a whole number from 1"));
  EXPECT_THAT(ErrorOf(Around("server a:x;", "")), HasSubstr("nginx.conf:2: address 'a:x'"));
  EXPECT_THAT(ErrorOf(Around("", "")), HasSubstr("nginx.conf:1: upstream 'u' has no server"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "", "listen x:y;")), HasSubstr("expected a port"));
  EXPECT_THAT(ErrorOf(Around("server a:1 fast;", "")), HasSubstr("got 'fast'"));
  EXPECT_THAT(ErrorOf(Around("server a:1;", "proxy_read_timeout soon;")),
              HasSubstr("got 'soon', expected a time"));
  EXPECT_THAT(ErrorOf("upstream u { server a:1; } upstream u { server b:1; }"),
              HasSubstr("upstream 'u' is there twice"));
}

}  // namespace
}  // namespace tepal::nginx_conf
