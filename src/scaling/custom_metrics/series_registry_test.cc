#include "scaling/custom_metrics/series_registry.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

std::vector<MetricNamer> Namers(const std::string& rules) {
  static const KindTable kinds;
  auto config = ParseRulesConfig("rules:\n" + rules, "r.yaml");
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  std::vector<MetricNamer> namers;
  for (MetricRule& rule : config->rules) {
    namers.push_back(MetricNamer::New(std::move(rule), kinds, nullptr).value());
  }
  return namers;
}

TEST(SeriesRegistry, ListsEveryKindOfASeries) {
  const auto namers = Namers(
      "- {seriesQuery: x, metricsQuery: x, resources: {template: '<<.Resource>>'}, name: "
      "{matches: '^(.*)_total$'}}\n");
  const std::vector<Series> series = {
      {"http_total", {{"pod", "a"}, {"namespace", "n"}, {"instance", "i"}, {"node", "m"}}},
      {"http_total", {{"pod", "b"}, {"namespace", "n"}}},
      {"gauge", {{"pod", "a"}}},
      {"jobs_total", {{"deployment", "d"}}}};
  const auto registry = SeriesRegistry::OfObjects(namers, {&series});
  std::vector<std::string> names;
  for (const MetricInfo& info : registry.Metrics()) {
    names.push_back(info.resource.resource + "." + info.resource.group + "/" + info.metric +
                    (info.namespaced ? "" : " root"));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"namespaces./http root", "nodes./http root",
                                             "pods./http", "deployments.apps/jobs"}));
  ASSERT_NE(registry.Find("http", {"", "pods"}), nullptr);
  EXPECT_EQ(registry.Find("http", {"", "pods"})->series, "http_total");
  EXPECT_EQ(registry.Find("http", {"", "services"}), nullptr);
  EXPECT_EQ(registry.Find("gauge", {"", "pods"}), nullptr);
}

TEST(SeriesRegistry, TheLaterRuleCounts) {
  const auto namers = Namers(
      "- {seriesQuery: x, metricsQuery: first, resources: {template: '<<.Resource>>'}}\n"
      "- {seriesQuery: x, metricsQuery: second, resources: {template: '<<.Resource>>'}}\n");
  const std::vector<Series> series = {{"m", {{"pod", "a"}}}};
  const auto registry = SeriesRegistry::OfObjects(namers, {&series, &series});
  EXPECT_EQ(registry.Find("m", {"", "pods"})->namer, &namers[1]);
}

TEST(SeriesRegistry, ExternalMetricsNeedNoLabels) {
  const auto namers = Namers("- {seriesQuery: x, metricsQuery: x}\n");
  const std::vector<Series> series = {{"queue_depth", {}}, {"queue_depth", {{"topic", "a"}}}};
  const auto registry = SeriesRegistry::OfExternal(namers, {&series});
  EXPECT_EQ(registry.Metrics().size(), 1u);
  EXPECT_NE(registry.Find("queue_depth", {}), nullptr);
}

}  // namespace
}  // namespace tepal::custom_metrics
