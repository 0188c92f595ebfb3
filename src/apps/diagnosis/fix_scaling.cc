// Services and autoscalers, put right.

#include <algorithm>

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/fix_manifests.h"
#include "apps/diagnosis/selectors.h"
#include "apps/diagnosis/yaml_edit.h"
#include "core/base/text.h"
#include "core/options/values.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

bool IsMetricsPort(const YamlNode& port) {
  return TextAt(&port, "name").find("metrics") != std::string_view::npos ||
         TextAt(&port, "port") == "8002" || TextAt(&port, "targetPort") == "8002";
}

bool IsGrpcPort(const YamlNode& port) {
  return TextAt(&port, "name").find("grpc") != std::string_view::npos ||
         TextAt(&port, "port") == "8001";
}

// Whether an autoscaler adds pods behind the Service, which gRPC clients would never meet.
bool HasScaledPods(const YamlNode& service, const Bundle& bundle) {
  const Labels selector = TextsAt(&service, "spec.selector");
  for (const Workload& workload : WorkloadsOf(bundle)) {
    if (selector.empty() || !HasLabels(workload.labels, selector)) continue;
    for (const Manifest* hpa : bundle.OfKind("HorizontalPodAutoscaler")) {
      if (TextAt(hpa->get(), "spec.scaleTargetRef.name") == workload.manifest->name) return true;
    }
  }
  return false;
}

std::string_view Suffix(std::string_view name) {
  for (const std::string_view suffix : {"_us", "_ms", "_ns"}) {
    if (name.ends_with(suffix)) return suffix;
  }
  return {};
}

// A target in one name's unit, in another's.
double Converted(double target, std::string_view from, std::string_view to) {
  const auto microseconds = [](std::string_view name) {
    const std::string_view suffix = Suffix(name);
    return suffix == "_us" ? 1 : suffix == "_ms" ? 1000 : suffix == "_ns" ? 0.001 : 0;
  };
  const double a = microseconds(from), b = microseconds(to);
  return a > 0 && b > 0 ? target * a / b : target;
}

// The words of v2beta1, in those of v2.
void RewriteBody(YamlNode& metric, YamlNode& body) {
  const std::string name(TextAt(&body, "metricName"));
  if (name.empty()) return;
  YamlNode kept = Snippet("{metric: {}, target: {}}");
  SetText(Child(kept, "metric"), "name", name);
  if (const YamlNode* const selector = Find(&body, "selector")) {
    Set(Child(kept, "metric"), "selector", *selector);
  } else if (const YamlNode* const series = Find(&body, "metricSelector")) {
    Set(Child(kept, "metric"), "selector", *series);
  }
  if (const YamlNode* const described = Find(&body, "target");
      described != nullptr && Find(described, "kind") != nullptr) {
    Set(kept, "describedObject", *described);
  }
  YamlNode& target = Child(kept, "target");
  const bool average = Find(&body, "targetAverageValue") != nullptr;
  SetText(target, "type", average ? "AverageValue" : "Value");
  SetText(target, average ? "averageValue" : "value",
          TextAt(&body, average                                 ? "targetAverageValue"
                        : Find(&body, "targetValue") != nullptr ? "targetValue"
                                                                : "value"));
  (void)metric;
  const int line = body.line;
  body = std::move(kept);
  body.line = line;
}

void RewriteResource(YamlNode& body) {
  const std::string_view percent = TextAt(&body, "targetAverageUtilization");
  const std::string_view value = TextAt(&body, "targetAverageValue");
  if (percent.empty() && value.empty()) return;
  YamlNode target = Snippet("{}");
  SetText(target, "type", percent.empty() ? "AverageValue" : "Utilization");
  SetText(target, percent.empty() ? "averageValue" : "averageUtilization",
          percent.empty() ? value : percent);
  Set(body, "target", std::move(target));
  Erase(body, "targetAverageUtilization");
  Erase(body, "targetAverageValue");
}

void UsePublishedName(YamlNode& body, bool external, FixContext& context) {
  YamlNode* const name = AtIn(&body, "metric.name");
  if (name == nullptr) return;
  std::vector<std::string_view> published;
  for (const AdapterRule& rule : context.bundle.rules) {
    if (rule.external == external && !rule.metric.empty()) published.push_back(rule.metric);
  }
  if (std::find(published.begin(), published.end(), name->scalar) != published.end()) return;
  const auto near = options::NearestName(name->scalar, published);
  if (!near.has_value()) return;
  for (const char* const field : {"averageValue", "value"}) {
    YamlNode* const target = FindIn(FindIn(&body, "target"), field);
    const auto number =
        target == nullptr ? std::nullopt : custom_metrics::ParseQuantity(target->scalar);
    if (!number.has_value() || Suffix(name->scalar) == Suffix(*near)) continue;
    const std::string converted =
        custom_metrics::QuantityText(Converted(*number, name->scalar, *near));
    context.remarks.push_back(Concat(context.file, ": the target ", target->scalar, " of ",
                                     name->scalar, " is ", converted, " of ", *near));
    target->scalar = converted;
  }
  name->scalar = *near;
}

// What cannot be known is accepted by name, and said.
void AcceptSmallTarget(YamlNode& object, const YamlNode& body, FixContext& context) {
  const auto target = custom_metrics::ParseQuantity(TextAt(&body, "target.averageValue"));
  if (!target.has_value() || *target >= 1000 || !TextAt(&body, "metric.name").ends_with("_us")) {
    return;
  }
  YamlNode& annotations = Child(Child(object, "metadata"), "annotations");
  if (FindIn(&annotations, "tepal/accept") != nullptr) return;
  SetText(annotations, "tepal/accept", "target-unit");
  context.remarks.push_back(Concat(context.file, ": the target ",
                                   TextAt(&body, "target.averageValue"),
                                   " is in microseconds; it is left, and accepted by an "
                                   "annotation: say 1000 times as much if it was in milliseconds"));
}

}  // namespace

void FixService(YamlNode& object, FixContext& context) {
  YamlNode* const spec = FindIn(&object, "spec");
  const std::string_view type = TextAt(spec, "type");
  if (type != "LoadBalancer" && type != "NodePort") return;
  YamlNode* const ports = FindIn(spec, "ports");
  if (ports == nullptr) return;
  std::erase_if(ports->elements, IsMetricsPort);
  const bool grpc = std::any_of(ports->elements.begin(), ports->elements.end(), IsGrpcPort);
  if (!grpc || !HasScaledPods(object, context.bundle)) return;
  context.remarks.push_back(
      Concat(context.file, ": the Service '", TextAt(&object, "metadata.name"),
             "' is now inside the "
             "cluster alone: clients come through the balancer, which knows every pod"));
  Erase(*spec, "type");
}

void FixAutoscaler(YamlNode& object, FixContext& context) {
  if (YamlNode* const target = AtIn(&object, "spec.scaleTargetRef")) {
    const auto removed = FindRemovedVersion(TextAt(target, "apiVersion"), TextAt(target, "kind"));
    if (removed.has_value() && !removed->replacement.empty()) {
      SetText(*target, "apiVersion", removed->replacement);
    }
    if (TextAt(target, "kind") == "ReplicationController") {
      SetText(*target, "apiVersion", "apps/v1");
      SetText(*target, "kind", "Deployment");
    }
  }
  YamlNode* const metrics = AtIn(&object, "spec.metrics");
  if (metrics == nullptr) return;
  for (YamlNode& metric : metrics->elements) {
    for (const char* const field : {"pods", "object", "external"}) {
      YamlNode* const body = FindIn(&metric, field);
      if (body == nullptr) continue;
      RewriteBody(metric, *body);
      UsePublishedName(*body, field == std::string_view("external"), context);
      AcceptSmallTarget(object, *body, context);
    }
    if (YamlNode* const body = FindIn(&metric, "resource")) RewriteResource(*body);
  }
}

}  // namespace tepal::diagnosis
