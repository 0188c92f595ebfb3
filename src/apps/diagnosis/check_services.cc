// Services against the pods behind them.

#include <algorithm>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/selectors.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

bool IsMetricsPort(const YamlNode& port) {
  return TextAt(&port, "name").find("metrics") != std::string_view::npos ||
         TextAt(&port, "port") == "8002" || TextAt(&port, "targetPort") == "8002";
}

bool IsGrpcPort(const YamlNode& port) {
  const std::string_view protocol = TextAt(&port, "appProtocol");
  return TextAt(&port, "name").find("grpc") != std::string_view::npos ||
         TextAt(&port, "port") == "8001" || protocol == "grpc" || protocol == "kubernetes.io/h2c";
}

bool IsScaled(const Bundle& bundle, const Workload& workload) {
  const auto all = bundle.OfKind("HorizontalPodAutoscaler");
  return std::any_of(all.begin(), all.end(), [&workload](const Manifest* hpa) {
    return TextAt(hpa->get(), "spec.scaleTargetRef.name") == workload.manifest->name &&
           hpa->Namespace() == workload.manifest->Namespace();
  });
}

class ServiceCheck {
 public:
  ServiceCheck(const Bundle& bundle, const std::vector<Workload>& workloads,
               const Manifest& service, Report& report)
      : bundle_(bundle), workloads_(workloads), service_(service), report_(report) {}

  void Check() {
    const Labels selector = TextsAt(service_.get(), "spec.selector");
    for (const Workload& workload : workloads_) {
      if (workload.manifest->Namespace() == service_.Namespace() && !selector.empty() &&
          HasLabels(workload.labels, selector)) {
        behind_.push_back(&workload);
      }
    }
    const std::string_view type = TextAt(service_.get(), "spec.type");
    if (behind_.empty() && !selector.empty()) CheckNothingSelected(selector);
    if (ListAt(service_.get(), "spec.ports").empty() && type != "ExternalName" &&
        TextAt(service_.get(), "spec.clusterIP") != "None") {
      Add(service_.line(), Severity::kError, "no-ports",
          Concat(service_.Words(), " has no ports: the API server refuses it"), "add spec.ports");
    }
    for (const YamlNode& port : ListAt(service_.get(), "spec.ports")) {
      CheckTarget(port);
      if (type == "LoadBalancer" || type == "NodePort") CheckPublic(port, type);
    }
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    report_.Add(service_, line, severity, std::move(code), std::move(fault), std::move(fix));
  }

  void CheckNothingSelected(const Labels& selector) {
    std::string near;
    bool any = false;
    for (const Workload& workload : workloads_) {
      if (workload.manifest->Namespace() != service_.Namespace()) continue;
      any = true;
      if (near.empty()) near = NearestLabel(selector, workload.labels);
    }
    if (!any) return;  // Its pods are in other files.
    Add(LineOf(service_.get(), "spec.selector"),
        near.empty() ? Severity::kWarning : Severity::kError, "selects-nothing",
        Concat(service_.Words(), " selects ", LabelsText(selector),
               ", which no pod of these manifests has: it has no endpoints"),
        near.empty() ? "select labels of the pods" : Concat("write ", near));
  }

  void CheckTarget(const YamlNode& port) {
    std::string_view target = TextAt(&port, "targetPort");
    if (target.empty() || behind_.empty()) return;
    const bool number = ParseNumber<int>(target).has_value();
    const bool there = std::any_of(behind_.begin(), behind_.end(), [&](const Workload* workload) {
      return number ? HasPortNumber(*workload, target) : HasPortName(*workload, target);
    });
    // A port need not be declared to be served; a name must.
    if (there || number) return;
    Add(LineOf(&port, "targetPort"), Severity::kError, "no-such-port",
        Concat("no container behind ", service_.Words(), " has a port named '", target, "'"),
        "write the name of a containerPort, or its number");
  }

  void CheckPublic(const YamlNode& port, std::string_view type) {
    if (IsMetricsPort(port)) {
      Add(port.line, Severity::kWarning, "public-metrics",
          Concat("the metrics port is reachable from outside through this ", type,
                 ": anybody can read what is served, and how much"),
          "leave it out: a PodMonitor reads the pods themselves");
    }
    const bool scaled = std::any_of(behind_.begin(), behind_.end(), [this](const Workload* one) {
      return IsScaled(bundle_, *one);
    });
    if (IsGrpcPort(port) && scaled) {
      Add(port.line, Severity::kWarning, "grpc-at-layer-4",
          "a gRPC client keeps one connection, and a Service chooses a pod once for each: pods "
          "that "
          "the autoscaler adds get no load",
          "publish a balancer of layer 7 (tepal balance) and make this Service headless "
          "(clusterIP: None) behind it");
    }
  }

  const Bundle& bundle_;
  const std::vector<Workload>& workloads_;
  const Manifest& service_;
  Report& report_;
  std::vector<const Workload*> behind_;
};

}  // namespace

void CheckServices(const Bundle& bundle, Report& report) {
  const std::vector<Workload> workloads = WorkloadsOf(bundle);
  for (const Manifest* service : bundle.OfKind("Service")) {
    ServiceCheck(bundle, workloads, *service, report).Check();
  }
}

}  // namespace tepal::diagnosis
