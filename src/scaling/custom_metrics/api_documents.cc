#include "scaling/custom_metrics/api_documents.h"

#include <map>
#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "scaling/custom_metrics/api_request.h"

namespace tepal::custom_metrics {
namespace {

// A resource as discovery names it: a kind of objects and the metric as its part, or an external
// metric without a part.
struct Resource {
  std::string name;
  std::string part;
  bool namespaced = true;
};

std::vector<Resource> ResourcesOf(std::string_view group, const Catalog& catalog) {
  std::vector<Resource> list;
  if (group == kCustomGroup) {
    for (const MetricInfo& one : catalog.objects) {
      list.push_back({ToString(one.resource), one.metric, one.namespaced});
    }
  } else {
    for (const std::string& metric : catalog.external) list.push_back({metric, "", true});
  }
  return list;
}

std::string_view KindOf(std::string_view group) {
  return group == kCustomGroup ? "MetricValueList" : "ExternalMetricValueList";
}

std::vector<std::string_view> Groups(bool with_external) {
  if (with_external) return {kCustomGroup, kExternalGroup};
  return {kCustomGroup};
}

void WriteVersion(json::Writer& out, std::string_view group, std::string_view version) {
  out.BeginObject().Key("groupVersion").String(Concat(group, "/", version));
  out.Key("version").String(version).EndObject();
}

// The fields of an APIGroup but for kind and apiVersion.
void WriteGroup(json::Writer& out, std::string_view group) {
  out.Key("name").String(group).Key("versions").BeginArray();
  for (const std::string_view version : VersionsOf(group)) WriteVersion(out, group, version);
  out.EndArray().Key("preferredVersion");
  WriteVersion(out, group, VersionsOf(group).front());
}

void WriteVerbs(json::Writer& out) { out.Key("verbs").BeginArray().String("get").EndArray(); }

void WriteResponseKind(json::Writer& out, std::string_view kind) {
  out.Key("responseKind").BeginObject().Key("group").String("").Key("version").String("");
  out.Key("kind").String(kind).EndObject();
}

std::string_view ScopeOf(const Resource& resource) {
  return resource.namespaced ? "Namespaced" : "Cluster";
}

// Metrics are parts (subresources) of a resource that is not itself there to be read.
void WriteAggregatedParts(json::Writer& out, std::string_view group, const std::string& name,
                          const std::vector<const Resource*>& parts) {
  out.BeginObject().Key("resource").String(name);
  WriteResponseKind(out, "");
  out.Key("scope").String(ScopeOf(*parts.front())).Key("singularResource").String("");
  out.Key("verbs").BeginArray().EndArray().Key("subresources").BeginArray();
  for (const Resource* part : parts) {
    out.BeginObject().Key("subresource").String(part->part);
    WriteResponseKind(out, KindOf(group));
    WriteVerbs(out);
    out.EndObject();
  }
  out.EndArray().EndObject();
}

void WriteAggregated(json::Writer& out, std::string_view group,
                     const std::vector<Resource>& resources) {
  std::map<std::string, std::vector<const Resource*>> parts;
  for (const Resource& one : resources) {
    if (!one.part.empty()) {
      parts[one.name].push_back(&one);
      continue;
    }
    out.BeginObject().Key("resource").String(one.name);
    WriteResponseKind(out, KindOf(group));
    out.Key("scope").String(ScopeOf(one)).Key("singularResource").String("");
    WriteVerbs(out);
    out.EndObject();
  }
  for (const auto& [name, list] : parts) WriteAggregatedParts(out, group, name, list);
}

// OpenAPI. A path of an API and the names that are between its braces.
struct ApiPath {
  std::string_view path;
  std::vector<std::string_view> names;
  std::string_view does;
};

std::vector<ApiPath> PathsOf(std::string_view group) {
  if (group == kExternalGroup) {
    return {{"/namespaces/{namespace}/{metric}",
             {"namespace", "metric"},
             "the values of a metric of nothing in the cluster"}};
  }
  return {{"/namespaces/{namespace}/{resource}/{name}/{metric}",
           {"namespace", "resource", "name", "metric"},
           "a metric of one object of a namespace, or with * of those that match"},
          {"/namespaces/{namespace}/metrics/{metric}",
           {"namespace", "metric"},
           "a metric of a namespace"},
          {"/{resource}/{name}/{metric}",
           {"resource", "name", "metric"},
           "a metric of one object without a namespace, or with * of those that match"}};
}

std::string NameOfOperation(std::string_view group, std::string_view version, size_t number) {
  std::string name = group == kCustomGroup ? "readCustomMetrics" : "readExternalMetrics";
  name += Concat(version == "v1beta1" ? "V1beta1" : "V1beta2", number + 1);
  return name;
}

std::string NameOfDefinition(std::string_view group, std::string_view version) {
  return Concat("io.k8s.metrics.pkg.apis.", group == kCustomGroup ? "custom" : "external",
                "_metrics.", version, ".", KindOf(group));
}

std::string Prefix(std::string_view group, std::string_view version) {
  return Concat("/apis/", group, "/", version);
}

void WriteGroupVersionKind(json::Writer& out, std::string_view group, std::string_view version,
                           bool in_list) {
  out.Key("x-kubernetes-group-version-kind");
  if (in_list) out.BeginArray();
  out.BeginObject().Key("group").String(group).Key("kind").String(KindOf(group));
  out.Key("version").String(version).EndObject();
  if (in_list) out.EndArray();
}

void WriteDefinition(json::Writer& out, std::string_view group, std::string_view version) {
  out.Key(NameOfDefinition(group, version)).BeginObject().Key("type").String("object");
  out.Key("required").BeginArray().String("items").EndArray();
  out.Key("properties").BeginObject();
  for (const std::string_view name : {"apiVersion", "kind"}) {
    out.Key(name).BeginObject().Key("type").String("string").EndObject();
  }
  out.Key("metadata").BeginObject().Key("type").String("object").EndObject();
  out.Key("items").BeginObject().Key("type").String("array");
  out.Key("items").BeginObject().Key("type").String("object").EndObject().EndObject();
  out.EndObject();
  WriteGroupVersionKind(out, group, version, true);
  out.EndObject();
}

void WriteParameter(json::Writer& out, std::string_view name, std::string_view in, bool v3) {
  out.BeginObject().Key("name").String(name).Key("in").String(in);
  if (in == "path") out.Key("required").Bool(true);
  if (v3) {
    out.Key("schema").BeginObject().Key("type").String("string").EndObject();
  } else {
    out.Key("type").String("string").Key("uniqueItems").Bool(true);
  }
  out.EndObject();
}

void WriteParameters(json::Writer& out, std::string_view group, const ApiPath& path, bool v3) {
  out.Key("parameters").BeginArray();
  for (const std::string_view name : path.names) WriteParameter(out, name, "path", v3);
  WriteParameter(out, "labelSelector", "query", v3);
  if (group == kCustomGroup) WriteParameter(out, "metricLabelSelector", "query", v3);
  out.EndArray();
}

void WriteAnswer(json::Writer& out, std::string_view definition, bool v3) {
  out.Key("responses").BeginObject().Key("200").BeginObject();
  out.Key("description").String("OK");
  if (v3) out.Key("content").BeginObject().Key("application/json").BeginObject();
  out.Key("schema").BeginObject().Key("$ref");
  out.String(Concat(v3 ? "#/components/schemas/" : "#/definitions/", definition)).EndObject();
  if (v3) out.EndObject().EndObject();
  out.EndObject().EndObject();
}

void WritePaths(json::Writer& out, std::string_view group, std::string_view version, bool v3) {
  const std::vector<ApiPath> paths = PathsOf(group);
  for (size_t i = 0; i < paths.size(); ++i) {
    out.Key(Concat(Prefix(group, version), paths[i].path)).BeginObject();
    out.Key("get").BeginObject().Key("description").String(paths[i].does);
    if (!v3) out.Key("produces").BeginArray().String("application/json").EndArray();
    out.Key("operationId").String(NameOfOperation(group, version, i));
    WriteParameters(out, group, paths[i], v3);
    WriteAnswer(out, NameOfDefinition(group, version), v3);
    WriteGroupVersionKind(out, group, version, false);
    out.EndObject().EndObject();
  }
}

void WriteInfo(json::Writer& out) {
  out.Key("info").BeginObject().Key("title").String("tepal metrics-api");
  out.Key("version").String("1.0.0").EndObject();
}

// The document changes with the program only.
std::string HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a.
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789ABCDEF"[(hash >> shift) & 15];
  return out;
}

}  // namespace

std::vector<std::string_view> VersionsOf(std::string_view group) {
  if (group == kCustomGroup) return {"v1beta2", "v1beta1"};
  if (group == kExternalGroup) return {"v1beta1"};
  return {};
}

std::string GroupsText(bool with_external) {
  json::Writer out;
  out.BeginObject().Key("kind").String("APIGroupList").Key("apiVersion").String("v1");
  out.Key("groups").BeginArray();
  for (const std::string_view group : Groups(with_external)) {
    out.BeginObject();
    WriteGroup(out, group);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

std::string GroupText(std::string_view group) {
  json::Writer out;
  out.BeginObject().Key("kind").String("APIGroup").Key("apiVersion").String("v1");
  WriteGroup(out, group);
  out.EndObject();
  return out.Take() + "\n";
}

std::string ResourcesText(std::string_view group, std::string_view version,
                          const Catalog& catalog) {
  json::Writer out;
  out.BeginObject().Key("kind").String("APIResourceList").Key("apiVersion").String("v1");
  out.Key("groupVersion").String(Concat(group, "/", version));
  out.Key("resources").BeginArray();
  for (const Resource& one : ResourcesOf(group, catalog)) {
    out.BeginObject().Key("name");
    out.String(one.part.empty() ? one.name : Concat(one.name, "/", one.part));
    out.Key("singularName").String("").Key("namespaced").Bool(one.namespaced);
    out.Key("kind").String(KindOf(group));
    WriteVerbs(out);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

std::string AggregatedText(std::string_view api_version, const Catalog& catalog) {
  json::Writer out;
  out.BeginObject().Key("kind").String("APIGroupDiscoveryList");
  out.Key("apiVersion").String(Concat("apidiscovery.k8s.io/", api_version));
  out.Key("metadata").BeginObject().EndObject().Key("items").BeginArray();
  for (const std::string_view group : Groups(catalog.with_external)) {
    out.BeginObject().Key("metadata").BeginObject().Key("name").String(group);
    out.Key("creationTimestamp").Null().EndObject().Key("versions").BeginArray();
    const std::vector<Resource> resources = ResourcesOf(group, catalog);
    for (const std::string_view version : VersionsOf(group)) {
      out.BeginObject().Key("version").String(version).Key("resources").BeginArray();
      WriteAggregated(out, group, resources);
      out.EndArray().Key("freshness").String("Current").EndObject();
    }
    out.EndArray().EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

std::string OpenApiV2Text(bool with_external) {
  json::Writer out;
  out.BeginObject().Key("swagger").String("2.0");
  WriteInfo(out);
  out.Key("paths").BeginObject();
  for (const std::string_view group : Groups(with_external)) {
    for (const std::string_view version : VersionsOf(group)) WritePaths(out, group, version, false);
  }
  out.EndObject().Key("definitions").BeginObject();
  for (const std::string_view group : Groups(with_external)) {
    for (const std::string_view version : VersionsOf(group)) WriteDefinition(out, group, version);
  }
  out.EndObject().EndObject();
  return out.Take() + "\n";
}

std::string OpenApiV3IndexText(bool with_external) {
  json::Writer out;
  out.BeginObject().Key("paths").BeginObject();
  for (const std::string_view group : Groups(with_external)) {
    for (const std::string_view version : VersionsOf(group)) {
      const std::string path = Prefix(group, version);
      out.Key(std::string_view(path).substr(1)).BeginObject().Key("serverRelativeURL");
      out.String(Concat("/openapi/v3", path, "?hash=", HashOf(OpenApiV3Text(group, version))));
      out.EndObject();
    }
  }
  out.EndObject().EndObject();
  return out.Take() + "\n";
}

std::string OpenApiV3Text(std::string_view group, std::string_view version) {
  json::Writer out;
  out.BeginObject().Key("openapi").String("3.0.0");
  WriteInfo(out);
  out.Key("paths").BeginObject();
  WritePaths(out, group, version, true);
  out.EndObject().Key("components").BeginObject().Key("schemas").BeginObject();
  WriteDefinition(out, group, version);
  out.EndObject().EndObject().EndObject();
  return out.Take() + "\n";
}

std::string VersionText(std::string_view version) {
  const std::vector<std::string_view> parts = Split(version, '.');
  json::Writer out;
  out.BeginObject();
  out.Key("major").String(parts[0]).Key("minor").String(parts.size() > 1 ? parts[1] : "");
  out.Key("gitVersion").String(Concat("v", version)).Key("gitCommit").String("");
  for (const std::string_view name : {"gitTreeState", "buildDate", "goVersion", "compiler"}) {
    out.Key(name).String("");
  }
  out.Key("platform").String("linux").EndObject();
  return out.Take() + "\n";
}

std::string PathsText(bool with_external) {
  json::Writer out;
  out.BeginObject().Key("paths").BeginArray().String("/apis");
  for (const std::string_view group : Groups(with_external)) {
    out.String(Concat("/apis/", group));
    for (const std::string_view version : VersionsOf(group)) out.String(Prefix(group, version));
  }
  for (const std::string_view path :
       {"/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}) {
    out.String(path);
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

}  // namespace tepal::custom_metrics
