#include "scaling/custom_metrics/value_lists.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/kube/time_text.h"
#include "scaling/custom_metrics/api_request.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::custom_metrics {
namespace {

using Operator = LabelRequirement::Operator;

void BeginList(json::Writer& out, std::string_view kind, std::string_view group,
               std::string_view version) {
  out.BeginObject().Key("kind").String(kind);
  out.Key("apiVersion").String(Concat(group, "/", version));
  out.Key("metadata").BeginObject().EndObject();
  out.Key("items").BeginArray();
}

// A window shorter than a second is one: 0 would say that there is none.
void WriteWindow(json::Writer& out, std::string_view key, const std::optional<Duration>& window) {
  if (!window) return;
  const int64_t seconds = std::chrono::round<std::chrono::seconds>(*window).count();
  out.Key(key).Int(std::max<int64_t>(1, seconds));
}

std::string_view OperatorText(Operator op) {
  switch (op) {
    case Operator::kEquals:
    case Operator::kIn:
      return "In";
    case Operator::kNotEquals:
    case Operator::kNotIn:
      return "NotIn";
    case Operator::kExists:
      return "Exists";
    case Operator::kDoesNotExist:
      return "DoesNotExist";
    case Operator::kGreater:
      return "Gt";
    case Operator::kLess:
      return "Lt";
  }
  return {};
}

bool IsPlain(const LabelRequirement& one) { return one.op == Operator::kEquals; }

void WriteExpression(json::Writer& out, const LabelRequirement& one) {
  out.BeginObject().Key("key").String(one.key).Key("operator").String(OperatorText(one.op));
  if (!one.values.empty()) {
    out.Key("values").BeginArray();
    for (const std::string& value : one.values) out.String(value);
    out.EndArray();
  }
  out.EndObject();
}

// A LabelSelector object; null selects everything.
std::string SelectorText(const LabelSelector& selector) {
  if (selector.empty()) return "null";
  const auto& all = selector.requirements();
  json::Writer out;
  out.BeginObject();
  if (std::any_of(all.begin(), all.end(), IsPlain)) {
    out.Key("matchLabels").BeginObject();
    for (const LabelRequirement& one : all) {
      if (IsPlain(one)) out.Key(one.key).String(one.values.front());
    }
    out.EndObject();
  }
  if (!std::all_of(all.begin(), all.end(), IsPlain)) {
    out.Key("matchExpressions").BeginArray();
    for (const LabelRequirement& one : all) {
      if (!IsPlain(one)) WriteExpression(out, one);
    }
    out.EndArray();
  }
  out.EndObject();
  return out.Take();
}

void WriteObject(json::Writer& out, const ObjectKind& kind, std::string_view name_space,
                 std::string_view name) {
  out.BeginObject().Key("kind").String(kind.kind);
  if (!name_space.empty()) out.Key("namespace").String(name_space);
  out.Key("name").String(name);
  // The core group too has its slash, as the clients have always got it.
  out.Key("apiVersion").String(Concat(kind.resource.group, "/", kind.version));
  out.EndObject();
}

}  // namespace

std::string ObjectValuesText(std::string_view version, const ObjectKind& kind,
                             std::string_view name_space, std::string_view metric,
                             const LabelSelector& metric_selector,
                             const std::vector<ObjectValue>& values) {
  const bool first_version = version == "v1beta1";
  const std::string selector = SelectorText(metric_selector);
  json::Writer out;
  BeginList(out, "MetricValueList", kCustomGroup, version);
  for (const ObjectValue& value : values) {
    out.BeginObject().Key("describedObject");
    WriteObject(out, kind, name_space, value.name);
    if (first_version) {
      out.Key("metricName").String(metric);
    } else {
      out.Key("metric").BeginObject().Key("name").String(metric);
      out.Key("selector").Raw(selector).EndObject();
    }
    out.Key("timestamp").String(kube::TimeText(value.timestamp));
    WriteWindow(out, first_version ? "window" : "windowSeconds", value.window);
    out.Key("value").String(QuantityText(value.value));
    if (first_version) out.Key("selector").Raw(selector);
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

std::string ExternalValuesText(std::string_view metric, const std::vector<ExternalValue>& values) {
  json::Writer out;
  BeginList(out, "ExternalMetricValueList", kExternalGroup, "v1beta1");
  for (const ExternalValue& value : values) {
    out.BeginObject().Key("metricName").String(metric).Key("metricLabels").BeginObject();
    for (const auto& [name, text] : value.labels) out.Key(name).String(text);
    out.EndObject();
    out.Key("timestamp").String(kube::TimeText(value.timestamp));
    WriteWindow(out, "window", value.window);
    out.Key("value").String(QuantityText(value.value));
    out.EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

}  // namespace tepal::custom_metrics
