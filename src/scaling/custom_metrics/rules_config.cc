#include "scaling/custom_metrics/rules_config.h"

#include <re2/re2.h>

#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::custom_metrics {
namespace {

using options::YamlNode;
using options::YamlReader;

constexpr std::string_view kQueryFields[] = {"Series", "LabelMatchers", "LabelValuesByName",
                                             "GroupBy", "GroupBySlice"};
constexpr std::string_view kLabelFields[] = {"Group", "Resource"};

// Absent and null are the same: nothing.
std::string TextOf(YamlReader& reader, std::string_view key) {
  std::string text;
  const YamlNode* node = reader.Node(key);
  if (node != nullptr && node->kind != YamlNode::Kind::kNull) reader.Text(key, &text);
  return text;
}

// RE2's syntax is Go's; so is its way to choose among matches.
Regex Compile(YamlReader& reader, std::string_view key, const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_shared<const RE2>(pattern, options);
  if (!regex->ok()) {
    reader.Fail(key, Concat("'", pattern, "' (", regex->error(), ")"), "a regular expression");
    return nullptr;
  }
  return regex;
}

template <size_t N>
std::optional<RulesTemplate> ParseTemplate(YamlReader& reader, std::string_view key,
                                           const std::string& text,
                                           const std::string_view (&fields)[N]) {
  Result<RulesTemplate> parsed = RulesTemplate::Parse(text, fields);
  if (parsed.ok()) return *std::move(parsed);
  reader.Fail(key, Concat("'", text, "' (", parsed.status().message(), ")"),
              "a template between << and >>");
  return std::nullopt;
}

void ReadFilters(YamlReader& reader, MetricRule& rule) {
  for (YamlReader& filter : reader.Sections("seriesFilters")) {
    const std::string is = TextOf(filter, "is");
    const std::string is_not = TextOf(filter, "isNot");
    if (is.empty() == is_not.empty()) {
      filter.Fail("is", is.empty() ? "neither" : "both", "either is or isNot");
      continue;
    }
    const bool positive = is_not.empty();
    Regex regex = Compile(filter, positive ? "is" : "isNot", positive ? is : is_not);
    if (regex != nullptr) rule.filters.push_back({std::move(regex), positive});
  }
}

void ReadName(YamlReader& reader, MetricRule& rule) {
  YamlReader name = reader.Section("name");
  const std::string matches = TextOf(name, "matches");
  rule.name_as = TextOf(name, "as");
  rule.name_matches = Compile(name, "matches", matches.empty() ? ".*" : matches);
  if (rule.name_matches == nullptr) return;
  if (!matches.empty()) rule.filters.push_back({rule.name_matches, true});
  if (!rule.name_as.empty()) return;
  const int groups = rule.name_matches->NumberOfCapturingGroups();
  if (groups > 1) {
    name.Fail("as", "nothing", Concat("a name, because matches has ", groups, " groups"));
  }
  rule.name_as = groups == 0 ? "$0" : "$1";
}

void ReadOverrides(YamlReader& resources, MetricRule& rule) {
  for (auto& [label, reader] : resources.NamedSections("overrides")) {
    GroupResource resource;
    resource.group = TextOf(reader, "group");
    resource.resource = TextOf(reader, "resource");
    if (resource.resource.empty()) {
      reader.Fail("resource", "nothing", "the name of a kind, as pod");
      continue;
    }
    rule.overrides[label] = std::move(resource);
  }
}

void ReadResources(YamlReader& reader, MetricRule& rule) {
  YamlReader resources = reader.Section("resources");
  rule.label_template_text = TextOf(resources, "template");
  if (!rule.label_template_text.empty()) {
    rule.label_template =
        ParseTemplate(resources, "template", rule.label_template_text, kLabelFields);
  }
  ReadOverrides(resources, rule);
  const YamlNode* namespaced = resources.Node("namespaced");
  if (namespaced != nullptr && namespaced->kind != YamlNode::Kind::kNull) {
    resources.Flag("namespaced", &rule.namespaced);
  }
}

MetricRule ReadRule(YamlReader& reader) {
  MetricRule rule;
  rule.line = reader.line();
  rule.series_query = TextOf(reader, "seriesQuery");
  if (rule.series_query.empty()) reader.Fail("seriesQuery", "nothing", "a series selector");
  ReadFilters(reader, rule);
  ReadResources(reader, rule);
  ReadName(reader, rule);
  rule.query_text = TextOf(reader, "metricsQuery");
  if (rule.query_text.empty()) {
    reader.Fail("metricsQuery", "nothing", "a PromQL template");
  } else if (auto query = ParseTemplate(reader, "metricsQuery", rule.query_text, kQueryFields)) {
    rule.query = *std::move(query);
  }
  return rule;
}

std::vector<MetricRule> ReadRules(YamlReader& root, std::string_view key) {
  std::vector<MetricRule> rules;
  const YamlNode* node = root.Node(key);
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return rules;
  std::vector<YamlReader> readers = root.Sections(key);
  if (readers.size() > kRulesMax) {
    root.Fail(key, Concat(readers.size(), " rules"), Concat("at most ", kRulesMax));
    return rules;
  }
  for (YamlReader& reader : readers) rules.push_back(ReadRule(reader));
  return rules;
}

// Read, so that a mistake in it is one; what it says is not used.
void ReadResourceRules(YamlReader& root, RulesConfig& config) {
  const YamlNode* node = root.Node("resourceRules");
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return;
  YamlReader rules = root.Section("resourceRules");
  for (const std::string_view what : {"cpu", "memory"}) {
    YamlReader rule = rules.Section(what);
    for (const std::string_view key : {"containerQuery", "nodeQuery"}) {
      const std::string text = TextOf(rule, key);
      if (!text.empty()) (void)ParseTemplate(rule, key, text, kQueryFields);
    }
    (void)TextOf(rule, "containerLabel");
    MetricRule ignored;
    ReadResources(rule, ignored);
  }
  (void)TextOf(rules, "window");
  config.notes.push_back(
      Concat(root.file(), ":", node->line,
             ": resourceRules are not served: metrics.k8s.io is metrics-server's API, and an "
             "APIService has one owner; install metrics-server for kubectl top and CPU targets"));
}

// prometheus-adapter's documented sample has queries with double quotes within double quotes, which
// no YAML parser takes, its own neither. What is meant is plain: such a line is put in single
// quotes. Empty: there is no such line.
std::string WithQuotesMended(std::string_view text, const std::string& file,
                             std::vector<std::string>& notes) {
  static const RE2 kQuery(R"re((\s*(?:- +)?metricsQuery: +)"([^\\]*"[^\\]*)"\s*)re");
  std::string mended;
  int number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    if (++number > 1) mended.push_back('\n');
    std::string key, query;
    if (!RE2::FullMatch(re2::StringPiece(line.data(), line.size()), kQuery, &key, &query)) {
      mended += line;
      continue;
    }
    RE2::GlobalReplace(&query, "'", "''");
    mended += Concat(key, "'", query, "'");
    notes.push_back(Concat(file, ":", number,
                           ": metricsQuery has double quotes within double quotes, which is no "
                           "YAML; read as it is meant: put it in single quotes"));
  }
  return notes.empty() ? std::string() : mended;
}

}  // namespace

Result<RulesConfig> ParseRulesConfig(std::string_view text, const std::string& file) {
  RulesConfig config;
  Result<YamlNode> tree = options::ParseYaml(text, file);
  if (!tree.ok()) {
    const std::string mended = WithQuotesMended(text, file, config.notes);
    if (mended.empty()) return tree.status();
    tree = options::ParseYaml(mended, file);
    if (!tree.ok()) return tree.status();
  }
  YamlReader root(*tree, file);
  config.rules = ReadRules(root, "rules");
  config.external_rules = ReadRules(root, "externalRules");
  ReadResourceRules(root, config);
  RETURN_IF_ERROR(root.Finish());
  return config;
}

}  // namespace tepal::custom_metrics
