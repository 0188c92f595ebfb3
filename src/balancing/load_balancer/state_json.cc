#include "balancing/load_balancer/state_json.h"

#include "balancing/load_balancer/nginx_api_json.h"
#include "core/json/writer.h"

namespace tepal::lb {

namespace {

void WriteTime(json::Writer& out, std::string_view key, const std::optional<Duration>& time) {
  out.Key(key);
  if (time.has_value()) {
    out.Double(ToMilliseconds(*time));
  } else {
    out.Null();
  }
}

void WriteHistory(json::Writer& out, const std::vector<double>& history) {
  out.Key("history").BeginArray();
  for (const double rate : history) out.Double(rate);
  out.EndArray();
}

void WriteClasses(json::Writer& out, const std::array<uint64_t, 5>& responses) {
  out.Key("responses").BeginArray();
  for (const uint64_t count : responses) out.Uint(count);
  out.EndArray();
}

void WriteEndpoint(json::Writer& out, const BalancerState& state, const EndpointReading& reading) {
  const Dispatcher::EndpointStatus& status = reading.status;
  out.BeginObject();
  out.Key("id").Uint(status.id).Key("name").String(status.spec.name);
  out.Key("address").String(status.spec.address.ToString());
  out.Key("slot").String(status.spec.slot);
  out.Key("state").String(EndpointStateName(status.state));
  out.Key("weight").Uint(status.spec.weight);
  out.Key("in_flight").Uint(status.in_flight);
  out.Key("in_flight_max").Uint(status.spec.in_flight_max);
  out.Key("requests").Uint(reading.requests);
  out.Key("failures").Uint(reading.failures);
  out.Key("cancelled").Uint(reading.cancelled);
  WriteClasses(out, reading.responses);
  out.Key("bytes_sent").Uint(reading.bytes_sent);
  out.Key("bytes_received").Uint(reading.bytes_received);
  out.Key("rate_1s").Double(reading.rate_1s).Key("rate_10s").Double(reading.rate_10s);
  out.Key("share").Double(reading.share);
  WriteTime(out, "latency_p50_ms", reading.latency_p50);
  WriteTime(out, "latency_p99_ms", reading.latency_p99);
  out.Key("age_s").Double(ToSeconds(state.now - status.added));
  out.Key("ejections").Uint(status.ejections);
  const HealthCheck::Counters& health = status.health;
  out.Key("health").BeginObject();
  out.Key("checks").Uint(health.checks).Key("fails").Uint(health.fails);
  out.Key("unhealthy").Uint(health.unhealthy).Key("last_passed").Bool(health.last_passed);
  out.Key("last_error").String(health.last_error).EndObject();
  WriteHistory(out, reading.history);
  out.EndObject();
}

void WriteQueue(json::Writer& out, const BalancerState& state) {
  const Dispatcher::Counters& counters = state.counters;
  out.Key("queue").BeginObject();
  out.Key("length").Uint(state.waiting).Key("size_max").Uint(state.queue_size_max);
  out.Key("oldest_ms").Double(ToMilliseconds(state.oldest_wait));
  out.Key("waited").Uint(counters.waited).Key("timeouts").Uint(counters.expired);
  out.Key("overflows").Uint(counters.refused);
  out.Key("duration_ms").Double(ToMilliseconds(counters.wait_time)).EndObject();
  out.Key("retries").BeginObject().Key("allowed").Uint(state.retries);
  out.Key("refused").Uint(state.retries_refused).Key("tokens").Double(state.retry_tokens);
  out.EndObject();
  out.Key("hedges").BeginObject().Key("on").Bool(state.hedging);
  out.Key("sent").Uint(state.hedges).Key("won").Uint(state.hedges_won);
  out.Key("refused").Uint(state.hedges_refused).EndObject();
}

void WritePool(json::Writer& out, const BalancerState& state) {
  out.Key("upstream").String(state.upstream);
  out.Key("time").String(IsoTime(state.wall_now));
  out.Key("uptime_s").Double(ToSeconds(state.wall_now - state.started));
  out.Key("requests").Uint(state.requests).Key("failed").Uint(state.failed);
  out.Key("broken_off").Uint(state.broken_off).Key("refused").Uint(state.refused);
  out.Key("client_gone").Uint(state.client_gone).Key("active").Uint(state.active);
  out.Key("in_flight").Uint(state.in_flight);
  WriteClasses(out, state.responses);
  out.Key("rate_1s").Double(state.rate_1s).Key("rate_10s").Double(state.rate_10s);
  WriteTime(out, "latency_p50_ms", state.latency_p50);
  WriteTime(out, "latency_p99_ms", state.latency_p99);
  WriteHistory(out, state.history);
  out.Key("connections").BeginObject().Key("open").Uint(state.connections_open);
  out.Key("accepted").Uint(state.connections_accepted);
  out.Key("refused").Uint(state.connections_refused).EndObject();
  WriteQueue(out, state);
  out.Key("models").Uint(state.models);
  out.Key("endpoints").BeginArray();
  for (const EndpointReading& endpoint : state.endpoints) WriteEndpoint(out, state, endpoint);
  out.EndArray();
}

void WriteExtra(json::Writer& out, std::string_view extra) {
  out.Key("extra");
  if (extra.empty()) {
    out.Null();
  } else {
    out.Raw(extra);
  }
}

void WriteCounts(json::Writer& out, const ModelCounts& counts) {
  out.Key("requests").Uint(counts.requests).Key("in_flight").Uint(counts.in_flight);
  WriteClasses(out, counts.responses);
  out.Key("failures").Uint(counts.failures);
}

void WriteModel(json::Writer& out, const ModelReading& reading) {
  const ModelStatus& model = reading.status;
  out.BeginObject();
  out.Key("number").Uint(model.number).Key("name").String(model.name);
  out.Key("ready").Uint(model.ready).Key("silent").Uint(model.silent);
  WriteCounts(out, model.counts);
  out.Key("refused").Uint(model.refused).Key("waiting").Uint(model.waiting);
  out.Key("rate_1s").Double(reading.rate_1s).Key("rate_10s").Double(reading.rate_10s);
  WriteTime(out, "expected_ms", model.soonest);
  WriteTime(out, "latency_p50_ms", model.latency_p50);
  WriteTime(out, "latency_p99_ms", model.latency_p99);
  WriteHistory(out, reading.history);
  out.EndObject();
}

}  // namespace

std::string StateJson(const BalancerState& state, std::string_view extra) {
  json::Writer out;
  out.BeginObject();
  WritePool(out, state);
  WriteExtra(out, extra);
  out.EndObject();
  return out.Take();
}

std::string PoolsJson(const std::vector<BalancerState>& pools, std::string_view extra,
                      const BalancerIdentity& balancer, const CallerRights& caller) {
  json::Writer out;
  out.BeginObject().Key("pools").BeginArray();
  for (const BalancerState& pool : pools) {
    out.BeginObject();
    WritePool(out, pool);
    out.EndObject();
  }
  out.EndArray();
  WriteExtra(out, extra);
  out.Key("balancer").BeginObject().Key("name").String(balancer.name);
  out.Key("instance").String(balancer.instance).Key("fleet").Bool(balancer.fleet).EndObject();
  out.Key("caller").BeginObject().Key("name").String(caller.name);
  out.Key("may_write").Bool(caller.refusal.empty());
  out.Key("refusal").String(caller.refusal).EndObject();
  out.EndObject();
  return out.Take();
}

std::string ModelsJson(std::string_view upstream, const std::vector<ModelReading>& models) {
  json::Writer out;
  out.BeginObject().Key("upstream").String(upstream).Key("models").BeginArray();
  for (const ModelReading& model : models) WriteModel(out, model);
  out.EndArray().EndObject();
  return out.Take();
}

std::string ModelEndpointsJson(ModelNumber model, const std::vector<ModelAtEndpoint>& endpoints) {
  json::Writer out;
  out.BeginObject().Key("number").Uint(model).Key("endpoints").BeginArray();
  for (const ModelAtEndpoint& at : endpoints) {
    out.BeginObject().Key("id").Uint(at.endpoint).Key("ready");
    at.ready.has_value() ? out.Bool(*at.ready) : out.Null();
    out.Key("refuses").Bool(at.refuses);
    WriteCounts(out, at.counts);
    WriteTime(out, "expected_ms", at.soonest);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

}  // namespace tepal::lb
