// Autoscalers: what they scale, and the metric they scale by.

#include <algorithm>

#include "apps/diagnosis/api_versions.h"
#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/selectors.h"
#include "core/base/text.h"
#include "core/options/values.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

// Below this a mean time in the queue is the noise of a server with nothing to do.
constexpr double kQueueTargetMin_us = 1000;

// One metric of an HPA, in whichever version's words it is written.
struct HpaMetric {
  std::string_view name;
  std::string_view target;
  int name_line = 0;
  int target_line = 0;
};

class HpaCheck {
 public:
  HpaCheck(const Bundle& bundle, const Manifest& hpa, Report& report)
      : bundle_(bundle), hpa_(hpa), report_(report) {}

  void Check() {
    CheckTarget();
    CheckBounds();
    for (const YamlNode& metric : ListAt(hpa_.get(), "spec.metrics")) CheckMetric(metric);
  }

 private:
  void Add(int line, Severity severity, std::string code, std::string fault, std::string fix) {
    report_.Add(hpa_, line, severity, std::move(code), std::move(fault), std::move(fix));
  }

  void CheckTarget() {
    const YamlNode* const target = At(hpa_.get(), "spec.scaleTargetRef");
    const std::string_view kind = TextAt(target, "kind");
    const std::string_view name = TextAt(target, "name");
    if (const auto removed = FindRemovedVersion(TextAt(target, "apiVersion"), kind)) {
      // The controller looks the kind up in its group, whatever the version.
      const bool found = removed->api_version.substr(0, removed->api_version.find('/')) ==
                         removed->replacement.substr(0, removed->replacement.find('/'));
      Add(LineOf(target, "apiVersion"), found ? Severity::kWarning : Severity::kError,
          "removed-api",
          Concat("scaleTargetRef names ", kind, " of ", removed->api_version,
                 ", removed in Kubernetes ", removed->removed_in,
                 found ? ": it is found by its group alone, until that changes too"
                       : ": the controller cannot find it and does nothing"),
          Concat("write apiVersion: ", removed->replacement));
    }
    if (bundle_.FindObject(kind, hpa_.Namespace(), name) != nullptr) return;
    std::vector<std::string_view> names;
    std::string elsewhere;
    for (const Manifest* other : bundle_.OfKind(kind)) {
      names.push_back(other->name);
      if (other->name == name) elsewhere = other->Namespace();
    }
    const auto near = options::NearestName(name, names);
    if (!near.has_value()) return;
    Add(LineOf(target, "name"), Severity::kError, "no-scale-target",
        Concat("there is no ", kind, " '", name, "' in the namespace ", hpa_.Namespace()),
        elsewhere.empty() ? Concat("write ", *near)
                          : Concat("put the autoscaler into the namespace ", elsewhere));
  }

  void CheckBounds() {
    const double min =
        custom_metrics::ParseQuantity(TextAt(hpa_.get(), "spec.minReplicas")).value_or(1);
    const double max =
        custom_metrics::ParseQuantity(TextAt(hpa_.get(), "spec.maxReplicas")).value_or(min);
    if (max < min) {
      Add(LineOf(hpa_.get(), "spec.maxReplicas"), Severity::kError, "bad-bounds",
          Concat("maxReplicas ", max, " is less than minReplicas ", min), "exchange them");
    }
    if (min == 0) {
      Add(LineOf(hpa_.get(), "spec.minReplicas"), Severity::kNote, "scale-to-zero",
          "minReplicas: 0 needs the feature gate HPAScaleToZero, which is off by default, and an "
          "Object or External metric",
          "write 1 unless the cluster has the gate on");
    }
  }

  void CheckMetric(const YamlNode& metric) {
    const std::string_view type = TextAt(&metric, "type");
    const bool external = type == "External";
    if (type != "Pods" && type != "Object" && !external) return;
    const YamlNode* const body = Find(&metric, external         ? "external"
                                               : type == "Pods" ? "pods"
                                                                : "object");
    const HpaMetric read = Read(body);
    const bool old_words = Find(body, "metricName") != nullptr;
    if (old_words && hpa_.api_version == "autoscaling/v2") {
      Add(LineOf(body, "metricName"), Severity::kError, "old-fields",
          "metricName and targetAverageValue are words of v2beta1; v2 does not know them",
          "write metric: {name: …} and target: {type: AverageValue, averageValue: …}");
    }
    CheckName(read, external);
    CheckUnit(read);
  }

  static HpaMetric Read(const YamlNode* body) {
    HpaMetric metric;
    metric.name = TextAt(body, "metric.name");
    metric.name_line = LineOf(body, "metric.name");
    if (metric.name.empty()) {
      metric.name = TextAt(body, "metricName");
      metric.name_line = LineOf(body, "metricName");
    }
    for (const char* const path :
         {"target.averageValue", "target.value", "targetAverageValue", "targetValue"}) {
      metric.target = TextAt(body, path);
      metric.target_line = LineOf(body, path);
      if (!metric.target.empty()) break;
    }
    return metric;
  }

  void CheckName(const HpaMetric& metric, bool external) {
    std::vector<std::string_view> published;
    for (const AdapterRule& rule : bundle_.rules) {
      if (rule.external != external) continue;
      if (rule.metric.empty()) return;  // It cannot be told what it publishes.
      if (rule.metric == metric.name) return CheckRuleNamespace(rule);
      published.push_back(rule.metric);
    }
    if (published.empty()) return;
    const auto near = options::NearestName(metric.name, published);
    std::string list;
    for (const std::string_view name : published) list += Concat(list.empty() ? "" : ", ", name);
    Add(metric.name_line, Severity::kError, "unknown-metric",
        Concat("no rule of the adapter publishes '", metric.name, "' (it publishes ", list,
               "): the autoscaler reports FailedGetPodsMetric and never scales"),
        near.has_value() ? Concat("write ", *near, ", and its target in that name's unit")
                         : "ask for a published metric, or add a rule");
  }

  void CheckRuleNamespace(const AdapterRule& rule) {
    if (rule.name_space.empty() || rule.name_space == hpa_.Namespace()) return;
    report_.Add(rule.file, rule.line, Severity::kError, "wrong-namespace",
                Concat("the rule reads series of the namespace '", rule.name_space, "' alone, but ",
                       hpa_.Words(), " is in '", hpa_.Namespace(), "'"),
                "write namespace!=\"\" in seriesQuery");
  }

  void CheckUnit(const HpaMetric& metric) {
    const auto target = custom_metrics::ParseQuantity(metric.target);
    if (!target.has_value()) return;
    if (*target <= 0) {
      Add(metric.target_line, Severity::kError, "bad-target",
          Concat("the target ", metric.target, " is not more than 0"), "write a positive number");
      return;
    }
    const bool microseconds = metric.name.ends_with("_us") || NearestIsMicroseconds(metric.name);
    if (!microseconds || *target >= kQueueTargetMin_us) return;
    Add(metric.target_line, Severity::kWarning, "target-unit",
        Concat("the target ", metric.target, " is in microseconds, ", *target / 1000,
               " ms: less than one inference takes, so almost any load asks for all replicas"),
        Concat("if milliseconds were meant, write ", custom_metrics::QuantityText(*target * 1000)));
  }

  // A name that nobody publishes is measured in the unit of the one that was meant.
  bool NearestIsMicroseconds(std::string_view name) const {
    std::vector<std::string_view> published;
    for (const AdapterRule& rule : bundle_.rules) {
      if (rule.metric == name) return false;
      published.push_back(rule.metric);
    }
    const auto near = options::NearestName(name, published);
    return near.has_value() && near->ends_with("_us");
  }

  const Bundle& bundle_;
  const Manifest& hpa_;
  Report& report_;
};

}  // namespace

void CheckScaling(const Bundle& bundle, Report& report) {
  for (const Manifest* hpa : bundle.OfKind("HorizontalPodAutoscaler")) {
    HpaCheck(bundle, *hpa, report).Check();
  }
}

}  // namespace tepal::diagnosis
