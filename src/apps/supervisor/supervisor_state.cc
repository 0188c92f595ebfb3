// The supervisor's state as JSON; examples/flower/demo.py reads it.

#include <algorithm>

#include "apps/supervisor/supervisor.h"
#include "core/json/writer.h"

namespace tepal::supervisor {
namespace {

void Milliseconds(json::Writer& out, std::string_view key, std::optional<Duration> value) {
  out.Key(key);
  if (value.has_value()) {
    out.Double(ToMilliseconds(*value));
  } else {
    out.Null();
  }
}

const EndpointReading* FindEndpoint(const TrafficReading& traffic, EndpointId id) {
  for (const EndpointReading& endpoint : traffic.endpoints) {
    if (id != 0 && endpoint.id == id) return &endpoint;
  }
  return nullptr;
}

}  // namespace

std::string Supervisor::StateJson() const {
  const Instant now = seams_.loop.Now();
  const autoscaling::AutoscalerOptions& scaling = options_.config.autoscaler.options;
  json::Writer out;
  out.BeginObject();
  out.Key("time_ms").Int(std::chrono::duration_cast<std::chrono::milliseconds>(
                             seams_.loop.WallNow().time_since_epoch())
                             .count());
  out.Key("uptime_s").Double(ToSeconds(now - begun_));
  out.Key("desired").Int(set_.desired());
  out.Key("min").Int(scaling.replicas_min);
  out.Key("max").Int(scaling.replicas_max);
  out.Key("reason").String(reason_);
  out.Key("stopping").Bool(stopping_);

  out.Key("replicas").BeginObject();
  for (int state = 0; state < kReplicaStates; ++state) {
    out.Key(Name(static_cast<ReplicaState>(state)))
        .Int(set_.Count(static_cast<ReplicaState>(state)));
  }
  out.EndObject();

  out.Key("metrics").BeginArray();
  for (const autoscaling::MetricReading& reading : readings_) {
    out.BeginObject().Key("name").String(reading.name).Key("unit").String(reading.unit);
    out.Key("target").Double(reading.target).Key("value");
    const std::optional<double> value = reading.ValuePerReplica(set_.desired());
    if (value.has_value()) {
      out.Double(*value);
    } else {
      out.Null();
    }
    out.EndObject();
  }
  out.EndArray();

  out.Key("traffic").BeginObject();
  out.Key("in_flight").Uint(traffic_.in_flight).Key("waiting").Uint(traffic_.waiting);
  out.Key("answered").Uint(traffic_.answered).Key("failed").Uint(traffic_.failed);
  out.Key("requests_per_s").Double(answered_.Increase(now).value_or(0) / ToSeconds(kRateWindow));
  Milliseconds(out, "p50_ms", traffic_.latency_p50);
  Milliseconds(out, "p99_ms", traffic_.latency_p99);
  WriteShares(out, now);
  out.EndObject();

  WriteSlots(out, now);
  out.EndObject();
  return out.Take();
}

// Requests of the last seconds that the least and the most loaded ready replica got, as parts of
// what all of them got.
void Supervisor::WriteShares(json::Writer& out, Instant now) const {
  double sum = 0;
  std::vector<double> counts;
  for (const auto& [id, replica] : replicas_) {
    const auto share = shares_.find(replica.endpoint);
    if (StateOf(replica) != ReplicaState::kReady || share == shares_.end()) continue;
    counts.push_back(share->second.Increase(now).value_or(0));
    sum += counts.back();
  }
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  out.Key("share_least").Double(sum > 0 ? *least / sum : 0);
  out.Key("share_most").Double(sum > 0 ? *most / sum : 0);
}

// Those there are, and those that are still being left.
void Supervisor::WriteSlots(json::Writer& out, Instant now) const {
  out.Key("slots").BeginArray();
  for (size_t i = 0; i < set_.slots().size(); ++i) {
    if (table_.present(i) || set_.slots()[i].state != ReplicaState::kFree) WriteSlot(out, i, now);
  }
  out.EndArray();
}

void Supervisor::WriteSlot(json::Writer& out, size_t index, Instant now) const {
  const ReplicaSet::Slot& slot = set_.slots()[index];
  out.BeginObject();
  out.Key("slot").Uint(index).Key("name").String(table_[index].name);
  if (!table_[index].device.empty()) out.Key("device").String(table_[index].device);
  if (!table_.present(index)) out.Key("gone").Bool(true);
  out.Key("state").String(Name(slot.state));
  out.Key("starts").Uint(slot.starts).Key("crashes").Int(slot.crashes);
  const auto replica = replicas_.find(slot.replica);
  if (replica != replicas_.end()) {
    out.Key("replica").Uint(replica->first).Key("pid").Int(replica->second.process->pid());
    out.Key("address").String(replica->second.http.ToString());
    out.Key("metrics_address").String(replica->second.metrics.ToString());
    if (replica->second.grpc) out.Key("grpc_address").String(replica->second.grpc->ToString());
    const EndpointReading* const endpoint = FindEndpoint(traffic_, replica->second.endpoint);
    const auto share = shares_.find(replica->second.endpoint);
    if (endpoint != nullptr && share != shares_.end()) {
      out.Key("requests").Uint(endpoint->requests).Key("in_flight").Uint(endpoint->in_flight);
      out.Key("endpoint_state").String(endpoint->state);
      out.Key("requests_per_s")
          .Double(share->second.Increase(now).value_or(0) / ToSeconds(kRateWindow));
    }
  }
  out.EndObject();
}

}  // namespace tepal::supervisor
