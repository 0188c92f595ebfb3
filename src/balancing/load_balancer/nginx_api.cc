#include "balancing/load_balancer/nginx_api.h"

#include <optional>
#include <string>
#include <vector>

#include "balancing/load_balancer/nginx_api_json.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::lb {

namespace {

AdminAnswer Error(int status, std::string_view text, std::string_view code) {
  json::Writer out;
  out.BeginObject().Key("error").BeginObject();
  out.Key("status").Int(status).Key("text").String(text).Key("code").String(code).EndObject();
  out.Key("request_id").String("");
  out.Key("href").String("https://nginx.org/en/docs/http/ngx_http_api_module.html").EndObject();
  AdminAnswer answer;
  answer.status = status;
  answer.body = out.Take();
  return answer;
}

AdminAnswer PathNotFound() { return Error(404, "path not found", "PathNotFound"); }
AdminAnswer ServerNotFound() { return Error(404, "server not found", "UpstreamServerNotFound"); }
AdminAnswer MethodNotSupported() {
  return Error(405, "method not supported", "MethodNotSupported");
}
AdminAnswer FormatError(std::string_view text) {
  return Error(400, text, "UpstreamConfFormatError");
}

template <typename Write>
AdminAnswer Json(Write write) {
  json::Writer out;
  write(out);
  AdminAnswer answer;
  answer.body = out.Take();
  return answer;
}

AdminAnswer Names(std::initializer_list<std::string_view> names) {
  return Json([&](json::Writer& out) {
    out.BeginArray();
    for (const std::string_view name : names) out.String(name);
    out.EndArray();
  });
}

// What a body of the write routes may say; absent members stay as they are.
struct ServerChange {
  std::optional<env::Address> server;
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_conns;
  std::optional<bool> down;
  std::optional<bool> drain;
};

Status ReadNumber(const std::string& name, const json::Value& value, int64_t least,
                  std::optional<uint32_t>& into) {
  const int64_t* number = value.AsInt();
  if (number == nullptr || *number < least || *number > UINT32_MAX) {
    return InvalidArgument(Concat("\"", name, "\" must be a whole number of at least ", least));
  }
  into = static_cast<uint32_t>(*number);
  return {};
}

Status ReadBool(const std::string& name, const json::Value& value, std::optional<bool>& into) {
  if (value.AsBool() == nullptr) return InvalidArgument(Concat("\"", name, "\" must be a boolean"));
  into = *value.AsBool();
  return {};
}

Status ReadMember(const std::string& name, const json::Value& value, ServerChange& change) {
  if (name == "weight") return ReadNumber(name, value, 1, change.weight);
  if (name == "max_conns") return ReadNumber(name, value, 0, change.max_conns);
  if (name == "down") return ReadBool(name, value, change.down);
  if (name == "drain") return ReadBool(name, value, change.drain);
  if (name == "server") {
    if (value.AsString() == nullptr) return InvalidArgument("\"server\" must be a string");
    ASSIGN_OR_RETURN(change.server, env::Address::Parse(*value.AsString()));
    return {};
  }
  return InvalidArgument(Concat("unknown parameter \"", name, "\"; known are server, weight, ",
                                "max_conns, down and drain"));
}

Result<ServerChange> ReadChange(std::string_view body) {
  ASSIGN_OR_RETURN(const json::Value value, json::Parse(body));
  if (value.AsObject() == nullptr) return InvalidArgument("expected a JSON object");
  ServerChange change;
  for (const auto& [name, member] : *value.AsObject()) {
    RETURN_IF_ERROR(ReadMember(name, member, change));
  }
  return change;
}

void Apply(EndpointControl& control, EndpointId id, const ServerChange& change) {
  // The endpoint was looked up just before, on the same thread: these cannot fail.
  if (change.weight) (void)control.SetWeight(id, *change.weight);
  if (change.max_conns) (void)control.SetInFlightMax(id, *change.max_conns);
  if (change.down) (void)control.SetDown(id, *change.down);
  if (change.drain) {
    if (*change.drain) {
      (void)control.DrainEndpoint(id, nullptr);
    } else {
      (void)control.SetDown(id, change.down.value_or(false));
    }
  }
}

const EndpointReading* FindServer(const BalancerState& state, std::string_view id) {
  const auto number = ParseNumber<EndpointId>(id);
  for (const EndpointReading& endpoint : state.endpoints) {
    if (endpoint.status.state != EndpointState::kRemoved && number == endpoint.status.id) {
      return &endpoint;
    }
  }
  return nullptr;
}

AdminAnswer AddServer(EndpointControl& control, const BalancerState& state, std::string_view body) {
  const Result<ServerChange> change = ReadChange(body);
  if (!change.ok()) return FormatError(change.status().message());
  if (!change->server) return FormatError("missing \"server\" argument");
  EndpointSpec spec;
  spec.address = *change->server;
  const EndpointId id = control.AddEndpoint(std::move(spec));
  Apply(control, id, *change);
  const BalancerState after = control.Read();
  AdminAnswer answer =
      Json([&](json::Writer& out) { WriteServer(out, *FindServer(after, Concat(id))); });
  answer.status = 201;
  answer.location = Concat("/api/9/http/upstreams/", state.upstream, "/servers/", id);
  return answer;
}

AdminAnswer OneServer(EndpointControl& control, const BalancerState& state, std::string_view method,
                      std::string_view id_text, std::string_view body) {
  const EndpointReading* const endpoint = FindServer(state, id_text);
  if (endpoint == nullptr) return ServerNotFound();
  const EndpointId id = endpoint->status.id;
  if (method == "GET") return Json([&](json::Writer& out) { WriteServer(out, *endpoint); });
  if (method == "DELETE") {
    (void)control.RemoveEndpoint(id);
    return Json([&](json::Writer& out) { WriteServers(out, control.Read()); });
  }
  if (method != "PATCH") return MethodNotSupported();
  const Result<ServerChange> change = ReadChange(body);
  if (!change.ok()) return FormatError(change.status().message());
  if (change->server && !(*change->server == endpoint->status.spec.address)) {
    return FormatError("the address of a server cannot be changed: add another one");
  }
  Apply(control, id, *change);
  const BalancerState after = control.Read();
  return Json([&](json::Writer& out) { WriteServer(out, *FindServer(after, id_text)); });
}

AdminAnswer Upstreams(EndpointControl& control, std::string_view method,
                      const std::vector<std::string_view>& parts, std::string_view body) {
  const BalancerState state = control.Read();
  const bool get = method == "GET";
  if (parts.size() == 2) {
    if (!get) return MethodNotSupported();
    return Json([&](json::Writer& out) { WriteUpstreams(out, state); });
  }
  if (parts[2] != state.upstream) return Error(404, "upstream not found", "UpstreamNotFound");
  if (parts.size() == 3) {
    if (!get) return MethodNotSupported();
    return Json([&](json::Writer& out) { WriteUpstream(out, state); });
  }
  if (parts[3] != "servers" || parts.size() > 5) return PathNotFound();
  if (parts.size() == 5) return OneServer(control, state, method, parts[4], body);
  if (get) return Json([&](json::Writer& out) { WriteServers(out, state); });
  if (method == "POST") return AddServer(control, state, body);
  return MethodNotSupported();
}

AdminAnswer ReadOnly(EndpointControl& control, const std::vector<std::string_view>& parts) {
  const std::string_view last = parts.back();
  void (*write)(json::Writer&, const BalancerState&) = nullptr;
  if (parts.size() == 1) {
    if (last == "http") return Names({"requests", "server_zones", "upstreams"});
    if (last == "nginx") write = WriteNginx;
    if (last == "connections") write = WriteConnections;
  } else if (parts.size() == 2 && parts[0] == "http") {
    if (last == "requests") write = WriteRequests;
    if (last == "server_zones") write = WriteServerZones;
  }
  if (write == nullptr) return PathNotFound();
  return Json([&](json::Writer& out) { write(out, control.Read()); });
}

}  // namespace

AdminAnswer AnswerNginxApi(EndpointControl& control, std::string_view method, std::string_view path,
                           std::string_view body) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  std::vector<std::string_view> parts = Split(path, '/');  // "", "api", "9", …
  if (parts.size() == 2) {
    return Json([](json::Writer& out) { out.BeginArray().Int(9).EndArray(); });
  }
  if (parts[2] != "9") return Error(404, "unknown version", "UnknownVersion");
  if (parts.size() == 3) return Names({"nginx", "connections", "http"});
  parts.erase(parts.begin(), parts.begin() + 3);
  if (parts.size() >= 2 && parts[0] == "http" && parts[1] == "upstreams") {
    return Upstreams(control, method, parts, body);
  }
  AdminAnswer answer = ReadOnly(control, parts);
  return answer.status == 200 && method != "GET" ? MethodNotSupported() : answer;
}

}  // namespace tepal::lb
