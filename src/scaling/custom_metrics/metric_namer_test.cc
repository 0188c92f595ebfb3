#include "scaling/custom_metrics/metric_namer.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

namespace tepal::custom_metrics {
namespace {

const KindTable& Kinds() {
  static const KindTable kinds;
  return kinds;
}

MetricNamer Namer(const std::string& rule, std::vector<std::string>* notes = nullptr) {
  auto config = ParseRulesConfig("rules:\n- " + rule, "r.yaml");
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  auto namer = MetricNamer::New(config->rules.front(), Kinds(), notes);
  EXPECT_TRUE(namer.ok()) << namer.status().ToString();
  return *std::move(namer);
}

LabelSelector Selector(std::string_view text) { return *LabelSelector::Parse(text); }

const GroupResource kPods{"", "pods"};
constexpr char kPodRule[] =
    "{seriesQuery: up, metricsQuery: '<<.LabelMatchers>> by <<.GroupBy>>', "
    "resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}}";

// The queries that prometheus-adapter's own tests expect (pkg/naming/metrics_query_test.go).
TEST(MetricNamer, BuildsLabelMatchersAsPrometheusAdapter) {
  const MetricNamer namer = Namer(kPodRule);
  const std::vector<std::string> two = {"bar", "baz"};
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "", {"bar"}, {}), "pod=\"bar\" by pod");
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "default", two, {}),
            "namespace=\"default\",pod=~\"bar|baz\" by pod");
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "default", two,
                               Selector("metric1=value1,q in (b,a),r notin (x),s!=1,t,!u")),
            "metric1=\"value1\",q=~\"a|b\",r!~\"x\",s!=\"1\",t!=\"\",u=\"\",namespace=\"default\","
            "pod=~\"bar|baz\" by pod");
  EXPECT_FALSE(namer.ObjectQuery("up", kPods, "", two, Selector("a>1")).ok());
}

TEST(MetricNamer, EscapesNamesInExpressions) {
  const MetricNamer namer = Namer(kPodRule);
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "", {"a.b", "c-d"}, {}), "pod=~\"a\\\\.b|c-d\" by pod");
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "", {"a.b"}, {}), "pod=\"a.b\" by pod");
}

TEST(MetricNamer, GivesTheTemplateEveryField) {
  const MetricNamer namer = Namer(
      "{seriesQuery: up, metricsQuery: '<<.Series>> <<index .LabelValuesByName \"pod\">> "
      "<<.LabelValuesByName.namespace>> <<.GroupBySlice>>', resources: {template: <<.Resource>>}}");
  EXPECT_EQ(*namer.ObjectQuery("up", kPods, "ns", {"a", "b"}, {}), "up a|b ns [pod]");
  EXPECT_EQ(*namer.ObjectQuery("up", {"apps", "deployments"}, "ns", {"d"}, {}),
            "up  ns [deployment]");
}

TEST(MetricNamer, BuildsExternalQueries) {
  const MetricNamer with = Namer(kPodRule);
  EXPECT_EQ(*with.ExternalQuery("up", "default", Selector("foo=bar,qux in (bar,baz)")),
            "foo=\"bar\",qux=~\"bar|baz\",namespace=\"default\" by ");
  const MetricNamer without = Namer(
      "{seriesQuery: up, metricsQuery: 'x{<<.LabelMatchers>>}', resources: {namespaced: false}}");
  EXPECT_EQ(*without.ExternalQuery("up", "default", {}), "x{}");
  const MetricNamer unsaid = Namer("{seriesQuery: up, metricsQuery: 'x{<<.LabelMatchers>>}'}");
  EXPECT_EQ(*unsaid.ExternalQuery("up", "default", {}), "x{namespace=\"default\"}");
  EXPECT_FALSE(unsaid.ObjectQuery("up", kPods, "", {"a"}, {}).ok());
}

TEST(MetricNamer, NamesAndFiltersSeries) {
  const MetricNamer namer = Namer(
      "{seriesQuery: x, metricsQuery: x, seriesFilters: [{isNot: '^container_.*_seconds_total$'}], "
      "name: {matches: '^container_(.*)_total$', as: '${1}_per_second'}}");
  EXPECT_TRUE(namer.Takes("container_fs_total"));
  EXPECT_FALSE(namer.Takes("container_cpu_seconds_total"));
  EXPECT_FALSE(namer.Takes("other_total"));
  EXPECT_EQ(namer.NameOf("container_fs_total"), "fs_per_second");
  EXPECT_EQ(namer.NameOf("other"), std::nullopt);
  const MetricNamer whole = Namer("{seriesQuery: x, metricsQuery: x}");
  EXPECT_EQ(whole.NameOf("go_goroutines"), "go_goroutines");
}

// As Go 1.26's Regexp.Expand.
TEST(MetricNamer, ExpandsAsGoDoes) {
  const RE2 regex("(?P<word>a)(b)?");
  const std::vector<std::optional<std::string>> groups = {"a", "a", std::nullopt};
  const std::pair<const char*, const char*> cases[] = {
      {"$0", "a"},        {"${1}x", "ax"}, {"$1x", ""},        {"$2.", "."},   {"$word-", "a-"},
      {"${word}s", "as"}, {"$$1", "$1"},   {"a$", "a$"},       {"${1", "${1"}, {"$-", "$-"},
      {"$9", ""},         {"$01", ""},     {"plain", "plain"}, {"", ""},
  };
  for (const auto& [form, expected] : cases)
    EXPECT_EQ(ExpandName(form, regex, groups), expected) << form;
}

TEST(LabelMapping, MapsBothWays) {
  const MetricNamer namer = Namer(
      "{seriesQuery: x, metricsQuery: x, resources: {template: 'kube_<<.Group>>_<<.Resource>>', "
      "overrides: {microservice: {group: apps, resource: deployment}}}}");
  const LabelMapping& labels = namer.labels();
  EXPECT_EQ(labels.ResourceOf("kube_apps_statefulset"), (GroupResource{"apps", "statefulsets"}));
  EXPECT_EQ(labels.ResourceOf("microservice"), (GroupResource{"apps", "deployments"}));
  EXPECT_EQ(labels.ResourceOf("kube_x_brand"), std::nullopt);
  EXPECT_EQ(labels.ResourceOf("instance"), std::nullopt);
  EXPECT_EQ(*labels.LabelOf({"apps", "deployments"}), "microservice");
  EXPECT_EQ(*labels.LabelOf({"networking.k8s.io", "ingresses"}), "kube_networking_k8s_io_ingress");
  EXPECT_FALSE(labels.IsNamespaced({"", "nodes"}));
}

TEST(LabelMapping, KeepsUnknownKindsAndSaysSo) {
  std::vector<std::string> notes;
  const MetricNamer namer = Namer(
      "{seriesQuery: x, metricsQuery: x, resources: {overrides: "
      "{brand: {group: cheese.io, resource: brand}}}}",
      &notes);
  EXPECT_EQ(namer.labels().ResourceOf("brand"), (GroupResource{"cheese.io", "brands"}));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0],
            "line 2: label 'brand': no kind 'brand.cheese.io' is known; taken for 'brands'");
}

TEST(LabelMapping, RefusesATemplateWithoutTheResource) {
  auto config = ParseRulesConfig(
      "rules:\n- {seriesQuery: x, metricsQuery: x, resources: {template: 'pod'}}", "r.yaml");
  const auto namer = MetricNamer::New(config->rules.front(), Kinds(), nullptr);
  ASSERT_FALSE(namer.ok());
  EXPECT_EQ(namer.status().message(),
            "rule of line 2: resources.template: got 'pod', expected one with <<.Resource>>");
}

TEST(Quoted, EscapesAsGo) { EXPECT_EQ(Quoted("a\"b\\c\nd\te"), "\"a\\\"b\\\\c\\nd\\te\""); }

}  // namespace
}  // namespace tepal::custom_metrics
