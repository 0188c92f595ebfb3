// prometheus-adapter's rules file, read as it is: which series are metrics of which objects.
//
// Every mistake of the file is named with its line, and an unknown field is one, as it is for
// prometheus-adapter. Expressions and templates are compiled here, so that a file that loads is one
// that can be asked. resourceRules (metrics.k8s.io) are read and not served: `notes` says so. Text
// in, one struct out; whoever uses the rules needs no YAML.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "scaling/custom_metrics/metric_source.h"
#include "scaling/custom_metrics/rules_template.h"

namespace re2 {
class RE2;
}

namespace tepal::custom_metrics {

using Regex = std::shared_ptr<const re2::RE2>;

struct SeriesFilter {
  Regex regex;
  bool positive = true;  // `is`; otherwise `isNot`.
};

struct MetricRule {
  int line = 1;  // Of the file, for messages.
  std::string series_query;
  std::vector<SeriesFilter> filters;  // `matches` of the name among them.
  std::optional<RulesTemplate> label_template;
  std::string label_template_text;
  std::map<std::string, GroupResource> overrides;  // By label; as written, not normalised.
  bool namespaced = true;                          // External rules: add the namespace.
  Regex name_matches;                              // Never null.
  std::string name_as;                             // Never empty.
  RulesTemplate query;
  std::string query_text;
};

struct RulesConfig {
  std::vector<MetricRule> rules;
  std::vector<MetricRule> external_rules;
  std::vector<std::string> notes;  // What the file has that is not served, and why.
};

inline constexpr size_t kRulesMax = 1000;

// `file` is for messages. kInvalidArgument: every mistake, one a line.
Result<RulesConfig> ParseRulesConfig(std::string_view text, const std::string& file);

}  // namespace tepal::custom_metrics
