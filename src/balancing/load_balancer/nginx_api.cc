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
constexpr ApiError kResolverNotFound{404, "resolver zone not found", "ResolverZoneNotFound"};
constexpr ApiError kUnknownVersion{404, "unknown version", "UnknownVersion"};

constexpr int kVersionOfWorkers = 9;
constexpr std::array<std::string_view, 4> kVersions = {"6", "7", "8", "9"};
constexpr std::array<std::string_view, 8> kHttp = {"requests",  "server_zones", "location_zones",
                                                   "caches",    "limit_conns",  "limit_reqs",
                                                   "upstreams", "keyvals"};

using Write = void (*)(json::Writer&, AdminSubject&, int version);

void WriteEmpty(json::Writer& out, AdminSubject&, int) { out.BeginObject().EndObject(); }

void WriteProcesses(json::Writer& out, AdminSubject&, int) {
  out.BeginObject().Key("respawned").Uint(0).EndObject();
}

// One of the reads that have no name in their path; null for a path that there is not.
Write FindRead(const std::vector<std::string_view>& parts, int version) {
  const std::string_view last = parts.back();
  if (parts.size() == 1) {
    if (last == "nginx") {
      return
          [](json::Writer& out, AdminSubject& s, int) { WriteNginx(out, s.Read(), s.generation); };
    }
    if (last == "connections") {
      return [](json::Writer& out, AdminSubject& s, int) { WriteConnections(out, s.Read()); };
    }
    if (last == "ssl") {
      return [](json::Writer& out, AdminSubject& s, int) { WriteSsl(out, s.Read()); };
    }
    if (last == "resolvers") {
      return
          [](json::Writer& out, AdminSubject& s, int) { WriteResolvers(out, s.ReadResolvers()); };
    }
    if (last == "processes") return WriteProcesses;
    if (last == "slabs") return WriteEmpty;
    if (last == "workers" && version >= kVersionOfWorkers) {
      return [](json::Writer& out, AdminSubject&, int) { out.BeginArray().EndArray(); };
    }
    return nullptr;
  }
  if (parts.size() != 2 || parts[0] != "http") return nullptr;
  if (last == "requests") {
    return [](json::Writer& out, AdminSubject& s, int) { WriteRequests(out, s.Read()); };
  }
  if (last == "server_zones") {
    return [](json::Writer& out, AdminSubject& s, int of) { WriteServerZones(out, s.Read(), of); };
  }
  if (last == "upstreams") {
    return [](json::Writer& out, AdminSubject& s, int of) { WriteUpstreams(out, s.Read(), of); };
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

AdminAnswer Roots(int version) {
  std::vector<std::string_view> roots = {"nginx", "processes", "connections", "slabs",
                                         "http",  "resolvers", "ssl"};
  if (version >= kVersionOfWorkers) roots.push_back("workers");
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
  return (parts.size() == 2 && parts[0] == "http" && parts[1] != "requests") ||
         (parts.size() == 1 && parts[0] == "resolvers");
}

// What a path below the version reads; empty when there is no such path.
AdminAnswer Read(AdminSubject& subject, const ApiRequest& request,
                 const std::vector<std::string_view>& parts, int version) {
  json::Writer out;
  if (parts.size() == 1 && parts[0] == "http") return List(kHttp);
  if (parts.size() == 3 && parts[0] == "http" && parts[1] == "upstreams") {
    AdminPool* const pool = subject.Find(parts[2]);
    if (pool == nullptr) return ApiErrorAnswer(kUpstreamNotFound, request.id);
    WriteUpstream(out, pool->control->Read(), version);
  } else if (parts.size() == 3 && parts[0] == "http" && parts[1] == "server_zones") {
    AdminPool* const pool = subject.Find(parts[2]);
    if (pool == nullptr) return ApiErrorAnswer(kZoneNotFound, request.id);
    WriteServerZone(out, pool->control->Read(), version);
  } else if (parts.size() == 2 && parts[0] == "resolvers") {
    const std::vector<ResolverZone> zones = subject.ReadResolvers();
    const auto zone = std::find_if(zones.begin(), zones.end(),
                                   [&](const ResolverZone& one) { return one.name == parts[1]; });
    if (zone == zones.end()) return ApiErrorAnswer(kResolverNotFound, request.id);
    WriteResolver(out, *zone);
  } else if (const Write write = FindRead(parts, version)) {
    write(out, subject, version);
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
  const int number = *ParseNumber<int>(version);
  AdminAnswer answer = parts.empty() ? Roots(number) : Read(subject, request, parts, number);
  if (answer.status != 200 || request.method == "GET" || request.method == "HEAD") return answer;
  return ApiErrorAnswer(kMethodNotSupported, request.id);
}

}  // namespace tepal::lb
