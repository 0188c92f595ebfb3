#include "balancing/load_balancer/nginx_api_json.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr std::array<std::string_view, 5> kClasses = {"1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr int kVersionOfCodes = 7;

std::string_view NginxState(EndpointState state) {
  switch (state) {
    case EndpointState::kEjected:
      return "unavail";
    case EndpointState::kRemoved:
      return "draining";
    default:
      return EndpointStateName(state);
  }
}

void WriteResponses(json::Writer& out, const std::array<uint64_t, 5>& responses,
                    const StatusReading& codes, int version) {
  out.Key("responses").BeginObject();
  uint64_t total = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    out.Key(kClasses[i]).Uint(responses[i]);
    total += responses[i];
  }
  if (version >= kVersionOfCodes) {
    out.Key("codes").BeginObject();
    for (const auto& [status, count] : codes) out.Key(Concat(status)).Uint(count);
    out.EndObject();
  }
  out.Key("total").Uint(total).EndObject();
}

// Counts by time in milliseconds, each without those below it.
void WriteHistogram(json::Writer& out, const EndpointTraffic& traffic) {
  constexpr std::array<int64_t, 14> kBounds = {5,   10,  25,   50,   75,   100,  250,
                                               500, 750, 1000, 2500, 5000, 7500, 10000};
  std::array<uint64_t, kBounds.size() + 1> counts{};
  uint64_t total = 0;
  const auto buckets = traffic.latency.Read();
  for (size_t i = 0; i < buckets.size(); ++i) {
    const int64_t time_us = telemetry::LatencyHistogram::ValueOf(static_cast<int>(i));
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), (time_us + 999) / 1000);
    counts[static_cast<size_t>(bound - kBounds.begin())] += buckets[i];
    total += buckets[i];
  }
  out.Key("response_time_hist").BeginObject().Key("count").Uint(total);
  out.Key("sum").Uint(traffic.time_us.load(std::memory_order_relaxed) / 1000);
  out.Key("buckets").BeginObject();
  for (size_t i = 0; i < kBounds.size(); ++i) out.Key(Concat(kBounds[i])).Uint(counts[i]);
  out.Key("inf").Uint(counts.back()).EndObject().EndObject();
}

void WritePeer(json::Writer& out, const BalancerState& state, const EndpointReading& endpoint,
               int version) {
  const Dispatcher::EndpointStatus& status = endpoint.status;
  out.BeginObject();
  out.Key("id").Uint(status.id);
  out.Key("server").String(status.spec.address.ToString());
  out.Key("name").String(status.spec.name);
  out.Key("backup").Bool(status.spec.backup);
  out.Key("weight").Uint(status.spec.weight);
  out.Key("state").String(NginxState(status.state));
  out.Key("active").Uint(status.in_flight);
  if (status.spec.in_flight_max > 0) out.Key("max_conns").Uint(status.spec.in_flight_max);
  out.Key("requests").Uint(endpoint.requests);
  if (endpoint.header_time.has_value() && endpoint.response_time.has_value()) {
    out.Key("header_time").Int(ToMicroseconds(*endpoint.header_time) / 1000);
    out.Key("response_time").Int(ToMicroseconds(*endpoint.response_time) / 1000);
    WriteHistogram(out, *status.traffic);
  }
  WriteResponses(out, endpoint.responses, endpoint.codes, version);
  out.Key("sent").Uint(endpoint.bytes_sent);
  out.Key("received").Uint(endpoint.bytes_received);
  out.Key("fails").Uint(endpoint.failures);
  out.Key("unavail").Uint(status.ejections);
  const HealthCheck::Counters& health = status.health;
  out.Key("health_checks").BeginObject();
  out.Key("checks").Uint(health.checks).Key("fails").Uint(health.fails);
  out.Key("unhealthy").Uint(health.unhealthy);
  if (health.checks > 0) out.Key("last_passed").Bool(health.last_passed);
  out.EndObject();
  Duration downtime = status.downtime;
  if (status.down_since.has_value()) downtime += state.now - *status.down_since;
  out.Key("downtime").Int(ToMicroseconds(downtime) / 1000);
  if (status.down_since.has_value()) {
    out.Key("downstart").String(IsoTime(ToWall(state, *status.down_since)));
  }
  if (status.selected.has_value()) {
    out.Key("selected").String(IsoTime(ToWall(state, *status.selected)));
  }
  out.EndObject();
}

}  // namespace

std::string IsoTime(WallTime when) {
  const auto since = when.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds).count();
  const auto time = static_cast<std::time_t>(seconds.count());
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[96];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(milliseconds));
  return text;
}

void WriteNginx(json::Writer& out, const BalancerStates& pools, uint64_t generation) {
  out.BeginObject();
  out.Key("version").String("tepal").Key("build").String("tepal");
  out.Key("address").String("127.0.0.1").Key("generation").Uint(generation);
  if (!pools.empty()) {
    out.Key("load_timestamp").String(IsoTime(pools.front().started));
    out.Key("timestamp").String(IsoTime(pools.front().wall_now));
  }
  out.Key("pid").Int(getpid()).Key("ppid").Int(getppid());
  out.EndObject();
}

void WriteConnections(json::Writer& out, const BalancerStates& pools) {
  uint64_t accepted = 0;
  uint64_t refused = 0;
  uint64_t busy = 0;
  uint64_t open = 0;
  for (const BalancerState& pool : pools) {
    accepted += pool.connections_accepted;
    refused += pool.connections_refused;
    busy += std::min(pool.active, pool.connections_open);
    open += pool.connections_open;
  }
  out.BeginObject();
  out.Key("accepted").Uint(accepted).Key("dropped").Uint(refused);
  out.Key("active").Uint(busy).Key("idle").Uint(open - busy);
  out.EndObject();
}

void WriteSsl(json::Writer& out, const BalancerStates& pools) {
  uint64_t handshakes = 0;
  uint64_t failed = 0;
  for (const BalancerState& pool : pools) {
    handshakes += pool.tls_handshakes;
    failed += pool.tls_handshake_failures;
  }
  out.BeginObject().Key("handshakes").Uint(handshakes).Key("handshakes_failed").Uint(failed);
  out.EndObject();
}

void WriteRequests(json::Writer& out, const BalancerStates& pools) {
  uint64_t total = 0;
  uint64_t current = 0;
  for (const BalancerState& pool : pools) {
    total += pool.requests;
    current += pool.active;
  }
  out.BeginObject().Key("total").Uint(total).Key("current").Uint(current).EndObject();
}

void WriteResolver(json::Writer& out, const ResolverZone& zone) {
  const auto write = [&out](std::string_view key, const ResolverZone::Counts& counts) {
    out.Key(key).BeginObject();
    for (const auto& [name, count] : counts) out.Key(name).Uint(count);
    out.EndObject();
  };
  out.BeginObject();
  write("requests", zone.requests);
  write("responses", zone.responses);
  out.EndObject();
}

void WriteResolvers(json::Writer& out, const std::vector<ResolverZone>& zones) {
  out.BeginObject();
  for (const ResolverZone& zone : zones) {
    out.Key(zone.name);
    WriteResolver(out, zone);
  }
  out.EndObject();
}

void WriteServerZone(json::Writer& out, const BalancerState& pool, int version) {
  out.BeginObject();
  out.Key("processing").Uint(pool.active).Key("requests").Uint(pool.requests);
  WriteResponses(out, pool.responses, pool.codes, version);
  out.Key("discarded").Uint(pool.client_gone);
  out.Key("received").Uint(pool.bytes_received).Key("sent").Uint(pool.bytes_sent);
  out.EndObject();
}

void WriteServerZones(json::Writer& out, const BalancerStates& pools, int version) {
  out.BeginObject();
  for (const BalancerState& pool : pools) {
    out.Key(pool.upstream);
    WriteServerZone(out, pool, version);
  }
  out.EndObject();
}

void WriteUpstreams(json::Writer& out, const BalancerStates& pools, int version) {
  out.BeginObject();
  for (const BalancerState& pool : pools) {
    out.Key(pool.upstream);
    WriteUpstream(out, pool, version);
  }
  out.EndObject();
}

void WriteUpstream(json::Writer& out, const BalancerState& state, int version) {
  uint64_t zombies = 0;
  out.BeginObject().Key("peers").BeginArray();
  for (const EndpointReading& endpoint : state.endpoints) {
    if (endpoint.status.state == EndpointState::kRemoved) {
      ++zombies;
    } else {
      WritePeer(out, state, endpoint, version);
    }
  }
  out.EndArray();
  out.Key("keepalive").Uint(0).Key("zombies").Uint(zombies).Key("zone").String(state.upstream);
  out.Key("queue").BeginObject();
  out.Key("size").Uint(state.waiting).Key("max_size").Uint(state.queue_size_max);
  out.Key("overflows").Uint(state.counters.refused).EndObject();
  out.EndObject();
}

void WriteServer(json::Writer& out, const EndpointReading& endpoint) {
  const Dispatcher::EndpointStatus& status = endpoint.status;
  out.BeginObject();
  out.Key("id").Uint(status.id);
  out.Key("server").String(status.spec.address.ToString());
  out.Key("weight").Uint(status.spec.weight);
  out.Key("max_conns").Uint(status.spec.in_flight_max);
  out.Key("max_fails").Int(kApiMaxFails).Key("fail_timeout").String(kApiFailTimeout);
  out.Key("slow_start")
      .String(Concat(
          std::chrono::duration_cast<std::chrono::seconds>(status.spec.slow_start).count(), "s"))
      .Key("route")
      .String("");
  out.Key("backup").Bool(status.spec.backup);
  out.Key("down").Bool(status.state == EndpointState::kDown);
  if (status.state == EndpointState::kDraining) out.Key("drain").Bool(true);
  out.EndObject();
}

void WriteServers(json::Writer& out, const BalancerState& state) {
  out.BeginArray();
  for (const EndpointReading& endpoint : state.endpoints) {
    if (endpoint.status.state != EndpointState::kRemoved) WriteServer(out, endpoint);
  }
  out.EndArray();
}

}  // namespace tepal::lb
