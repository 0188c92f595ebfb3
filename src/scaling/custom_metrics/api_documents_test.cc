// Discovery, OpenAPI and errors, as kubectl and the aggregator read them.

#include "scaling/custom_metrics/api_documents.h"

#include <gtest/gtest.h>

#include "core/base/text.h"
#include "core/json/value.h"
#include "scaling/custom_metrics/api_request.h"
#include "scaling/custom_metrics/api_status.h"

namespace tepal::custom_metrics {
namespace {

Catalog TheRecipe() {
  Catalog made;
  made.objects = {{{"", "namespaces"}, false, "avg_time_queue_us"},
                  {{"", "pods"}, true, "avg_time_queue_us"},
                  {{"apps", "deployments"}, true, "load"}};
  return made;
}

TEST(ApiDocumentsTest, ResourcesAsTheRecipeShowsThem) {
  EXPECT_EQ(
      ResourcesText(kCustomGroup, "v1beta1", TheRecipe()),
      R"({"kind":"APIResourceList","apiVersion":"v1","groupVersion":"custom.metrics.k8s.io/v1beta1",)"
      R"("resources":[{"name":"namespaces/avg_time_queue_us","singularName":"","namespaced":false,)"
      R"("kind":"MetricValueList","verbs":["get"]},{"name":"pods/avg_time_queue_us",)"
      R"("singularName":"","namespaced":true,"kind":"MetricValueList","verbs":["get"]},)"
      R"({"name":"deployments.apps/load","singularName":"","namespaced":true,)"
      R"("kind":"MetricValueList","verbs":["get"]}]})"
      "\n");
  Catalog external;
  external.external = {"queue"};
  EXPECT_EQ(
      ResourcesText(kExternalGroup, "v1beta1", external),
      R"({"kind":"APIResourceList","apiVersion":"v1","groupVersion":"external.metrics.k8s.io/v1beta1",)"
      R"("resources":[{"name":"queue","singularName":"","namespaced":true,)"
      R"("kind":"ExternalMetricValueList","verbs":["get"]}]})"
      "\n");
}

TEST(ApiDocumentsTest, Groups) {
  EXPECT_EQ(
      GroupText(kCustomGroup),
      R"({"kind":"APIGroup","apiVersion":"v1","name":"custom.metrics.k8s.io","versions":)"
      R"([{"groupVersion":"custom.metrics.k8s.io/v1beta2","version":"v1beta2"},)"
      R"({"groupVersion":"custom.metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":)"
      R"({"groupVersion":"custom.metrics.k8s.io/v1beta2","version":"v1beta2"}})"
      "\n");
  EXPECT_EQ(GroupsText(false).find(kExternalGroup), std::string::npos);
  EXPECT_NE(GroupsText(true).find(kExternalGroup), std::string::npos);
}

TEST(ApiDocumentsTest, AggregatedDiscovery) {
  const std::string text = AggregatedText("v2", TheRecipe());
  const auto parsed = json::Parse(text);
  ASSERT_TRUE(parsed.ok()) << text;
  EXPECT_NE(text.find(R"("apiVersion":"apidiscovery.k8s.io/v2")"), std::string::npos);
  EXPECT_NE(
      text.find(R"({"resource":"pods","responseKind":{"group":"","version":"","kind":""},)"
                R"("scope":"Namespaced","singularResource":"","verbs":[],"subresources":)"
                R"([{"subresource":"avg_time_queue_us","responseKind":{"group":"","version":"",)"
                R"("kind":"MetricValueList"},"verbs":["get"]}]})"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("freshness":"Current")"), std::string::npos);
}

// Every reference leads somewhere, and the definitions are those of the version.
TEST(ApiDocumentsTest, OpenApi) {
  for (const bool external : {false, true}) {
    for (const std::string& text : {OpenApiV2Text(external), OpenApiV3IndexText(external)}) {
      EXPECT_TRUE(json::Parse(text).ok()) << text;
      EXPECT_EQ(text.find(kExternalGroup) != std::string::npos, external);
    }
  }
  for (const std::string_view version : VersionsOf(kCustomGroup)) {
    const std::string text = OpenApiV3Text(kCustomGroup, version);
    const auto parsed = json::Parse(text);
    ASSERT_TRUE(parsed.ok()) << text;
    const json::Value* schemas = parsed->Find("components")->Find("schemas");
    const std::string reference = "#/components/schemas/";
    size_t found = 0;
    for (size_t at = 0; (at = text.find(reference, at)) != std::string::npos; ++found) {
      at += reference.size();
      EXPECT_NE(schemas->Find(text.substr(at, text.find('"', at) - at)), nullptr);
    }
    EXPECT_EQ(found, 3u);
  }
}

TEST(ApiStatusTest, TheWordsOfKubernetes) {
  EXPECT_EQ(MetricNotFoundError({"", "pods"}, "x").Text(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":)"
            R"("the server could not find the metric x for pods","reason":"NotFound","code":404})"
            "\n");
  EXPECT_EQ(MetricNotFoundError({"apps", "deployments"}, "x", "web").message,
            "the server could not find the metric x for deployments.apps web");
  EXPECT_EQ(UnauthorizedError().Text(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":)"
            R"("Unauthorized","reason":"Unauthorized","code":401})"
            "\n");
  const auto asked =
      ParseApiRequest("GET", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/n/pods/*/m");
  EXPECT_EQ(ForbiddenError("eve", asked->attributes, "").Text(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":)"
            R"("pods.custom.metrics.k8s.io \"*\" is forbidden: User \"eve\" cannot get resource )"
            R"(\"pods/m\" in API group \"custom.metrics.k8s.io\" in the namespace \"n\"",)"
            R"("reason":"Forbidden","details":{"name":"*","group":"custom.metrics.k8s.io",)"
            R"("kind":"pods"},"code":403})"
            "\n");
  const auto path = ParseApiRequest("GET", "/apis");
  EXPECT_EQ(ForbiddenError("system:anonymous", path->attributes, "no").message,
            "forbidden: User \"system:anonymous\" cannot get path \"/apis\": no");
}

TEST(ApiStatusTest, WhatCannotBeSaidNowIsNotAnEmptyAnswer) {
  EXPECT_EQ(ErrorOf(Unavailable("x")).code, 503);
  EXPECT_EQ(ErrorOf(DeadlineExceeded("x")).code, 503);
  EXPECT_EQ(ErrorOf(InvalidArgument("x")).code, 400);
  EXPECT_EQ(ErrorOf(Internal("x")).code, 500);
  EXPECT_EQ(ErrorOf(Internal("x")).message, "Internal error occurred: x");
}

}  // namespace
}  // namespace tepal::custom_metrics
