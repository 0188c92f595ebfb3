// Paths of the metrics API: what they ask for and how that is authorised.

#include "scaling/custom_metrics/api_request.h"

#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Kind = ApiRequest::Kind;

ApiRequest Parse(std::string_view target, std::string_view method = "GET") {
  auto made = ParseApiRequest(method, target);
  EXPECT_TRUE(made.ok()) << target << ": " << made.status().ToString();
  return made.ok() ? *std::move(made) : ApiRequest();
}

// "verb group/version resource/subresource namespace name", or "verb path".
std::string Asked(const ApiRequest& request) {
  const RequestAttributes& a = request.attributes;
  if (!a.is_resource) return Concat(a.verb, " ", a.path);
  return Concat(a.verb, " ", a.group, "/", a.version, " ", a.resource, "/", a.subresource, " ",
                a.name_space, " ", a.name);
}

TEST(ApiRequestTest, MetricsOfPods) {
  const ApiRequest made = Parse(
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A/avg_time_queue_us"
      "?labelSelector=app%3Dflower%2Ctier+in+%28a%29&metricLabelSelector=m%3D1");
  EXPECT_EQ(made.kind, Kind::kObjects);
  EXPECT_TRUE(made.all_objects());
  EXPECT_EQ(made.version, "v1beta2");
  EXPECT_EQ(made.name_space, "default");
  EXPECT_EQ(made.resource, (GroupResource{"", "pods"}));
  EXPECT_EQ(made.metric, "avg_time_queue_us");
  EXPECT_EQ(made.label_selector, "app=flower,tier in (a)");
  EXPECT_EQ(made.metric_selector, "m=1");
  EXPECT_EQ(Asked(made), "get custom.metrics.k8s.io/v1beta2 pods/avg_time_queue_us default *");
}

TEST(ApiRequestTest, OtherObjects) {
  ApiRequest made =
      Parse("/apis/custom.metrics.k8s.io/v1beta1/namespaces/n/deployments.apps/web/load");
  EXPECT_EQ(made.kind, Kind::kObjects);
  EXPECT_EQ(made.resource, (GroupResource{"apps", "deployments"}));
  EXPECT_EQ(made.name, "web");
  EXPECT_EQ(Asked(made), "get custom.metrics.k8s.io/v1beta1 deployments.apps/load n web");

  made = Parse("/apis/custom.metrics.k8s.io/v1beta1/namespaces/n/metrics/load");
  EXPECT_EQ(made.kind, Kind::kObjects);
  EXPECT_EQ(made.resource, (GroupResource{"", "namespaces"}));
  EXPECT_EQ(made.name, "n");
  EXPECT_EQ(made.name_space, "");
  EXPECT_EQ(Asked(made), "get custom.metrics.k8s.io/v1beta1 metrics/ n load");

  made = Parse("/apis/custom.metrics.k8s.io/v1beta1/nodes/*/load");
  EXPECT_EQ(made.kind, Kind::kObjects);
  EXPECT_EQ(made.name_space, "");
  EXPECT_EQ(Asked(made), "get custom.metrics.k8s.io/v1beta1 nodes/load  *");
}

TEST(ApiRequestTest, ExternalMetrics) {
  const ApiRequest made =
      Parse("/apis/external.metrics.k8s.io/v1beta1/namespaces/n/queue?labelSelector=a%3Db");
  EXPECT_EQ(made.kind, Kind::kExternal);
  EXPECT_EQ(made.metric, "queue");
  EXPECT_EQ(made.label_selector, "a=b");
  EXPECT_EQ(Asked(made), "list external.metrics.k8s.io/v1beta1 queue/ n ");
  EXPECT_EQ(Parse("/apis/external.metrics.k8s.io/v1beta2/namespaces/n/queue").kind, Kind::kUnknown);
}

TEST(ApiRequestTest, Documents) {
  EXPECT_EQ(Parse("/").kind, Kind::kRoot);
  EXPECT_EQ(Parse("/apis").kind, Kind::kGroups);
  EXPECT_EQ(Parse("/apis/custom.metrics.k8s.io/").kind, Kind::kGroup);
  EXPECT_EQ(Parse("/apis/custom.metrics.k8s.io/v1beta1").kind, Kind::kResources);
  EXPECT_EQ(Parse("/apis/custom.metrics.k8s.io/v1").kind, Kind::kUnknown);
  EXPECT_EQ(Parse("/apis/apps/v1").kind, Kind::kUnknown);
  EXPECT_EQ(Parse("/openapi/v2").kind, Kind::kOpenApiV2);
  EXPECT_EQ(Parse("/openapi/v3?timeout=32s").kind, Kind::kOpenApiV3Index);
  EXPECT_EQ(Parse("/openapi/v3/apis/custom.metrics.k8s.io/v1beta2").kind, Kind::kOpenApiV3);
  EXPECT_EQ(Parse("/openapi/v3/apis/apps/v1").kind, Kind::kUnknown);
  EXPECT_EQ(Parse("/version").kind, Kind::kVersion);
  EXPECT_EQ(Parse("/metrics").kind, Kind::kMetrics);
  EXPECT_EQ(Parse("/nothing").kind, Kind::kUnknown);
  EXPECT_EQ(Asked(Parse("/apis/custom.metrics.k8s.io/v1beta1", "POST")),
            "post /apis/custom.metrics.k8s.io/v1beta1");

  const ApiRequest health = Parse("/readyz/ping?verbose&exclude=a&exclude=b");
  EXPECT_EQ(health.kind, Kind::kHealth);
  EXPECT_EQ(health.name, "readyz");
  EXPECT_EQ(health.check, "ping");
  EXPECT_TRUE(health.verbose);
  EXPECT_EQ(health.excluded, (std::vector<std::string>{"a", "b"}));
}

TEST(ApiRequestTest, OddPathsAreAuthorisedAsTheyAreSeen) {
  EXPECT_EQ(Asked(Parse("/api/v1/namespaces/n/pods", "POST")), "create /v1 pods/ n ");
  EXPECT_EQ(Asked(Parse("/apis/g/v/pods", "DELETE")), "deletecollection g/v pods/  ");
  EXPECT_EQ(Asked(Parse("/apis/g/v/watch/pods")), "watch g/v pods/  ");
  EXPECT_EQ(Asked(Parse("/apis/g/v/pods?watch=true")), "watch g/v pods/  ");
  EXPECT_EQ(Asked(Parse("/apis/g/v/namespaces/n")), "get g/v namespaces/ n n");
  EXPECT_EQ(Asked(Parse("/apis/g/v/namespaces/n/status")), "get g/v namespaces/status n n");
  // An escaped slash separates like any other, in both readings.
  const ApiRequest escaped =
      Parse("/apis/custom.metrics.k8s.io/v1beta1/namespaces/n%2Fpods%2Fa/load");
  EXPECT_EQ(escaped.kind, Kind::kObjects);
  EXPECT_EQ(Asked(escaped), "get custom.metrics.k8s.io/v1beta1 pods/load n a");
  EXPECT_EQ(Parse("/apis/custom.metrics.k8s.io/v1beta1/namespaces//pods/a/b").kind, Kind::kUnknown);
  for (const char* bad : {"/a%", "/a%2", "/a%zz", "/a?x=%", "/a?%q=1"}) {
    EXPECT_FALSE(ParseApiRequest("GET", bad).ok()) << bad;
  }
}

TEST(ApiRequestTest, Negotiates) {
  EXPECT_EQ(Negotiate("", false), MediaType::kJson);
  EXPECT_EQ(Negotiate("application/vnd.kubernetes.protobuf, */*", false), MediaType::kJson);
  EXPECT_EQ(Negotiate("application/vnd.kubernetes.protobuf", false), MediaType::kJson);
  EXPECT_EQ(Negotiate("application/json, */*", false), MediaType::kJson);
  EXPECT_EQ(Negotiate("text/html", false), std::nullopt);
  EXPECT_EQ(Negotiate("application/json;q=0", false), std::nullopt);
  constexpr std::string_view kAggregated =
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
      "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
  EXPECT_EQ(Negotiate(kAggregated, true), MediaType::kAggregatedV2);
  EXPECT_EQ(Negotiate(kAggregated, false), MediaType::kJson);
  EXPECT_EQ(Negotiate(kAggregated.substr(kAggregated.find(',') + 1), true),
            MediaType::kAggregatedV2Beta1);
  EXPECT_EQ(Negotiate("application/json;as=Table;v=v1;g=meta.k8s.io", true), std::nullopt);
  EXPECT_EQ(Negotiate("text/html;q=0.9, application/json;q=0.5", false), MediaType::kJson);
}

}  // namespace
}  // namespace tepal::custom_metrics
