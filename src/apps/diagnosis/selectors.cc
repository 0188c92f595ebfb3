#include "apps/diagnosis/selectors.h"

#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::diagnosis {
namespace {

const std::string* ValueOf(const Labels& labels, std::string_view key) {
  const auto found = std::find_if(labels.begin(), labels.end(),
                                  [key](const auto& label) { return label.first == key; });
  return found == labels.end() ? nullptr : &found->second;
}

bool MatchesExpression(const YamlNode& expression, const Labels& labels) {
  const std::string* const value = ValueOf(labels, TextAt(&expression, "key"));
  const std::string_view how = TextAt(&expression, "operator");
  const auto& values = ListAt(&expression, "values");
  const bool among = value != nullptr &&
                     std::any_of(values.begin(), values.end(),
                                 [value](const YamlNode& one) { return one.scalar == *value; });
  if (how == "In") return among;
  if (how == "NotIn") return !among;
  if (how == "Exists") return value != nullptr;
  return value == nullptr;  // DoesNotExist
}

const YamlNode* PodOf(const Manifest& manifest) {
  static constexpr std::array<std::string_view, 6> kKinds = {
      "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"};
  if (manifest.kind == "Pod") return manifest.get();
  if (manifest.kind == "CronJob") return At(manifest.get(), "spec.jobTemplate.spec.template");
  const bool known = std::find(kKinds.begin(), kKinds.end(), manifest.kind) != kKinds.end();
  return known ? At(manifest.get(), "spec.template") : nullptr;
}

template <typename Matches>
bool AnyPort(const Workload& workload, Matches matches) {
  for (const char* const kind : {"containers", "initContainers"}) {
    for (const YamlNode& container : ListAt(workload.spec, kind)) {
      const auto& ports = ListAt(&container, "ports");
      if (std::any_of(ports.begin(), ports.end(), matches)) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<Workload> WorkloadsOf(const Bundle& bundle) {
  std::vector<Workload> workloads;
  for (const auto& manifest : bundle.manifests) {
    const YamlNode* const pod = PodOf(*manifest);
    if (pod == nullptr) continue;
    workloads.push_back({manifest.get(), pod, Find(pod, "spec"), TextsAt(pod, "metadata.labels")});
  }
  return workloads;
}

bool HasLabels(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& label) {
    const std::string* const value = ValueOf(labels, label.first);
    return value != nullptr && *value == label.second;
  });
}

bool MatchesSelector(const YamlNode* selector, const Labels& labels) {
  if (!HasLabels(labels, TextsAt(selector, "matchLabels"))) return false;
  const auto& expressions = ListAt(selector, "matchExpressions");
  return std::all_of(expressions.begin(), expressions.end(),
                     [&labels](const YamlNode& one) { return MatchesExpression(one, labels); });
}

std::string LabelsText(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    text += Concat(text.empty() ? "" : ",", key, "=", value);
  }
  return text;
}

std::string SelectorText(const YamlNode* selector) {
  std::string text = LabelsText(TextsAt(selector, "matchLabels"));
  for (const YamlNode& expression : ListAt(selector, "matchExpressions")) {
    std::string values;
    for (const YamlNode& value : ListAt(&expression, "values")) {
      values += Concat(values.empty() ? "" : ", ", value.scalar);
    }
    text += Concat(text.empty() ? "" : ",", TextAt(&expression, "key"), " ",
                   TextAt(&expression, "operator"), " (", values, ")");
  }
  return text.empty() ? "everything" : text;
}

std::string NearestLabel(const Labels& wanted, const Labels& labels) {
  for (const auto& [key, value] : wanted) {
    const std::string* const there = ValueOf(labels, key);
    if (there == nullptr || *there == value) continue;
    const std::array<std::string_view, 1> candidates = {*there};
    if (options::NearestName(value, candidates).has_value()) return Concat(key, "=", *there);
  }
  return {};
}

bool HasPortName(const Workload& workload, std::string_view name) {
  return AnyPort(workload, [name](const YamlNode& port) { return TextAt(&port, "name") == name; });
}

bool HasPortNumber(const Workload& workload, std::string_view number) {
  return AnyPort(workload, [number](const YamlNode& port) {
    return TextAt(&port, "containerPort") == number;
  });
}

}  // namespace tepal::diagnosis
