#include "apps/diagnosis/doctor.h"

#include <algorithm>

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/json_tree.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

constexpr std::string_view kGroups[] = {"custom.metrics.k8s.io", "external.metrics.k8s.io"};

std::string Owner(const json::Value& api) {
  return Concat("Service ", JsonText(api, "spec.service.namespace"), "/",
                JsonText(api, "spec.service.name"));
}

bool UsesMetricsOf(const json::Value& hpa, std::string_view group) {
  for (const json::Value& metric : JsonList(hpa, "spec.metrics")) {
    const std::string_view type = JsonText(metric, "type");
    const bool external = type == "External";
    const bool custom = type == "Pods" || type == "Object";
    if (group.starts_with("external") ? external : custom) return true;
  }
  return false;
}

void AddUnreadable(const ClusterView& view, std::vector<Finding>& findings) {
  for (const ClusterQuery& query : kClusterQueries) {
    const Fetched& fetched = view.Of(query.name);
    if (fetched.ok() || fetched.http_status == 404) continue;
    // An API that is down is found with its APIService.
    if (fetched.http_status == 503 && query.name == "custom metrics") continue;
    findings.push_back(
        {std::string(query.name), 0, Severity::kNote, "not-read",
         Concat("could not be read, so nothing is said about them: ", fetched.problem),
         fetched.http_status == 403 ? "run it as somebody who may list them" : ""});
  }
}

// Who wrote an object in a version that is gone keeps doing it until an upgrade stops it.
void AddOldWriters(const ClusterView& view, std::string_view list, std::string_view kind,
                   std::vector<Finding>& findings) {
  for (const json::Value& object : view.Items(list)) {
    for (const json::Value& entry : JsonList(object, "metadata.managedFields")) {
      const auto removed = FindRemovedVersion(JsonText(entry, "apiVersion"), kind);
      if (!removed.has_value()) continue;
      findings.push_back(
          {PlaceOf(kind, object), 0, Severity::kNote, "old-writer",
           Concat("'", JsonText(entry, "manager"), "' wrote it last in ", removed->api_version,
                  ", which Kubernetes ", removed->removed_in, " removed"),
           Concat("let it write ", removed->replacement)});
      break;
    }
  }
}

}  // namespace

std::string PlaceOf(std::string_view kind, const json::Value& object) {
  const std::string_view name_space = JsonText(object, "metadata.namespace");
  return Concat(kind, " ", name_space, name_space.empty() ? "" : "/",
                JsonText(object, "metadata.name"));
}

void DiagnoseMetricsApis(const ClusterView& view, std::vector<Finding>& findings) {
  if (!view.Of("apiservices").ok()) return;
  for (const std::string_view group : kGroups) {
    bool any = false;
    for (const json::Value& api : view.Items("apiservices")) {
      if (JsonText(api, "spec.group") != group) continue;
      any = true;
      const std::string place = PlaceOf("APIService", api);
      const json::Value* const available = ConditionOf(api, "Available");
      if (available != nullptr && JsonText(*available, "status") == "False") {
        findings.push_back(
            {place, 0, Severity::kError, "api-unavailable",
             Concat(Owner(api), " does not answer for it (", JsonText(*available, "reason"), ": ",
                    JsonText(*available, "message"),
                    "): autoscalers are blind, and namespaces cannot be deleted"),
             "look at the pods behind that Service and their log, or delete the "
             "APIService"});
      } else {
        findings.push_back(
            {place, 0, Severity::kNote, "api-owner", Concat(Owner(api), " answers for it"), ""});
      }
      if (JsonTrue(api, "spec.insecureSkipTLSVerify")) {
        findings.push_back({place, 0, Severity::kWarning, "insecure-tls",
                            "insecureSkipTLSVerify: whoever answers there is believed",
                            "give caBundle (tepal metrics-api --apiservice-name writes its own)"});
      }
    }
    const auto& hpas = view.Items("horizontalpodautoscalers");
    const bool wanted = std::any_of(hpas.begin(), hpas.end(), [group](const json::Value& hpa) {
      return UsesMetricsOf(hpa, group);
    });
    if (!any && wanted) {
      findings.push_back(
          {Concat("APIService ", group), 0, Severity::kError, "no-api",
           Concat("autoscalers ask for metrics of ", group, ", but nobody answers for it"),
           "install tepal metrics-api, or another adapter, with its APIService"});
    }
  }
}

void DiagnoseRights(const ClusterView& view, std::vector<Finding>& findings) {
  const Fetched& review = view.Of("rights of the autoscaler");
  if (review.ok() && JsonAt(review.body, "status") != nullptr &&
      !JsonTrue(review.body, "status.allowed")) {
    findings.push_back({"horizontal-pod-autoscaler", 0, Severity::kError, "autoscaler-rights",
                        "the autoscaler's service account may not read custom metrics",
                        "bind kube-system/horizontal-pod-autoscaler to a ClusterRole with get on "
                        "the metrics' names of custom.metrics.k8s.io"});
  }
}

void DiagnoseAutoscalers(const ClusterView& view, std::vector<Finding>& findings) {
  std::vector<std::string_view> published;
  for (const json::Value& resource : JsonList(view.Of("custom metrics").body, "resources")) {
    const std::string_view name = JsonText(resource, "name");
    published.push_back(name.substr(name.rfind('/') + 1));
  }
  for (const json::Value& hpa : view.Items("horizontalpodautoscalers")) {
    const std::string place = PlaceOf("HorizontalPodAutoscaler", hpa);
    for (const char* const type : {"AbleToScale", "ScalingActive"}) {
      const json::Value* const condition = ConditionOf(hpa, type);
      if (condition == nullptr || JsonText(*condition, "status") != "False") continue;
      const std::string_view reason = JsonText(*condition, "reason");
      if (reason == "ScalingDisabled") {
        findings.push_back({place, 0, Severity::kWarning, "scaled-to-zero",
                            "its target was scaled to 0, which switches it off",
                            "scale the target to 1 by hand"});
        continue;
      }
      std::string fix = Concat("tepal explain hpa ", JsonText(hpa, "metadata.name"), " -n ",
                               JsonText(hpa, "metadata.namespace"), " says more");
      for (const json::Value& metric : JsonList(hpa, "spec.metrics")) {
        std::string_view name = JsonText(metric, "pods.metric.name");
        if (name.empty()) name = JsonText(metric, "object.metric.name");
        const bool there = std::find(published.begin(), published.end(), name) != published.end();
        const auto near = there ? std::nullopt : options::NearestName(name, published);
        if (near.has_value()) {
          fix = Concat("there is no metric '", name, "' but '", *near, "': name that one");
        }
      }
      findings.push_back(
          {place, 0, Severity::kError, "autoscaler-blind",
           Concat("it cannot scale: ", reason, ": ", JsonText(*condition, "message")),
           std::move(fix)});
    }
  }
}

std::vector<Finding> DiagnoseCluster(const ClusterView& view) {
  std::vector<Finding> findings;
  DiagnoseMetricsApis(view, findings);
  DiagnoseRights(view, findings);
  DiagnoseAutoscalers(view, findings);
  DiagnoseMonitors(view, findings);
  DiagnoseSlots(view, findings);
  DiagnoseRollouts(view, findings);
  AddOldWriters(view, "deployments", "Deployment", findings);
  AddOldWriters(view, "horizontalpodautoscalers", "HorizontalPodAutoscaler", findings);
  AddUnreadable(view, findings);
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return findings;
}

std::vector<Finding> DiagnoseMachine(const MachineFacts& facts) {
  std::vector<Finding> findings;
  const auto add = [&findings](Severity severity, std::string code, std::string fault,
                               std::string fix) {
    findings.push_back(
        {"this machine", 0, severity, std::move(code), std::move(fault), std::move(fix)});
  };
  if (facts.driver_version.empty() && facts.gpu_devices) {
    add(Severity::kError, "no-driver", "there are GPU devices, but the NVIDIA driver is not loaded",
        "load it (modprobe nvidia), or install it");
  } else if (facts.driver_version.empty()) {
    add(Severity::kNote, "no-gpu", "no NVIDIA driver: slots here are shares of the CPU", "");
  } else {
    const std::string_view text = facts.driver_version;
    add(Severity::kNote, "driver", std::string(Trim(text.substr(0, text.find('\n')))), "");
    if (!facts.gpu_devices) {
      add(Severity::kError, "no-devices",
          "the NVIDIA driver is loaded, but there is no /dev/nvidia0",
          "run nvidia-modprobe -u, or give the container its devices");
    }
    if (!facts.mig_capabilities) {
      add(Severity::kNote, "no-mig", "the driver offers no MIG capabilities here",
          "tepal mig list says what each GPU can do");
    }
  }
  if (facts.cgroup_controllers.empty()) {
    add(Severity::kWarning, "no-cgroup-v2",
        "cgroup v2 is not mounted here, which current kubelets expect",
        "boot with the unified hierarchy (systemd.unified_cgroup_hierarchy=1)");
  }
  return findings;
}

}  // namespace tepal::diagnosis
