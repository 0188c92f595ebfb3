#include "scaling/custom_metrics/kind_table.h"

#include <algorithm>

#include "core/base/text.h"
#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

struct BuiltIn {
  std::string_view group, plural, singular, kind;
  bool namespaced = true;
};

constexpr std::string_view kNetworking = "networking.k8s.io";

// In the order in which an API server lists its groups: it decides what a name without one means.
constexpr BuiltIn kBuiltIn[] = {
    {"", "namespaces", "namespace", "Namespace", false},
    {"", "pods", "pod", "Pod"},
    {"", "services", "service", "Service"},
    {"", "nodes", "node", "Node", false},
    {"", "configmaps", "configmap", "ConfigMap"},
    {"", "endpoints", "endpoints", "Endpoints"},
    {"", "events", "event", "Event"},
    {"", "limitranges", "limitrange", "LimitRange"},
    {"", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim"},
    {"", "persistentvolumes", "persistentvolume", "PersistentVolume", false},
    {"", "podtemplates", "podtemplate", "PodTemplate"},
    {"", "replicationcontrollers", "replicationcontroller", "ReplicationController"},
    {"", "resourcequotas", "resourcequota", "ResourceQuota"},
    {"", "secrets", "secret", "Secret"},
    {"", "serviceaccounts", "serviceaccount", "ServiceAccount"},
    {"apps", "daemonsets", "daemonset", "DaemonSet"},
    {"apps", "deployments", "deployment", "Deployment"},
    {"apps", "replicasets", "replicaset", "ReplicaSet"},
    {"apps", "statefulsets", "statefulset", "StatefulSet"},
    {"autoscaling", "horizontalpodautoscalers", "horizontalpodautoscaler",
     "HorizontalPodAutoscaler"},
    {"batch", "cronjobs", "cronjob", "CronJob"},
    {"batch", "jobs", "job", "Job"},
    {kNetworking, "ingresses", "ingress", "Ingress"},
    {kNetworking, "ingressclasses", "ingressclass", "IngressClass", false},
    {kNetworking, "networkpolicies", "networkpolicy", "NetworkPolicy"},
    {"policy", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget"},
    {"storage.k8s.io", "storageclasses", "storageclass", "StorageClass", false},
    {"discovery.k8s.io", "endpointslices", "endpointslice", "EndpointSlice"},
};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::string GuessPlural(std::string_view singular) {
  if (singular.empty()) return {};
  if (singular == "endpoints") return "endpoints";
  if (singular.ends_with('s') || singular.ends_with('x')) return Concat(singular, "es");
  if (singular.ends_with('y')) return Concat(singular.substr(0, singular.size() - 1), "ies");
  return Concat(singular, "s");
}

KindTable::KindTable() {
  for (const BuiltIn& kind : kBuiltIn) {
    kinds_.push_back({{std::string(kind.group), std::string(kind.plural)},
                      std::string(kind.singular),
                      std::string(kind.kind),
                      kind.namespaced});
  }
}

void KindTable::Add(KindFacts facts) {
  const auto there = std::find_if(kinds_.begin(), kinds_.end(), [&](const KindFacts& kind) {
    return kind.resource == facts.resource;
  });
  if (there != kinds_.end()) {
    *there = std::move(facts);
  } else {
    kinds_.push_back(std::move(facts));
  }
}

Status KindTable::AddDiscovered(const json::Value& api_resource_list) {
  const json::Value* resources = api_resource_list.Find("resources");
  const std::string_view version = kube::TextAt(api_resource_list, "groupVersion");
  if (resources == nullptr || resources->AsArray() == nullptr || version.empty()) {
    return InvalidArgument("discovery: got no APIResourceList, expected groupVersion, resources");
  }
  const size_t slash = version.find('/');
  const std::string group(slash == std::string_view::npos ? "" : version.substr(0, slash));
  for (const json::Value& resource : *resources->AsArray()) {
    const std::string plural(kube::TextAt(resource, "name"));
    const std::string kind(kube::TextAt(resource, "kind"));
    if (plural.empty() || kind.empty() || plural.find('/') != std::string::npos) continue;
    std::string singular(kube::TextAt(resource, "singularName"));
    if (singular.empty()) singular = Lower(kind);
    const json::Value* scope = resource.Find("namespaced");
    const bool namespaced = scope == nullptr || scope->AsBool() == nullptr || *scope->AsBool();
    Add({{group, plural}, std::move(singular), kind, namespaced});
  }
  return {};
}

const KindFacts* KindTable::Find(const GroupResource& name) const {
  const std::string wanted = Lower(name.resource);
  const KindFacts* close = nullptr;
  for (const KindFacts& kind : kinds_) {
    if (kind.resource.resource != wanted && kind.singular != wanted && Lower(kind.kind) != wanted) {
      continue;
    }
    if (name.group.empty() || kind.resource.group == name.group) return &kind;
    if (close == nullptr && kind.resource.group.starts_with(name.group)) close = &kind;
  }
  return close;
}

}  // namespace tepal::custom_metrics
