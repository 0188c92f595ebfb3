#include "balancing/load_balancer/nginx_api_json.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace tepal::lb {

namespace {

constexpr std::array<std::string_view, 5> kClasses = {"1xx", "2xx", "3xx", "4xx", "5xx"};

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

void WriteResponses(json::Writer& out, const std::array<uint64_t, 5>& responses) {
  out.Key("responses").BeginObject();
  uint64_t total = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    out.Key(kClasses[i]).Uint(responses[i]);
    total += responses[i];
  }
  out.Key("total").Uint(total).EndObject();
}

void WritePeer(json::Writer& out, const BalancerState& state, const EndpointReading& endpoint) {
  const Dispatcher::EndpointStatus& status = endpoint.status;
  out.BeginObject();
  out.Key("id").Uint(status.id);
  out.Key("server").String(status.spec.address.ToString());
  out.Key("name").String(status.spec.name);
  out.Key("backup").Bool(false);
  out.Key("weight").Uint(status.spec.weight);
  out.Key("state").String(NginxState(status.state));
  out.Key("active").Uint(status.in_flight);
  if (status.spec.in_flight_max > 0) out.Key("max_conns").Uint(status.spec.in_flight_max);
  out.Key("requests").Uint(endpoint.requests);
  if (endpoint.latency_mean.has_value()) {
    out.Key("response_time").Int(ToMicroseconds(*endpoint.latency_mean) / 1000);
  }
  WriteResponses(out, endpoint.responses);
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

void WriteNginx(json::Writer& out, const BalancerState& state) {
  out.BeginObject();
  out.Key("version").String("tepal").Key("build").String("tepal");
  out.Key("address").String("127.0.0.1").Key("generation").Uint(1);
  out.Key("load_timestamp").String(IsoTime(state.started));
  out.Key("timestamp").String(IsoTime(state.wall_now));
  out.Key("pid").Int(getpid()).Key("ppid").Int(getppid());
  out.EndObject();
}

void WriteConnections(json::Writer& out, const BalancerState& state) {
  const uint64_t busy = std::min(state.active, state.connections_open);
  out.BeginObject();
  out.Key("accepted").Uint(state.connections_accepted);
  out.Key("dropped").Uint(state.connections_refused);
  out.Key("active").Uint(busy).Key("idle").Uint(state.connections_open - busy);
  out.EndObject();
}

void WriteRequests(json::Writer& out, const BalancerState& state) {
  out.BeginObject();
  out.Key("total").Uint(state.requests).Key("current").Uint(state.active).EndObject();
}

void WriteServerZones(json::Writer& out, const BalancerState& state) {
  out.BeginObject().Key(state.upstream).BeginObject();
  out.Key("processing").Uint(state.active).Key("requests").Uint(state.requests);
  WriteResponses(out, state.responses);
  out.Key("discarded").Uint(state.client_gone);
  out.Key("received").Uint(state.bytes_received).Key("sent").Uint(state.bytes_sent);
  out.EndObject().EndObject();
}

void WriteUpstreams(json::Writer& out, const BalancerState& state) {
  out.BeginObject().Key(state.upstream);
  WriteUpstream(out, state);
  out.EndObject();
}

void WriteUpstream(json::Writer& out, const BalancerState& state) {
  uint64_t zombies = 0;
  out.BeginObject().Key("peers").BeginArray();
  for (const EndpointReading& endpoint : state.endpoints) {
    if (endpoint.status.state == EndpointState::kRemoved) {
      ++zombies;
    } else {
      WritePeer(out, state, endpoint);
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
  out.Key("backup").Bool(false);
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
