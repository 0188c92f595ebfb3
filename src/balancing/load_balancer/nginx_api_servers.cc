#include "balancing/load_balancer/nginx_api_servers.h"

#include <optional>
#include <string>

#include "balancing/load_balancer/nginx_api_json.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::lb {

namespace {

constexpr ApiError kServerNotFound{404, "server not found", "UpstreamServerNotFound"};
constexpr ApiError kMethodNotSupported{405, "method not supported", "MethodNotSupported"};
constexpr ApiError kImmutable{
    400, "the pool's discovery decides which servers there are; drain or weigh them instead",
    "UpstreamServerImmutable"};

AdminAnswer FormatError(const ServersRequest& request, std::string_view text) {
  return ApiErrorAnswer({400, text, "UpstreamConfFormatError"}, request.request_id);
}

template <typename Write>
AdminAnswer Json(Write write) {
  json::Writer out;
  write(out);
  AdminAnswer answer;
  answer.body = out.Take();
  return answer;
}

// What a body of the write routes may say; absent members stay as they are.
struct ServerChange {
  std::optional<env::Address> server;
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_conns;
  std::optional<bool> down;
  std::optional<bool> drain;
  std::optional<bool> backup;  // These two only of a new server.
  std::optional<Duration> slow_start;
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

// Libraries send booleans as texts, too.
Status ReadBool(const std::string& name, const json::Value& value, std::optional<bool>& into) {
  if (const std::string* text = value.AsString(); text != nullptr) {
    if (*text == "true" || *text == "false") {
      into = *text == "true";
      return {};
    }
  }
  if (value.AsBool() == nullptr) return InvalidArgument(Concat("\"", name, "\" must be a boolean"));
  into = *value.AsBool();
  return {};
}

// "30s" or 30.
Status ReadSeconds(const std::string& name, const json::Value& value,
                   std::optional<Duration>& into) {
  std::optional<uint32_t> seconds;
  if (const std::string* text = value.AsString(); text != nullptr) {
    std::string_view digits = *text;
    if (digits.ends_with('s')) digits.remove_suffix(1);
    seconds = ParseNumber<uint32_t>(digits);
  } else if (value.AsInt() != nullptr && *value.AsInt() >= 0 && *value.AsInt() <= UINT32_MAX) {
    seconds = static_cast<uint32_t>(*value.AsInt());
  }
  if (!seconds) return InvalidArgument(Concat("\"", name, "\" must be a time, as \"30s\""));
  into = std::chrono::seconds(*seconds);
  return {};
}

// What a client sends back of an answer although it cannot be changed here: taken at its default.
bool IsDefault(const std::string& name, const json::Value& value) {
  const std::string* text = value.AsString();
  if (name == "max_fails") return value.AsInt() != nullptr && *value.AsInt() == kApiMaxFails;
  if (name == "fail_timeout") return text != nullptr && *text == kApiFailTimeout;
  if (name == "route") return text != nullptr && text->empty();
  return name == "id";
}

Status ReadMember(const std::string& name, const json::Value& value, ServerChange& change) {
  if (name == "weight") return ReadNumber(name, value, 1, change.weight);
  if (name == "max_conns") return ReadNumber(name, value, 0, change.max_conns);
  if (name == "down") return ReadBool(name, value, change.down);
  if (name == "drain") return ReadBool(name, value, change.drain);
  if (name == "backup") return ReadBool(name, value, change.backup);
  if (name == "slow_start") return ReadSeconds(name, value, change.slow_start);
  if (name == "server") {
    if (value.AsString() == nullptr) return InvalidArgument("\"server\" must be a string");
    ASSIGN_OR_RETURN(change.server, env::Address::Parse(*value.AsString()));
    return {};
  }
  if (IsDefault(name, value)) return {};
  for (const std::string_view known : {"max_fails", "fail_timeout", "route", "service"}) {
    if (name == known) {
      return InvalidArgument(Concat("\"", name, "\" cannot be set for one server here: ",
                                    "it is a property of the pool (docs/balancer.md)"));
    }
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

bool IsListed(const BalancerState& state, const env::Address& address) {
  for (const EndpointReading& endpoint : state.endpoints) {
    if (endpoint.status.state != EndpointState::kRemoved &&
        endpoint.status.spec.address == address) {
      return true;
    }
  }
  return false;
}

AdminAnswer AddServer(const ServersRequest& request) {
  if (request.pool.discovered) return ApiErrorAnswer(kImmutable, request.request_id);
  EndpointControl& control = *request.pool.control;
  const Result<ServerChange> change = ReadChange(request.body);
  if (!change.ok()) return FormatError(request, change.status().message());
  if (!change->server) return FormatError(request, "missing \"server\" argument");
  if (IsListed(control.Read(), *change->server)) {
    return ApiErrorAnswer({409, "the server is listed already", "EntryExists"}, request.request_id);
  }
  EndpointSpec spec;
  spec.address = *change->server;
  spec.backup = change->backup.value_or(false);
  spec.slow_start = change->slow_start.value_or(Duration::zero());
  const EndpointId id = control.AddEndpoint(std::move(spec));
  Apply(control, id, *change);
  const BalancerState after = control.Read();
  AdminAnswer answer =
      Json([&](json::Writer& out) { WriteServer(out, *FindServer(after, Concat(id))); });
  answer.status = 201;
  answer.location =
      Concat("/api/", request.version, "/http/upstreams/", request.pool.name, "/servers/", id);
  return answer;
}

AdminAnswer ChangeServer(const ServersRequest& request, const EndpointReading& endpoint) {
  EndpointControl& control = *request.pool.control;
  const Result<ServerChange> change = ReadChange(request.body);
  if (!change.ok()) return FormatError(request, change.status().message());
  if (change->server && !(*change->server == endpoint.status.spec.address)) {
    return FormatError(request, "the address of a server cannot be changed: add another one");
  }
  const EndpointSpec& spec = endpoint.status.spec;
  if (change->backup.value_or(spec.backup) != spec.backup ||
      change->slow_start.value_or(spec.slow_start) != spec.slow_start) {
    return FormatError(request, "backup and slow_start can be set for a new server only");
  }
  Apply(control, endpoint.status.id, *change);
  const BalancerState after = control.Read();
  return Json([&](json::Writer& out) { WriteServer(out, *FindServer(after, request.id)); });
}

AdminAnswer OneServer(const ServersRequest& request) {
  EndpointControl& control = *request.pool.control;
  const BalancerState state = control.Read();
  const EndpointReading* const endpoint = FindServer(state, request.id);
  if (endpoint == nullptr) return ApiErrorAnswer(kServerNotFound, request.request_id);
  if (request.method == "GET") {
    return Json([&](json::Writer& out) { WriteServer(out, *endpoint); });
  }
  if (request.method == "PATCH") return ChangeServer(request, *endpoint);
  if (request.method != "DELETE") return ApiErrorAnswer(kMethodNotSupported, request.request_id);
  if (request.pool.discovered) return ApiErrorAnswer(kImmutable, request.request_id);
  (void)control.RemoveEndpoint(endpoint->status.id);
  return Json([&](json::Writer& out) { WriteServers(out, control.Read()); });
}

}  // namespace

AdminAnswer ApiErrorAnswer(const ApiError& error, std::string_view request_id) {
  json::Writer out;
  out.BeginObject().Key("error").BeginObject();
  out.Key("status").Int(error.status).Key("text").String(error.text);
  out.Key("code").String(error.code).EndObject();
  out.Key("request_id").String(request_id);
  out.Key("href").String("https://nginx.org/en/docs/http/ngx_http_api_module.html").EndObject();
  AdminAnswer answer;
  answer.status = error.status;
  answer.body = out.Take();
  return answer;
}

AdminAnswer AnswerServers(const ServersRequest& request) {
  if (!request.id.empty()) return OneServer(request);
  if (request.method == "GET") {
    return Json([&](json::Writer& out) { WriteServers(out, request.pool.control->Read()); });
  }
  if (request.method == "POST") return AddServer(request);
  return ApiErrorAnswer(kMethodNotSupported, request.request_id);
}

}  // namespace tepal::lb
