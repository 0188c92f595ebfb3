#include "scaling/custom_metrics/object_kinds.h"

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

const std::vector<ObjectKind>& Kinds() {
  static const std::vector<ObjectKind> kinds = {
      {{"", "pods"}, "v1", "Pod", true},
      {{"", "services"}, "v1", "Service", true},
      {{"", "nodes"}, "v1", "Node", false},
      {{"", "namespaces"}, "v1", "Namespace", false},
      {{"", "replicationcontrollers"}, "v1", "ReplicationController", true},
      {{"", "persistentvolumeclaims"}, "v1", "PersistentVolumeClaim", true},
      {{"", "persistentvolumes"}, "v1", "PersistentVolume", false},
      {{"", "endpoints"}, "v1", "Endpoints", true},
      {{"", "configmaps"}, "v1", "ConfigMap", true},
      {{"", "secrets"}, "v1", "Secret", true},
      {{"", "serviceaccounts"}, "v1", "ServiceAccount", true},
      {{"apps", "deployments"}, "v1", "Deployment", true},
      {{"apps", "replicasets"}, "v1", "ReplicaSet", true},
      {{"apps", "statefulsets"}, "v1", "StatefulSet", true},
      {{"apps", "daemonsets"}, "v1", "DaemonSet", true},
      {{"batch", "jobs"}, "v1", "Job", true},
      {{"batch", "cronjobs"}, "v1", "CronJob", true},
      {{"networking.k8s.io", "ingresses"}, "v1", "Ingress", true},
      {{"autoscaling", "horizontalpodautoscalers"}, "v2", "HorizontalPodAutoscaler", true},
      {{"storage.k8s.io", "storageclasses"}, "v1", "StorageClass", false},
      {{"policy", "poddisruptionbudgets"}, "v1", "PodDisruptionBudget", true},
  };
  return kinds;
}

}  // namespace

const ObjectKind* FindObjectKind(const GroupResource& resource) {
  for (const ObjectKind& kind : Kinds()) {
    const bool same_group = kind.resource.group == resource.group || resource.group.empty();
    if (same_group && (kind.resource.resource == resource.resource ||
                       EqualsIgnoreCase(kind.kind, resource.resource))) {
      return &kind;
    }
  }
  return nullptr;
}

}  // namespace tepal::custom_metrics
