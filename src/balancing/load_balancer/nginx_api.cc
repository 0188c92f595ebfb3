#include "balancing/load_balancer/nginx_api.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "balancing/load_balancer/json_fields.h"
#include "balancing/load_balancer/nginx_api_json.h"
#include "balancing/load_balancer/nginx_api_servers.h"
#include "core/base/text.h"

namespace tepal::lb {

namespace {

constexpr ApiError kPathNotFound{404, "path not found", "PathNotFound"};
constexpr ApiError kMethodNotSupported{405, "method not supported", "MethodNotSupported"};
constexpr ApiError kUpstreamNotFound{404, "upstream not found", "UpstreamNotFound"};
constexpr ApiError kZoneNotFound{404, "server zone not found", "ServerZoneNotFound"};
constexpr ApiError kUnknownVersion{404, "unknown version", "UnknownVersion"};

constexpr std::array<std::string_view, 4> kVersions = {"6", "7", "8", "9"};
constexpr std::array<std::string_view, 8> kHttp = {"requests",  "server_zones", "location_zones",
                                                   "caches",    "limit_conns",  "limit_reqs",
                                                   "upstreams", "keyvals"};

using Write = void (*)(json::Writer&, AdminSubject&);

void WriteEmpty(json::Writer& out, AdminSubject&) { out.BeginObject().EndObject(); }

void WriteProcesses(json::Writer& out, AdminSubject&) {
  out.BeginObject().Key("respawned").Uint(0).EndObject();
}

// One of the reads that have no name in their path; null for a path that there is not.
Write FindRead(const std::vector<std::string_view>& parts, bool has_workers) {
  const std::string_view last = parts.back();
  if (parts.size() == 1) {
    if (last == "nginx") {
      return [](json::Writer& out, AdminSubject& s) { WriteNginx(out, s.Read(), s.generation); };
    }
    if (last == "connections") {
      return [](json::Writer& out, AdminSubject& s) { WriteConnections(out, s.Read()); };
    }
    if (last == "ssl") return [](json::Writer& out, AdminSubject& s) { WriteSsl(out, s.Read()); };
    if (last == "processes") return WriteProcesses;
    if (last == "slabs" || last == "resolvers") return WriteEmpty;
    if (last == "workers" && has_workers) {
      return [](json::Writer& out, AdminSubject&) { out.BeginArray().EndArray(); };
    }
    return nullptr;
  }
  if (parts.size() != 2 || parts[0] != "http") return nullptr;
  if (last == "requests") {
    return [](json::Writer& out, AdminSubject& s) { WriteRequests(out, s.Read()); };
  }
  if (last == "server_zones") {
    return [](json::Writer& out, AdminSubject& s) { WriteServerZones(out, s.Read()); };
  }
  if (last == "upstreams") {
    return [](json::Writer& out, AdminSubject& s) { WriteUpstreams(out, s.Read()); };
  }
  return std::find(kHttp.begin(), kHttp.end(), last) == kHttp.end() ? nullptr : WriteEmpty;
}

template <typename Names>
AdminAnswer List(const Names& names) {
  json::Writer out;
  out.BeginArray();
  for (const std::string_view name : names) out.String(name);
  out.EndArray();
  AdminAnswer answer;
  answer.body = out.Take();
  return answer;
}

AdminAnswer Roots(std::string_view version) {
  std::vector<std::string_view> roots = {"nginx", "processes", "connections", "slabs",
                                         "http",  "resolvers", "ssl"};
  if (version == "9") roots.push_back("workers");
  return List(roots);
}

AdminAnswer Versions() {
  json::Writer out;
  out.BeginArray();
  for (const std::string_view version : kVersions) out.Int(*ParseNumber<int>(version));
  out.EndArray();
  AdminAnswer answer;
  answer.body = out.Take();
  return answer;
}

// The value of "fields"; false when it is not given.
bool ReadFields(std::string_view query, std::vector<std::string_view>& fields) {
  for (const std::string_view pair : Split(query, '&')) {
    if (pair != "fields" && !pair.starts_with("fields=")) continue;
    const std::string_view value = pair.substr(std::min<size_t>(pair.size(), 7));
    if (!value.empty()) fields = Split(value, ',');
    return true;
  }
  return false;
}

bool IsListByName(const std::vector<std::string_view>& parts) {
  return parts.size() == 2 && parts[0] == "http" && parts[1] != "requests";
}

// What a path below the version reads; empty when there is no such path.
AdminAnswer Read(AdminSubject& subject, const ApiRequest& request,
                 const std::vector<std::string_view>& parts, std::string_view version) {
  json::Writer out;
  if (parts.size() == 1 && parts[0] == "http") return List(kHttp);
  if (parts.size() == 3 && parts[0] == "http" && parts[1] == "upstreams") {
    AdminPool* const pool = subject.Find(parts[2]);
    if (pool == nullptr) return ApiErrorAnswer(kUpstreamNotFound, request.id);
    WriteUpstream(out, pool->control->Read());
  } else if (parts.size() == 3 && parts[0] == "http" && parts[1] == "server_zones") {
    AdminPool* const pool = subject.Find(parts[2]);
    if (pool == nullptr) return ApiErrorAnswer(kZoneNotFound, request.id);
    WriteServerZone(out, pool->control->Read());
  } else if (const Write write = FindRead(parts, version == "9")) {
    write(out, subject);
  } else {
    return ApiErrorAnswer(kPathNotFound, request.id);
  }
  AdminAnswer answer;
  answer.body = out.Take();
  std::vector<std::string_view> fields;
  if (ReadFields(request.query, fields) && answer.body.starts_with('{')) {
    answer.body = KeepFields(answer.body, fields, IsListByName(parts));
  }
  return answer;
}

bool NamesServers(const std::vector<std::string_view>& parts) {
  return (parts.size() == 4 || parts.size() == 5) && parts[0] == "http" &&
         parts[1] == "upstreams" && parts[3] == "servers";
}

}  // namespace

AdminAnswer AnswerNginxApi(AdminSubject& subject, const ApiRequest& request) {
  std::string_view path = request.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  std::vector<std::string_view> parts = Split(path, '/');  // "", "api", "9", …
  if (parts.size() == 2) return Versions();
  const std::string_view version = parts[2];
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    return ApiErrorAnswer(kUnknownVersion, request.id);
  }
  parts.erase(parts.begin(), parts.begin() + 3);
  if (NamesServers(parts)) {
    AdminPool* const pool = subject.Find(parts[2]);
    if (pool == nullptr) return ApiErrorAnswer(kUpstreamNotFound, request.id);
    return AnswerServers({*pool, request.method, version,
                          parts.size() == 5 ? parts[4] : std::string_view(), request.body,
                          request.id});
  }
  AdminAnswer answer = parts.empty() ? Roots(version) : Read(subject, request, parts, version);
  if (answer.status != 200 || request.method == "GET" || request.method == "HEAD") return answer;
  return ApiErrorAnswer(kMethodNotSupported, request.id);
}

}  // namespace tepal::lb
