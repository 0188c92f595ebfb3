#include "scaling/custom_metrics/rules_config.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/options/yaml.h"

namespace tepal::custom_metrics {
namespace {

constexpr char kEverything[] = R"yaml(# Every field of the format.
rules:
- seriesQuery: '{__name__=~"^container_.*",pod!=""}'
  seriesFilters:
  - isNot: "^container_.*_seconds_total$"
  - is: "_total$"
  resources:
    template: "kube_<<.Group>>_<<.Resource>>"
    overrides:
      namespace: {resource: "namespace"}
      microservice: {group: "apps", resource: "deployment"}
  name: {matches: "^container_(.*)_total$"}
  metricsQuery: "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)"
- seriesQuery: 'up'
  name: {as: "alive"}
  resources: {template: "<<.Resource>>"}
  metricsQuery: up
externalRules:
- seriesQuery: '{__name__="queue_depth"}'
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (name)
  resources:
    namespaced: false
resourceRules:
  cpu:
    containerQuery: sum(x{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    nodeQuery: y
    resources: {overrides: {instance: {resource: node}}}
    containerLabel: container
  memory:
    containerQuery: z
  window: 5m
)yaml";

TEST(RulesConfig, ReadsEveryField) {
  const auto config = ParseRulesConfig(kEverything, "rules.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ASSERT_EQ(config->rules.size(), 2u);
  const MetricRule& first = config->rules[0];
  EXPECT_EQ(first.line, 3);
  EXPECT_EQ(first.series_query, "{__name__=~\"^container_.*\",pod!=\"\"}");
  ASSERT_EQ(first.filters.size(), 3u);  // With that of the name.
  EXPECT_FALSE(first.filters[0].positive);
  EXPECT_TRUE(first.filters[1].positive);
  EXPECT_TRUE(RE2::PartialMatch("container_x_total", *first.filters[2].regex));
  EXPECT_EQ(first.name_as, "$1");
  EXPECT_TRUE(first.label_template.has_value());
  EXPECT_EQ(first.overrides.at("microservice"), (GroupResource{"apps", "deployment"}));
  EXPECT_TRUE(first.namespaced);
  EXPECT_EQ(config->rules[1].name_as, "alive");
  ASSERT_EQ(config->external_rules.size(), 1u);
  EXPECT_FALSE(config->external_rules[0].namespaced);
  EXPECT_EQ(config->external_rules[0].name_as, "$0");
  ASSERT_EQ(config->notes.size(), 1u);
  EXPECT_TRUE(config->notes[0].starts_with("rules.yaml:23: resourceRules are not served"))
      << config->notes[0];
}

constexpr char kMistakes[] = R"yaml(rules:
- seriesQuery: up
  seriesFilters:
  - is: "("
  - {is: a, isNot: b}
  name: {matches: "(a)(b)"}
  resources: {overrides: {pod: {group: x}}}
  metricsQuery: "<<.Nope>>"
  metricQuery: x
- metricsQuery: up
)yaml";

TEST(RulesConfig, NamesEveryMistakeWithItsLine) {
  const auto config = ParseRulesConfig(kMistakes, "r.yaml");
  ASSERT_FALSE(config.ok());
  const std::string all = config.status().message();
  for (const char* part :
       {"r.yaml:4: field 'rules[0].seriesFilters[0].is'",
        "r.yaml:5: field 'rules[0].seriesFilters[1].is': got both",
        "field 'rules[0].name.as': got nothing, expected a name, because",
        "field 'rules[0].resources.overrides.pod.resource': got nothing",
        "r.yaml:8: field 'rules[0].metricsQuery': got '<<.Nope>>' (template, byte "
        "3: got field '.Nope'",
        "r.yaml:9: unknown field 'rules[0].metricQuery'",
        "r.yaml:10: field 'rules[1].seriesQuery': got nothing"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part << "\nin\n" << all;
  }
}

TEST(RulesConfig, TakesNullForNothing) {
  const auto config = ParseRulesConfig(
      "rules:\n- seriesQuery: up\n  resources:\n  name:\n  seriesFilters:\n  metricsQuery: up\n"
      "externalRules:\nresourceRules:\n",
      "r.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_TRUE(config->notes.empty());
  EXPECT_TRUE(ParseRulesConfig("", "empty.yaml").ok());
}

// As prometheus-adapter's documented sample has it.
TEST(RulesConfig, MendsQuotesWithinQuotes) {
  const auto config = ParseRulesConfig(
      "rules:\n- seriesQuery: up\n  metricsQuery: \"sum(up{a!=\"b\",c='d'}) by (<<.GroupBy>>)\"\n",
      "r.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->rules[0].query_text, "sum(up{a!=\"b\",c='d'}) by (<<.GroupBy>>)");
  ASSERT_EQ(config->notes.size(), 1u);
  EXPECT_TRUE(config->notes[0].starts_with("r.yaml:3: metricsQuery has double quotes within"));
  EXPECT_FALSE(ParseRulesConfig("rules: [\n", "r.yaml").ok());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The published files, when TEPAL_ADAPTER_RULES names the folder that has them.
TEST(RulesConfig, ReadsThePublishedFiles) {
  const char* folder = std::getenv("TEPAL_ADAPTER_RULES");
  if (folder == nullptr) GTEST_SKIP() << "TEPAL_ADAPTER_RULES is not set";
  const auto sample =
      ParseRulesConfig(ReadFile(std::string(folder) + "/sample-config.yaml"), "sample-config.yaml");
  ASSERT_TRUE(sample.ok()) << sample.status().ToString();
  EXPECT_EQ(sample->rules.size(), 4u);
  EXPECT_EQ(sample->external_rules.size(), 2u);
  const auto map = options::ParseYaml(ReadFile(std::string(folder) + "/config-map.yaml"), "map");
  ASSERT_TRUE(map.ok()) << map.status().ToString();
  for (const auto& [name, node] : map->members) {
    if (name != "data") continue;
    const auto rules = ParseRulesConfig(node.members.front().node.scalar, "config.yaml");
    ASSERT_TRUE(rules.ok()) << rules.status().ToString();
    EXPECT_EQ(rules->notes.size(), 1u);
  }
}

}  // namespace
}  // namespace tepal::custom_metrics
