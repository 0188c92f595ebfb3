// Which label of a series names which kind of object, both ways: prometheus-adapter's resources of
// one rule.
//
// Overrides say it label by label; the template says it for every label of its form whose name is
// that of a kind. Kinds are normalised by the table: a label for "pod" is one for pods. Immutable;
// the table outlives it.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "scaling/custom_metrics/kind_table.h"
#include "scaling/custom_metrics/rules_config.h"

namespace tepal::custom_metrics {

class LabelMapping {
 public:
  // kInvalidArgument when the template does not contain the resource. An override with a kind that
  // the table does not know is kept under a guessed plural, and told in `notes`.
  static Result<LabelMapping> New(const MetricRule& rule, const KindTable& kinds,
                                  std::vector<std::string>* notes);

  // Null: the label names no object.
  std::optional<GroupResource> ResourceOf(const std::string& label) const;

  // kNotFound when this rule has no label for it.
  Result<std::string> LabelOf(const GroupResource& resource) const;

  bool IsNamespaced(const GroupResource& resource) const;

 private:
  LabelMapping() = default;

  const KindTable* kinds_ = nullptr;
  std::map<std::string, GroupResource> by_label_;
  std::map<GroupResource, std::string> by_resource_;
  std::optional<RulesTemplate> template_;
  Regex form_;  // Of a label, from the template; its groups "resource" and perhaps "group".
  int resource_group_ = 0;
  int group_group_ = 0;  // 0: none.
};

inline const GroupResource kNamespacesResource{"", "namespaces"};

}  // namespace tepal::custom_metrics
