#include "balancing/load_balancer/fleet_state.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace tepal::lb {

namespace {

constexpr double kNumberMax = 1e15;  // Every count below it is one.

Status Wrong(std::string_view in, std::string_view key, std::string_view expected) {
  return InvalidArgument(Concat(in, key, ": expected ", expected));
}

Result<std::string> Text(const json::Value& object, std::string_view in, std::string_view key) {
  const json::Value* value = object.Find(key);
  if (value == nullptr || value->AsString() == nullptr) return Wrong(in, key, "a text");
  return *value->AsString();
}

Result<double> Number(const json::Value& object, std::string_view in, std::string_view key) {
  const json::Value* value = object.Find(key);
  const auto number = value == nullptr ? std::nullopt : value->AsNumber();
  if (!number.has_value() || !(std::abs(*number) < kNumberMax)) {
    return Wrong(in, key, Concat("a number below ", kNumberMax));
  }
  return *number;
}

Result<uint64_t> Count(const json::Value& object, std::string_view in, std::string_view key) {
  ASSIGN_OR_RETURN(const double number, Number(object, in, key));
  if (number < 0) return Wrong(in, key, "a number from 0 on");
  return static_cast<uint64_t>(number);
}

Result<const json::Value::Array*> List(const json::Value& object, std::string_view in,
                                       std::string_view key) {
  const json::Value* value = object.Find(key);
  if (value == nullptr || value->AsArray() == nullptr) return Wrong(in, key, "a list");
  return value->AsArray();
}

Result<FleetEndpoint> ReadEndpoint(const json::Value& value, const std::string& in) {
  FleetEndpoint endpoint;
  ASSIGN_OR_RETURN(endpoint.address, Text(value, in, "address"));
  ASSIGN_OR_RETURN(endpoint.name, Text(value, in, "name"));
  ASSIGN_OR_RETURN(endpoint.state, Text(value, in, "state"));
  ASSIGN_OR_RETURN(endpoint.rate_1s, Number(value, in, "rate_1s"));
  return endpoint;
}

Result<FleetPool> ReadPool(const json::Value& value, const std::string& in) {
  FleetPool pool;
  ASSIGN_OR_RETURN(pool.upstream, Text(value, in, "upstream"));
  ASSIGN_OR_RETURN(pool.uptime_s, Number(value, in, "uptime_s"));
  ASSIGN_OR_RETURN(pool.rate_1s, Number(value, in, "rate_1s"));
  ASSIGN_OR_RETURN(pool.in_flight, Count(value, in, "in_flight"));
  const json::Value* queue = value.Find("queue");
  if (queue == nullptr) return Wrong(in, "queue", "an object");
  ASSIGN_OR_RETURN(pool.waiting, Count(*queue, Concat(in, "queue."), "length"));
  if (const json::Value* p99 = value.Find("latency_p99_ms"); p99 != nullptr && !p99->is_null()) {
    ASSIGN_OR_RETURN(pool.latency_p99_ms, Number(value, in, "latency_p99_ms"));
  }
  ASSIGN_OR_RETURN(const json::Value::Array* endpoints, List(value, in, "endpoints"));
  for (size_t i = 0; i < endpoints->size(); ++i) {
    ASSIGN_OR_RETURN(FleetEndpoint endpoint,
                     ReadEndpoint((*endpoints)[i], Concat(in, "endpoints[", i, "].")));
    pool.endpoints.push_back(std::move(endpoint));
  }
  return pool;
}

// What each member says of one endpoint; null: nothing.
struct Row {
  std::vector<const FleetEndpoint*> said;
};

// One pool, of all members that have it.
struct Table {
  std::vector<bool> has;            // By member.
  std::map<std::string, Row> rows;  // By address.
};

std::map<std::string, Table> TablesOf(const std::vector<FleetMember>& members) {
  std::map<std::string, Table> tables;
  for (size_t i = 0; i < members.size(); ++i) {
    for (const FleetPool& pool : members[i].pools) {
      Table& table = tables[pool.upstream];
      table.has.resize(members.size());
      table.has[i] = true;
      for (const FleetEndpoint& endpoint : pool.endpoints) {
        if (endpoint.state == "removed") continue;
        Row& row = table.rows[endpoint.address];
        row.said.resize(members.size());
        row.said[i] = &endpoint;
      }
    }
  }
  return tables;
}

bool Differs(const Table& table, const Row& row) {
  bool up = false, not_up = false;
  for (size_t i = 0; i < table.has.size(); ++i) {
    if (!table.has[i]) continue;
    (row.said[i] != nullptr && row.said[i]->state == "up" ? up : not_up) = true;
  }
  return up && not_up;
}

void WriteRow(json::Writer& out, const Table& table, const std::string& address, const Row& row) {
  const auto first = std::find_if(row.said.begin(), row.said.end(),
                                  [](const FleetEndpoint* one) { return one != nullptr; });
  out.BeginObject().Key("address").String(address).Key("name").String((*first)->name);
  out.Key("differs").Bool(Differs(table, row));
  out.Key("states").BeginArray();
  for (const FleetEndpoint* one : row.said) one == nullptr ? out.Null() : out.String(one->state);
  out.EndArray().Key("rates").BeginArray();
  for (const FleetEndpoint* one : row.said) one == nullptr ? out.Null() : out.Double(one->rate_1s);
  out.EndArray().EndObject();
}

void WriteMember(json::Writer& out, const FleetMember& member) {
  FleetPool sum;
  uint64_t up = 0, endpoints = 0;
  for (const FleetPool& pool : member.pools) {
    sum.rate_1s += pool.rate_1s;
    sum.in_flight += pool.in_flight;
    sum.waiting += pool.waiting;
    sum.latency_p99_ms = std::max(sum.latency_p99_ms, pool.latency_p99_ms);
    endpoints += pool.endpoints.size();
    for (const FleetEndpoint& endpoint : pool.endpoints) up += endpoint.state == "up" ? 1 : 0;
  }
  out.BeginObject().Key("address").String(member.address);
  out.Key("self").Bool(member.address.empty()).Key("error").String(member.error);
  out.Key("name").String(member.name).Key("uptime_s").Double(member.uptime_s);
  out.Key("rate_1s").Double(sum.rate_1s).Key("in_flight").Uint(sum.in_flight);
  out.Key("waiting").Uint(sum.waiting).Key("latency_p99_ms");
  sum.latency_p99_ms.has_value() ? out.Double(*sum.latency_p99_ms) : out.Null();
  out.Key("up").Uint(up).Key("endpoints").Uint(endpoints).EndObject();
}

}  // namespace

Result<FleetMember> ReadFleetMember(std::string_view pools_json) {
  ASSIGN_OR_RETURN(const json::Value value, json::Parse(pools_json));
  FleetMember member;
  const json::Value* balancer = value.Find("balancer");
  if (balancer == nullptr) return Wrong("", "balancer", "an object");
  ASSIGN_OR_RETURN(member.name, Text(*balancer, "balancer.", "name"));
  ASSIGN_OR_RETURN(member.instance, Text(*balancer, "balancer.", "instance"));
  ASSIGN_OR_RETURN(const json::Value::Array* pools, List(value, "", "pools"));
  for (size_t i = 0; i < pools->size(); ++i) {
    ASSIGN_OR_RETURN(FleetPool pool, ReadPool((*pools)[i], Concat("pools[", i, "].")));
    member.uptime_s = std::max(member.uptime_s, pool.uptime_s);
    member.pools.push_back(std::move(pool));
  }
  return member;
}

std::string FleetJson(const std::vector<FleetMember>& members) {
  json::Writer out;
  out.BeginObject().Key("members").BeginArray();
  for (const FleetMember& member : members) WriteMember(out, member);
  out.EndArray().Key("pools").BeginArray();
  for (const auto& [upstream, table] : TablesOf(members)) {
    out.BeginObject().Key("upstream").String(upstream).Key("heard").BeginArray();
    for (const bool has : table.has) out.Bool(has);
    out.EndArray().Key("endpoints").BeginArray();
    for (const auto& [address, row] : table.rows) WriteRow(out, table, address, row);
    out.EndArray().EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

}  // namespace tepal::lb
