// One rule at work: which series it takes, what they are called, and the query that answers for
// them. prometheus-adapter's naming, label matcher for label matcher.
//
// Names that go into a regular expression are escaped, which prometheus-adapter does not do: pod
// "a.b" does not match pod "axb". Immutable, pure; the table of kinds outlives it.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "scaling/custom_metrics/label_mapping.h"
#include "scaling/custom_metrics/label_selector.h"
#include "scaling/custom_metrics/rules_config.h"

namespace tepal::custom_metrics {

class MetricNamer {
 public:
  static Result<MetricNamer> New(MetricRule rule, const KindTable& kinds,
                                 std::vector<std::string>* notes);

  const std::string& series_query() const { return rule_.series_query; }
  const LabelMapping& labels() const { return labels_; }

  bool Takes(const std::string& series_name) const;
  // Nothing when the series' name is not of the rule's form.
  std::optional<std::string> NameOf(const std::string& series_name) const;

  // `name_space` empty: none. kInvalidArgument for a selector that PromQL cannot say.
  Result<std::string> ObjectQuery(const std::string& series, const GroupResource& resource,
                                  const std::string& name_space,
                                  const std::vector<std::string>& names,
                                  const LabelSelector& selector) const;
  Result<std::string> ExternalQuery(const std::string& series, const std::string& name_space,
                                    const LabelSelector& selector) const;

 private:
  MetricNamer(MetricRule rule, LabelMapping labels)
      : rule_(std::move(rule)), labels_(std::move(labels)) {}

  MetricRule rule_;
  LabelMapping labels_;
};

// Go's Regexp.Expand: "$1", "${1}_x", "$name", "$$".
std::string ExpandName(const std::string& form, const re2::RE2& regex,
                       const std::vector<std::optional<std::string>>& groups);

// `text` in double quotes, as Go's %q writes it for what labels hold.
std::string Quoted(std::string_view text);

}  // namespace tepal::custom_metrics
