// An explanation for people, and for scripts.

#include <cmath>
#include <cstdio>

#include "apps/diagnosis/hpa_explanation.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "scaling/custom_metrics/quantity.h"

namespace tepal::diagnosis {
namespace {

std::string Number(double value) {
  return std::abs(value) >= 1000 ? Concat(std::round(value)) : custom_metrics::QuantityText(value);
}

std::string Ratio(double ratio) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", ratio);
  return text;
}

std::string Replicas(int count) { return Concat(count, count == 1 ? " replica" : " replicas"); }

std::string MetricText(const MetricExplanation& metric) {
  std::string text = Concat("  ", metric.name, ": ");
  if (metric.ratio.has_value()) {
    text += Concat(Number(*metric.current), " against a target of ", Number(*metric.target),
                   ", ratio ", Ratio(*metric.ratio));
  } else {
    text += "unknown";
  }
  if (metric.replicas.has_value()) text += Concat(": asks for ", Replicas(*metric.replicas));
  text += "\n";
  for (const std::string& note : metric.notes) text += Concat("      ", note, "\n");
  return text;
}

void Texts(json::Writer& out, std::string_view key, const std::vector<std::string>& texts) {
  out.Key(key).BeginArray();
  for (const std::string& text : texts) out.String(text);
  out.EndArray();
}

template <typename Value>
void Optional(json::Writer& out, std::string_view key, const std::optional<Value>& value) {
  out.Key(key);
  if (!value.has_value()) {
    out.Null();
  } else if constexpr (std::is_integral_v<Value>) {
    out.Int(*value);
  } else {
    out.Double(*value);
  }
}

}  // namespace

std::string ExplanationText(const HpaExplanation& explanation) {
  std::string text =
      Concat("HorizontalPodAutoscaler ", explanation.name, " scales ", explanation.target, " from ",
             explanation.min, " to ", explanation.max, "\n");
  for (const MetricExplanation& metric : explanation.metrics) text += MetricText(metric);
  if (explanation.current.has_value() && explanation.desired.has_value()) {
    const int from = *explanation.current, to = *explanation.desired;
    text += from == to ? Concat("It would stay at ", Replicas(from), ".\n")
                       : Concat("It would go from ", from, " to ", Replicas(to), ".\n");
  } else {
    text += "It would do nothing.\n";
  }
  for (const std::string& reason : explanation.reasons) text += Concat("  ", reason, "\n");
  if (!explanation.conditions.empty()) text += "What the controller says:\n";
  for (const std::string& condition : explanation.conditions) text += Concat("  ", condition, "\n");
  if (!explanation.events.empty()) text += "What happened:\n";
  for (const std::string& event : explanation.events) text += Concat("  ", event, "\n");
  return text;
}

std::string ExplanationJson(const HpaExplanation& explanation) {
  json::Writer out;
  out.BeginObject().Key("name").String(explanation.name);
  out.Key("target").String(explanation.target);
  out.Key("min").Int(explanation.min).Key("max").Int(explanation.max);
  Optional(out, "current", explanation.current);
  Optional(out, "recommended", explanation.recommended);
  Optional(out, "desired", explanation.desired);
  out.Key("able").Bool(explanation.able);
  out.Key("metrics").BeginArray();
  for (const MetricExplanation& metric : explanation.metrics) {
    out.BeginObject().Key("name").String(metric.name);
    Optional(out, "current", metric.current);
    Optional(out, "target", metric.target);
    Optional(out, "ratio", metric.ratio);
    Optional(out, "replicas", metric.replicas);
    Texts(out, "notes", metric.notes);
    out.EndObject();
  }
  out.EndArray();
  Texts(out, "reasons", explanation.reasons);
  Texts(out, "conditions", explanation.conditions);
  Texts(out, "events", explanation.events);
  return out.EndObject().Take();
}

}  // namespace tepal::diagnosis
