// What a cluster scrapes, which slots it has, and rollouts that wait for one.

#include <algorithm>
#include <map>
#include <set>

#include "apps/diagnosis/doctor.h"
#include "apps/diagnosis/images.h"
#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

const json::Value* LabelsOf(const json::Value& object) { return JsonAt(object, "metadata.labels"); }

const json::Value* FindNamespace(const ClusterView& view, std::string_view name) {
  for (const json::Value& one : view.Items("namespaces")) {
    if (JsonText(one, "metadata.name") == name) return &one;
  }
  return nullptr;
}

// Whether this Prometheus takes that monitor, by its labels and its namespace.
bool Takes(const ClusterView& view, const json::Value& prometheus, const json::Value& monitor) {
  if (!JsonSelectorMatches(JsonAt(prometheus, "spec.podMonitorSelector"), LabelsOf(monitor))) {
    return false;
  }
  const json::Value* const spaces = JsonAt(prometheus, "spec.podMonitorNamespaceSelector");
  const std::string_view here = JsonText(monitor, "metadata.namespace");
  if (spaces == nullptr) return here == JsonText(prometheus, "metadata.namespace");
  const json::Value* const name_space = FindNamespace(view, here);
  return JsonSelectorMatches(spaces, name_space == nullptr ? nullptr : LabelsOf(*name_space));
}

bool LooksAt(const json::Value& monitor, std::string_view name_space) {
  const json::Value* const selector = JsonAt(monitor, "spec.namespaceSelector");
  if (selector != nullptr && JsonTrue(*selector, "any")) return true;
  const auto& names = JsonList(monitor, "spec.namespaceSelector.matchNames");
  if (names.empty()) return JsonText(monitor, "metadata.namespace") == name_space;
  return std::any_of(names.begin(), names.end(), [name_space](const json::Value& name) {
    return name.AsString() != nullptr && *name.AsString() == name_space;
  });
}

// Amounts of exclusive resources by name.
using Amounts = std::map<std::string, int64_t, std::less<>>;

void AddAmounts(const json::Value* resources, Amounts& amounts) {
  if (resources == nullptr || resources->AsObject() == nullptr) return;
  for (const auto& [name, value] : *resources->AsObject()) {
    if (!IsExclusiveResource(name)) continue;
    const auto amount = JsonQuantity(value, "");
    if (amount.has_value() && *amount >= 0 && *amount < 1e9) {
      amounts[name] += static_cast<int64_t>(*amount);
    }
  }
}

Amounts AmountsOf(const json::Value& pod_spec) {
  Amounts amounts;
  for (const json::Value& container : JsonList(pod_spec, "containers")) {
    AddAmounts(JsonAt(container, "resources.limits"), amounts);
  }
  return amounts;
}

bool IsOver(const json::Value& pod) {
  const std::string_view phase = JsonText(pod, "status.phase");
  return phase == "Succeeded" || phase == "Failed";
}

const json::Value* Unschedulable(const json::Value& pod) {
  const json::Value* const scheduled = ConditionOf(pod, "PodScheduled");
  const bool waits = JsonText(pod, "status.phase") == "Pending" && scheduled != nullptr &&
                     JsonText(*scheduled, "status") == "False";
  return waits ? scheduled : nullptr;
}

}  // namespace

void DiagnoseMonitors(const ClusterView& view, std::vector<Finding>& findings) {
  if (!view.Of("podmonitors").ok()) return;
  for (const json::Value& monitor : view.Items("podmonitors")) {
    const std::string place = PlaceOf("PodMonitor", monitor);
    const auto& all = view.Items("prometheuses");
    const bool taken = std::any_of(all.begin(), all.end(), [&](const json::Value& prometheus) {
      return Takes(view, prometheus, monitor);
    });
    if (view.Of("prometheuses").ok() && view.Of("namespaces").ok() && !taken) {
      std::string wants;
      for (const json::Value& prometheus : all) {
        wants += Concat(wants.empty() ? "" : "; ", PlaceOf("Prometheus", prometheus), " wants ",
                        JsonSelectorText(JsonAt(prometheus, "spec.podMonitorSelector")),
                        " in namespaces with ",
                        JsonSelectorText(JsonAt(prometheus, "spec.podMonitorNamespaceSelector")));
      }
      findings.push_back({place, 0, Severity::kError, "not-selected",
                          "no Prometheus selects it: nothing of it is scraped",
                          wants.empty() ? "there is no Prometheus of the operator" : wants});
    }
    if (!view.Of("pods").ok()) continue;
    const auto& pods = view.Items("pods");
    const bool any = std::any_of(pods.begin(), pods.end(), [&](const json::Value& pod) {
      return LooksAt(monitor, JsonText(pod, "metadata.namespace")) &&
             JsonSelectorMatches(JsonAt(monitor, "spec.selector"), LabelsOf(pod));
    });
    if (any) continue;
    findings.push_back({place, 0, Severity::kWarning, "scrapes-nothing",
                        Concat("no pod where it looks matches ",
                               JsonSelectorText(JsonAt(monitor, "spec.selector"))),
                        "compare its selector and namespaceSelector with the pods' labels"});
  }
}

void DiagnoseSlots(const ClusterView& view, std::vector<Finding>& findings) {
  if (!view.Of("nodes").ok() || !view.Of("pods").ok()) return;
  Amounts offered, held;
  for (const json::Value& node : view.Items("nodes")) {
    AddAmounts(JsonAt(node, "status.allocatable"), offered);
    const json::Value* const labels = LabelsOf(node);
    const json::Value* const present =
        labels == nullptr ? nullptr : labels->Find("nvidia.com/gpu.present");
    Amounts own;
    AddAmounts(JsonAt(node, "status.allocatable"), own);
    if (present == nullptr || !own.empty()) continue;
    findings.push_back({PlaceOf("Node", node), 0, Severity::kError, "no-device-plugin",
                        "it is labelled as having GPUs, but offers none",
                        "install a device plugin (NVIDIA's, or tepal mig agent --device-plugin) "
                        "and look at its log on this node"});
  }
  std::set<std::string> unknown;
  for (const json::Value& pod : view.Items("pods")) {
    if (IsOver(pod)) continue;
    const json::Value* const spec = JsonAt(pod, "spec");
    if (spec == nullptr) continue;
    const bool placed = !JsonText(pod, "spec.nodeName").empty();
    for (const auto& [name, amount] : AmountsOf(*spec)) {
      if (placed) held[name] += amount;
      const auto there = offered.find(name);
      if ((there == offered.end() || there->second == 0) && unknown.insert(name).second) {
        findings.push_back({PlaceOf("Pod", pod), 0, Severity::kError, "no-such-slot",
                            Concat("it asks for ", name, ", which no node offers"),
                            "make such devices (tepal mig apply), or ask for what the nodes offer: "
                            "kubectl describe node"});
      }
    }
  }
  for (const json::Value& pod : view.Items("pods")) {
    const json::Value* const why = Unschedulable(pod);
    const json::Value* const spec = JsonAt(pod, "spec");
    if (why == nullptr || spec == nullptr) continue;
    for (const auto& [name, amount] : AmountsOf(*spec)) {
      if (unknown.count(name) > 0) continue;
      findings.push_back({PlaceOf("Pod", pod), 0, Severity::kWarning, "waits-for-slot",
                          Concat("it is Pending: ", held[name], " of ", offered[name], " ", name,
                                 " are held (", JsonText(*why, "message"), ")"),
                          "more slots, or a lower maxReplicas"});
    }
  }
}

void DiagnoseRollouts(const ClusterView& view, std::vector<Finding>& findings) {
  for (const json::Value& deployment : view.Items("deployments")) {
    const int64_t replicas = JsonInt(deployment, "status.replicas").value_or(0);
    const int64_t updated = JsonInt(deployment, "status.updatedReplicas").value_or(0);
    const json::Value* const progressing = ConditionOf(deployment, "Progressing");
    const bool late = progressing != nullptr && JsonText(*progressing, "status") == "False";
    const bool rolling = updated < replicas;
    if (!late && !rolling) continue;
    const json::Value* const spec = JsonAt(deployment, "spec.template.spec");
    const bool slots = spec != nullptr && !AmountsOf(*spec).empty();
    const auto surge = JsonQuantity(deployment, "spec.strategy.rollingUpdate.maxSurge");
    const bool surges = JsonText(deployment, "spec.strategy.type") != "Recreate" &&
                        !(surge.has_value() && *surge == 0) &&
                        JsonText(deployment, "spec.strategy.rollingUpdate.maxSurge") != "0%";
    const auto& pods = view.Items("pods");
    const bool waits = std::any_of(pods.begin(), pods.end(), [&](const json::Value& pod) {
      return Unschedulable(pod) != nullptr &&
             JsonText(pod, "metadata.namespace") == JsonText(deployment, "metadata.namespace") &&
             JsonSelectorMatches(JsonAt(deployment, "spec.selector"), LabelsOf(pod));
    });
    const std::string place = PlaceOf("Deployment", deployment);
    if (rolling && slots && surges && waits) {
      findings.push_back({place, 0, Severity::kError, "surge-deadlock",
                          "its rollout waits for a slot that only its own old pods could free",
                          "kubectl patch it with strategy.rollingUpdate {maxSurge: 0, "
                          "maxUnavailable: 1}"});
    } else if (late) {
      findings.push_back({place, 0, Severity::kError, "rollout-stuck",
                          Concat("its rollout does not go on: ", JsonText(*progressing, "message")),
                          "look at its newest pods: kubectl describe pod"});
    }
  }
}

}  // namespace tepal::diagnosis
