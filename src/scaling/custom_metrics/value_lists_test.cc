// The lists of both versions, byte by byte.

#include "scaling/custom_metrics/value_lists.h"

#include <gtest/gtest.h>

#include "core/json/value.h"

namespace tepal::custom_metrics {
namespace {

constexpr WallTime kNewYear{std::chrono::seconds(1'767'225'600)};  // 2026-01-01.

const ObjectKind& Pods() { return *FindObjectKind({"", "pods"}); }

std::vector<ObjectValue> OneValue() { return {{"flower-0", 1.5, kNewYear, 30s}}; }

TEST(ValueListsTest, Version2) {
  EXPECT_EQ(
      ObjectValuesText("v1beta2", Pods(), "default", "avg_time_queue_us", {}, OneValue()),
      R"({"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},)"
      R"("items":[{"describedObject":{"kind":"Pod","namespace":"default","name":"flower-0",)"
      R"("apiVersion":"/v1"},"metric":{"name":"avg_time_queue_us","selector":null},)"
      R"("timestamp":"2026-01-01T00:00:00Z","windowSeconds":30,"value":"1500m"}]})"
      "\n");
}

TEST(ValueListsTest, Version1) {
  EXPECT_EQ(
      ObjectValuesText("v1beta1", Pods(), "default", "avg_time_queue_us", {}, OneValue()),
      R"({"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta1","metadata":{},)"
      R"("items":[{"describedObject":{"kind":"Pod","namespace":"default","name":"flower-0",)"
      R"("apiVersion":"/v1"},"metricName":"avg_time_queue_us",)"
      R"("timestamp":"2026-01-01T00:00:00Z","window":30,"value":"1500m","selector":null}]})"
      "\n");
}

TEST(ValueListsTest, OtherKindsSelectorsAndNoValue) {
  const auto selector = LabelSelector::Parse("model=flower,version!=1,new").value();
  const std::string text =
      ObjectValuesText("v1beta2", *FindObjectKind({"", "namespaces"}), "", "load", selector,
                       {{"default", 42, kNewYear, std::nullopt}});
  EXPECT_NE(text.find(R"({"kind":"Namespace","name":"default","apiVersion":"/v1"})"),
            std::string::npos);
  EXPECT_NE(text.find(R"("selector":{"matchLabels":{"model":"flower"},"matchExpressions":)"
                      R"([{"key":"new","operator":"Exists"},)"
                      R"({"key":"version","operator":"NotIn","values":["1"]}]}})"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("window"), std::string::npos);
  EXPECT_NE(ObjectValuesText("v1beta1", *FindObjectKind({"apps", "deployments"}), "n", "load", {},
                             {{"web", 1, kNewYear, 100ms}})
                .find(R"("apiVersion":"apps/v1"},"metricName":"load","timestamp":)"
                      R"("2026-01-01T00:00:00Z","window":1,)"),
            std::string::npos);
  EXPECT_EQ(
      ObjectValuesText("v1beta2", Pods(), "default", "load", {}, {}),
      R"({"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},)"
      R"("items":[]})"
      "\n");
}

TEST(ValueListsTest, External) {
  EXPECT_EQ(ExternalValuesText("queue", {{{{"b", "\"2\""}, {"a", "1"}}, 7, kNewYear, 60s}}),
            R"({"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1",)"
            R"("metadata":{},"items":[{"metricName":"queue","metricLabels":{"a":"1","b":"\"2\""},)"
            R"("timestamp":"2026-01-01T00:00:00Z","window":60,"value":"7"}]})"
            "\n");
  EXPECT_TRUE(json::Parse(ExternalValuesText("queue", {})).ok());
}

TEST(ObjectKindsTest, AreFoundByTheirNames) {
  EXPECT_EQ(FindObjectKind({"", "pod"})->resource.resource, "pods");
  EXPECT_EQ(FindObjectKind({"", "deployments"})->resource.group, "apps");
  EXPECT_EQ(FindObjectKind({"apps", "deployments"})->kind, "Deployment");
  EXPECT_EQ(FindObjectKind({"other", "deployments"}), nullptr);
  EXPECT_EQ(FindObjectKind({"", "widgets"}), nullptr);
}

}  // namespace
}  // namespace tepal::custom_metrics
