// Which pods are meant: label selectors, and the pods that the workloads of a bundle make.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/diagnosis/bundle.h"

namespace tepal::diagnosis {

using Labels = std::vector<std::pair<std::string, std::string>>;

// A pod, or what makes pods.
struct Workload {
  const Manifest* manifest = nullptr;
  const YamlNode* pod = nullptr;   // With metadata and spec; of a Pod the object itself.
  const YamlNode* spec = nullptr;  // Of the pod.
  Labels labels;                   // Of the pod.

  const std::vector<YamlNode>& containers() const { return ListAt(spec, "containers"); }
};

std::vector<Workload> WorkloadsOf(const Bundle& bundle);

// Equal pairs, as a Service's selector has them.
bool HasLabels(const Labels& labels, const Labels& wanted);

// {matchLabels, matchExpressions}; one that says nothing matches everything.
bool MatchesSelector(const YamlNode* selector, const Labels& labels);

// "app=flower,tier in (a, b)"
std::string SelectorText(const YamlNode* selector);
std::string LabelsText(const Labels& labels);

// The label of `labels` that was probably meant by one of `wanted` that is not among them:
// "app=flower", and its value there. Empty when none is near.
std::string NearestLabel(const Labels& wanted, const Labels& labels);

// Whether a container of the pod has a port of this name, or number.
bool HasPortName(const Workload& workload, std::string_view name);
bool HasPortNumber(const Workload& workload, std::string_view number);

}  // namespace tepal::diagnosis
