// What Prometheus is told to scrape, against the pods and the Prometheus that are there.

#include <algorithm>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/selectors.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

bool SelectsNamespace(const Manifest& monitor, std::string_view name_space) {
  const YamlNode* const selector = At(monitor.get(), "spec.namespaceSelector");
  if (IsTrue(selector, "any")) return true;
  const auto& names = ListAt(selector, "matchNames");
  if (names.empty()) return monitor.Namespace() == name_space;
  return std::any_of(names.begin(), names.end(),
                     [name_space](const YamlNode& name) { return name.scalar == name_space; });
}

class PodMonitorCheck {
 public:
  PodMonitorCheck(const std::vector<Workload>& workloads, const Manifest& monitor, Report& report)
      : workloads_(workloads), monitor_(monitor), report_(report) {}

  void Check() {
    const YamlNode* const selector = At(monitor_.get(), "spec.selector");
    std::vector<const Workload*> scraped;
    std::string elsewhere, near;
    for (const Workload& workload : workloads_) {
      const bool matches = MatchesSelector(selector, workload.labels);
      const std::string_view there = workload.manifest->Namespace();
      if (matches && SelectsNamespace(monitor_, there)) {
        scraped.push_back(&workload);
      } else if (matches) {
        elsewhere = there;
      } else if (near.empty()) {
        near = NearestLabel(TextsAt(selector, "matchLabels"), workload.labels);
      }
    }
    if (scraped.empty() && !workloads_.empty()) Nothing(selector, elsewhere, near);
    for (const YamlNode& endpoint : ListAt(monitor_.get(), "spec.podMetricsEndpoints")) {
      CheckPort(endpoint, scraped);
    }
  }

 private:
  void Nothing(const YamlNode* selector, const std::string& elsewhere, const std::string& near) {
    const bool by_namespace = !elsewhere.empty();
    report_.Add(
        monitor_, LineOf(monitor_.get(), by_namespace ? "spec.namespaceSelector" : "spec.selector"),
        by_namespace || !near.empty() ? Severity::kError : Severity::kWarning, "scrapes-nothing",
        by_namespace ? Concat("the pods with ", SelectorText(selector), " are in the namespace '",
                              elsewhere, "', where this monitor does not look")
                     : Concat("no pod of these manifests matches ", SelectorText(selector),
                              ": nothing is scraped"),
        by_namespace   ? Concat("set namespaceSelector.matchNames: [", elsewhere, "]")
        : near.empty() ? "select labels of the pods"
                       : Concat("write ", near));
  }

  void CheckPort(const YamlNode& endpoint, const std::vector<const Workload*>& scraped) {
    const std::string_view port = TextAt(&endpoint, "port");
    if (port.empty() || scraped.empty()) return;
    for (const Workload* workload : scraped) {
      if (HasPortName(*workload, port)) return;
    }
    report_.Add(monitor_, LineOf(&endpoint, "port"), Severity::kError, "no-such-port",
                Concat("no container of the selected pods has a port named '", port, "'"),
                "write the name of the containerPort with the metrics");
  }

  const std::vector<Workload>& workloads_;
  const Manifest& monitor_;
  Report& report_;
};

void CheckPrometheus(const Bundle& bundle, const Manifest& monitor, Report& report) {
  const auto all = bundle.OfKind("Prometheus");
  if (all.empty()) return;
  const Labels labels = TextsAt(monitor.get(), "metadata.labels");
  std::string wanted;
  for (const Manifest* prometheus : all) {
    const YamlNode* const selector = At(prometheus->get(), "spec.podMonitorSelector");
    if (selector != nullptr && MatchesSelector(selector, labels)) return;
    wanted = SelectorText(selector);
  }
  report.Add(monitor, LineOf(monitor.get(), "metadata.labels"), Severity::kError, "not-selected",
             Concat("no Prometheus selects this monitor: it wants ", wanted), "add that label");
}

}  // namespace

void CheckMonitors(const Bundle& bundle, Report& report) {
  const std::vector<Workload> workloads = WorkloadsOf(bundle);
  for (const Manifest* monitor : bundle.OfKind("PodMonitor")) {
    PodMonitorCheck(workloads, *monitor, report).Check();
    CheckPrometheus(bundle, *monitor, report);
  }
}

}  // namespace tepal::diagnosis
