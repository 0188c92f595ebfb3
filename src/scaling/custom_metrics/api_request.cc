#include "scaling/custom_metrics/api_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Kind = ApiRequest::Kind;
using Parts = std::vector<std::string>;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> Unescape(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return InvalidArgument(Concat("invalid URL escape \"", text.substr(i, 3), "\""));
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Parts SplitPath(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return {};
  const auto parts = Split(path, '/');
  return {parts.begin(), parts.end()};
}

std::string_view VerbOf(std::string_view method) {
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  return method == "DELETE" ? "delete" : "";
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// RequestInfoFactory of k8s.io/apiserver: the resource after group and version.
void FindResource(const Parts& parts, size_t at, bool watch, RequestAttributes& into) {
  const bool special = parts[at] == "proxy" || parts[at] == "watch";
  if (special) into.verb = parts[at++];
  if (at >= parts.size()) return;
  if (parts[at] == "namespaces" && at + 1 < parts.size()) {
    into.name_space = parts[at + 1];
    const bool more =
        at + 2 < parts.size() && parts[at + 2] != "status" && parts[at + 2] != "finalize";
    if (more) at += 2;
  }
  into.resource = parts[at];
  if (at + 1 < parts.size()) into.name = parts[at + 1];
  if (at + 2 < parts.size() && !special) into.subresource = parts[at + 2];
  if (!into.name.empty() || special) return;
  if (into.verb == "get") into.verb = watch ? "watch" : "list";
  if (into.verb == "delete") into.verb = "deletecollection";
}

RequestAttributes AttributesOf(std::string_view method, std::string path, const Parts& parts,
                               bool watch) {
  RequestAttributes made;
  made.path = std::move(path);
  const bool grouped = !parts.empty() && parts[0] == "apis";
  const bool core = !parts.empty() && parts[0] == "api";
  if ((!grouped && !core) || parts.size() < (grouped ? 4u : 3u)) {
    made.verb = Lower(method);
    return made;
  }
  made.is_resource = true;
  made.verb = VerbOf(method);
  size_t at = 1;
  if (grouped) made.group = parts[at++];
  made.version = parts[at++];
  FindResource(parts, at, watch, made);
  return made;
}

bool KnownVersion(std::string_view group, std::string_view version) {
  if (group == kCustomGroup) return version == "v1beta1" || version == "v1beta2";
  return group == kExternalGroup && version == "v1beta1";
}

Kind FindObjects(const Parts& rest, ApiRequest& into) {
  if (rest.size() == 4 && rest[0] == "namespaces" && rest[2] == "metrics") {
    into.resource = {"", "namespaces"};
    into.name = rest[1];
    into.metric = rest[3];
  } else if (rest.size() == 5 && rest[0] == "namespaces") {
    into.name_space = rest[1];
    into.resource = ParseGroupResource(rest[2]);
    into.name = rest[3];
    into.metric = rest[4];
  } else if (rest.size() == 3 && rest[0] != "namespaces") {
    into.resource = ParseGroupResource(rest[0]);
    into.name = rest[1];
    into.metric = rest[2];
  } else {
    return Kind::kUnknown;
  }
  return Kind::kObjects;
}

Kind FindApi(const Parts& parts, ApiRequest& into) {
  if (parts.size() == 1) return Kind::kGroups;
  into.group = parts[1];
  if (into.group != kCustomGroup && into.group != kExternalGroup) return Kind::kUnknown;
  if (parts.size() == 2) return Kind::kGroup;
  into.version = parts[2];
  if (!KnownVersion(into.group, into.version)) return Kind::kUnknown;
  if (parts.size() == 3) return Kind::kResources;
  const Parts rest(parts.begin() + 3, parts.end());
  if (std::find(rest.begin(), rest.end(), "") != rest.end()) return Kind::kUnknown;
  if (into.group == kCustomGroup) return FindObjects(rest, into);
  if (rest.size() != 3 || rest[0] != "namespaces") return Kind::kUnknown;
  into.name_space = rest[1];
  into.metric = rest[2];
  return Kind::kExternal;
}

Kind FindOpenApi(const Parts& parts, ApiRequest& into) {
  if (parts.size() == 2 && parts[1] == "v2") return Kind::kOpenApiV2;
  if (parts.size() < 2 || parts[1] != "v3") return Kind::kUnknown;
  if (parts.size() == 2) return Kind::kOpenApiV3Index;
  if (parts.size() != 5 || parts[2] != "apis" || !KnownVersion(parts[3], parts[4])) {
    return Kind::kUnknown;
  }
  into.group = parts[3];
  into.version = parts[4];
  return Kind::kOpenApiV3;
}

Kind FindKind(const Parts& parts, ApiRequest& into) {
  if (parts.empty()) return Kind::kRoot;
  const std::string& first = parts[0];
  if (first == "apis") return FindApi(parts, into);
  if (first == "openapi") return FindOpenApi(parts, into);
  if (first == "healthz" || first == "livez" || first == "readyz") {
    if (parts.size() > 2) return Kind::kUnknown;
    into.name = first;
    if (parts.size() == 2) into.check = parts[1];
    return Kind::kHealth;
  }
  if (parts.size() != 1) return Kind::kUnknown;
  if (first == "version") return Kind::kVersion;
  return first == "metrics" ? Kind::kMetrics : Kind::kUnknown;
}

Status ReadQuery(std::string_view query, ApiRequest& into, bool& watch) {
  if (query.empty()) return {};
  for (const std::string_view pair : Split(query, '&')) {
    const size_t equals = std::min(pair.find('='), pair.size());
    ASSIGN_OR_RETURN(const std::string name, Unescape(pair.substr(0, equals), true));
    ASSIGN_OR_RETURN(std::string value,
                     Unescape(pair.substr(std::min(equals + 1, pair.size())), true));
    if (name == "verbose") into.verbose = true;
    if (name == "watch") watch = value == "true" || value == "1";
    if (name == "exclude") into.excluded.push_back(value);
    // As in Go, of several the first counts.
    if (name == "labelSelector" && into.label_selector.empty()) into.label_selector = value;
    if (name == "metricLabelSelector" && into.metric_selector.empty()) {
      into.metric_selector = std::move(value);
    }
  }
  return {};
}

// One clause of an Accept header.
struct Clause {
  std::string type;
  std::string as, version, group;
  double quality = 1;
};

Clause ParseClause(std::string_view text) {
  Clause made;
  bool first = true;
  for (const std::string_view part : Split(text, ';')) {
    const std::string_view word = Trim(part);
    if (std::exchange(first, false)) {
      made.type = Lower(word);
      continue;
    }
    const size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    if (name == "as") made.as = value;
    if (name == "v") made.version = value;
    if (name == "g") made.group = value;
    if (name == "q") made.quality = ParseNumber<double>(value).value_or(0);
  }
  return made;
}

std::optional<MediaType> Take(const Clause& clause, bool aggregated) {
  constexpr std::array<std::string_view, 4> kTypes = {"*/*", "application/*", "application/json",
                                                      "application/vnd.kubernetes.protobuf"};
  if (clause.quality <= 0) return std::nullopt;
  if (std::find(kTypes.begin(), kTypes.end(), clause.type) == kTypes.end()) return std::nullopt;
  if (clause.as.empty()) return MediaType::kJson;
  if (!aggregated || clause.as != "APIGroupDiscoveryList" || clause.type != "application/json" ||
      clause.group != "apidiscovery.k8s.io") {
    return std::nullopt;
  }
  if (clause.version == "v2") return MediaType::kAggregatedV2;
  if (clause.version == "v2beta1") return MediaType::kAggregatedV2Beta1;
  return std::nullopt;
}

}  // namespace

Result<ApiRequest> ParseApiRequest(std::string_view method, std::string_view target) {
  ApiRequest made;
  const size_t question = std::min(target.find('?'), target.size());
  ASSIGN_OR_RETURN(std::string path, Unescape(target.substr(0, question), false));
  bool watch = false;
  RETURN_IF_ERROR(ReadQuery(target.substr(std::min(question + 1, target.size())), made, watch));
  const Parts parts = SplitPath(path);
  made.attributes = AttributesOf(method, std::move(path), parts, watch);
  made.kind = FindKind(parts, made);
  if (watch && (made.kind == Kind::kExternal || made.kind == Kind::kObjects)) {
    made.kind = Kind::kUnknown;
  }
  return made;
}

std::optional<MediaType> Negotiate(std::string_view accept, bool aggregated) {
  if (Trim(accept).empty()) return MediaType::kJson;
  std::vector<Clause> clauses;
  for (const std::string_view text : Split(accept, ',')) clauses.push_back(ParseClause(text));
  std::stable_sort(clauses.begin(), clauses.end(),
                   [](const Clause& a, const Clause& b) { return a.quality > b.quality; });
  for (const Clause& clause : clauses) {
    if (const auto taken = Take(clause, aggregated)) return taken;
  }
  return std::nullopt;
}

GroupResource ParseGroupResource(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {"", std::string(text)};
  return {std::string(text.substr(dot + 1)), std::string(text.substr(0, dot))};
}

std::string ToString(const GroupResource& resource) {
  return resource.group.empty() ? resource.resource
                                : Concat(resource.resource, ".", resource.group);
}

}  // namespace tepal::custom_metrics
