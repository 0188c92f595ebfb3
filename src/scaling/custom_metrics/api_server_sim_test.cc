// The whole API server over the simulated network: pods, values, documents, and what it does when
// its source or its clients do not.

#include <gtest/gtest.h>

#include "scaling/custom_metrics/testing/api_server_scene.h"

namespace tepal::custom_metrics {
namespace {

using testing::PodText;

TEST_P(ApiServerSimTest, AnswersAsTheHpaAsks) {
  Settle();
  const size_t requests = kube->requests.size();
  const Reply reply = AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb"),
                             "application/vnd.kubernetes.protobuf, */*");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_EQ(reply.type, "application/json");
  EXPECT_EQ(
      reply.body,
      R"({"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},)"
      R"("items":[{"describedObject":{"kind":"Pod","namespace":"default","name":"a",)"
      R"("apiVersion":"/v1"},"metric":{"name":"load","selector":null},)"
      R"("timestamp":"1970-01-01T00:00:00Z","value":"1"},{"describedObject":{"kind":"Pod",)"
      R"("namespace":"default","name":"b","apiVersion":"/v1"},"metric":{"name":"load",)"
      R"("selector":null},"timestamp":"1970-01-01T00:00:00Z","value":"2500m"}]})"
      "\n");
  // The pods were known, and a second question needs no review either.
  EXPECT_EQ(kube->requests.size(), requests + 1);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb")).code, 200);
  EXPECT_EQ(kube->requests.size(), requests + 1);
  // After ten seconds it is asked again.
  world.RunFor(11s);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dweb")).code, 200);
  EXPECT_EQ(kube->Count("POST", testing::kAccessReviewPath), 2u);
}

TEST_P(ApiServerSimTest, OneObjectNamespacesAndWhatThereIsNot) {
  Settle();
  const std::string prefix = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/";
  EXPECT_NE(AskFor("hpa", prefix + "pods/c/load").body.find("\"value\":\"4\""), std::string::npos);
  EXPECT_NE(
      AskFor("hpa", prefix + "metrics/load").body.find(R"("kind":"Namespace","name":"default")"),
      std::string::npos);
  EXPECT_EQ(source.asked.back().name_space, "");
  const auto message = [&](const std::string& target, int code) {
    const Reply reply = AskFor("hpa", target);
    EXPECT_EQ(reply.code, code) << reply.body;
    const auto parsed = json::Parse(reply.body);
    return parsed.ok() ? std::string(kube::TextAt(*parsed, "message")) : reply.body;
  };
  EXPECT_EQ(message(prefix + "pods/*/speed", 404),
            "the server could not find the metric speed for pods");
  EXPECT_EQ(message(prefix + "pods/none/load", 404),
            "the server could not find the metric load for pods none");
  EXPECT_EQ(message(prefix + "pods/*/speed?labelSelector=app%3Dnone", 404),
            "the server could not find the metric speed for pods");
  EXPECT_EQ(message(prefix + "nodes/n1/load", 404),
            "the server could not find the metric load for nodes");
  EXPECT_EQ(message(prefix + "widgets/n1/load", 404),
            "the server could not find the metric load for widgets");
  EXPECT_EQ(message("/apis/apps/v1/deployments", 404),
            "the server could not find the requested resource");
  EXPECT_EQ(message(prefix + "pods/*/load?labelSelector=a%20b", 400),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
  // Nobody is meant by the selector: an empty list, as prometheus-adapter.
  const Reply empty = AskFor("hpa", prefix + "pods/*/load?labelSelector=app%3Dnone");
  EXPECT_EQ(empty.code, 200);
  EXPECT_NE(empty.body.find("\"items\":[]"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "pods/*/load", "text/html").code, 406);
  EXPECT_EQ(AskFor("hpa", prefix + "pods/*/load", "", "POST").code, 405);
}

TEST_P(ApiServerSimTest, Documents) {
  Settle();
  EXPECT_NE(AskFor("hpa", "/apis").body.find("APIGroupList"), std::string::npos);
  const Reply aggregated = AskFor(
      "hpa", "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_EQ(aggregated.type,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_NE(aggregated.body.find("\"subresource\":\"load\""), std::string::npos);
  EXPECT_NE(AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta1").body.find("\"pods/load\""),
            std::string::npos);
  for (const char* path :
       {"/", "/version", "/openapi/v2", "/openapi/v3", "/apis/custom.metrics.k8s.io",
        "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2"}) {
    const Reply reply = AskFor("hpa", path);
    EXPECT_EQ(reply.code, 200) << path;
    EXPECT_TRUE(json::Parse(reply.body).ok()) << path;
  }
  const Reply metrics = AskFor("hpa", "/metrics");
  EXPECT_NE(metrics.body.find("tepal_metrics_api_requests_total{code=\"200\"}"), std::string::npos)
      << metrics.body;
  EXPECT_EQ(AskFor("eve", "/metrics").code, 403);
}

TEST_P(ApiServerSimTest, ExternalMetrics) {
  Settle();
  source.external["queue"] = {{{{"q", "a"}}, 3, WallTime{}, std::nullopt}};
  const std::string prefix = "/apis/external.metrics.k8s.io/v1beta1";
  EXPECT_NE(AskFor("hpa", prefix).body.find("\"queue\""), std::string::npos);
  EXPECT_NE(AskFor("hpa", prefix + "/namespaces/default/queue").body.find("\"value\":\"3\""),
            std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "/namespaces/default/none").code, 404);
}

TEST_P(ApiServerSimTest, PodsComeAndGo) {
  Settle();
  const std::string all = Concat(kPods, "?labelSelector=app+in+%28web%2Cnew%29");
  EXPECT_EQ(AskFor("hpa", all).code, 200);
  EXPECT_EQ(AskedNames(), "ab");
  const auto set = [&](const std::string& name, const std::string& text) {
    kube->Set(testing::kPodsPath, "default/" + name, text);
    world.RunFor(1s);
    EXPECT_EQ(AskFor("hpa", all).code, 200);
    return AskedNames();
  };
  // Loading since its start: left out until it is ready.
  EXPECT_EQ(set("d", PodText("default", "d", "new", "False", "2026-01-01T00:00:01Z")), "ab");
  EXPECT_EQ(set("d", PodText("default", "d", "new", "True", "2026-01-01T00:01:00Z")), "abd");
  // Ready once and not now: it may be too busy to say so.
  EXPECT_EQ(set("d", PodText("default", "d", "new", "False", "2026-01-01T00:09:00Z")), "abd");
  EXPECT_EQ(set("e", PodText("default", "e", "new", "False", "", "Pending")), "abd");
  EXPECT_EQ(set("e", PodText("default", "e", "new", "True", "2026-01-01T00:00:05Z", "Succeeded")),
            "abd");
  EXPECT_EQ(set("a", PodText("default", "a", "web", "True", "2026-01-01T00:00:05Z", "Running",
                             R"(,"deletionTimestamp":"2026-01-01T00:02:00Z")")),
            "bd");
  kube->Remove(testing::kPodsPath, "default/b");
  world.RunFor(1s);
  EXPECT_EQ(AskFor("hpa", all).code, 200);
  EXPECT_EQ(AskedNames(), "d");
  // By name it is answered whatever state it is in.
  EXPECT_EQ(
      AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/a/load").code,
      200);
}

TEST_P(ApiServerSimTest, OtherKindsAreListed) {
  Settle();
  source.objects = {{{"apps", "deployments"}, true, "load"},
                    {{"example.com", "widgets"}, true, "load"}};
  source.values["w"] = 5;
  kube->Set("/apis/apps/v1/namespaces/default/deployments", "w",
            R"({"metadata":{"name":"w","namespace":"default"}})");
  const std::string prefix = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/";
  Reply reply = AskFor("hpa", prefix + "deployments.apps/*/load?labelSelector=a%3Db");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_NE(reply.body.find(R"("apiVersion":"apps/v1")"), std::string::npos);
  EXPECT_EQ(kube->requests.back().target,
            "/apis/apps/v1/namespaces/default/deployments?limit=500&labelSelector=a%3Db");
  // Of a kind that only the API server knows.
  kube->documents["/apis/example.com"] = R"({"preferredVersion":{"version":"v1alpha1"}})";
  kube->documents["/apis/example.com/v1alpha1"] =
      R"({"resources":[{"name":"widgets/status","kind":"X","namespaced":true},)"
      R"({"name":"widgets","kind":"Widget","namespaced":true}]})";
  reply = AskFor("hpa", prefix + "widgets.example.com/w/load");
  EXPECT_EQ(reply.code, 200) << reply.body;
  EXPECT_NE(reply.body.find(R"("kind":"Widget")"), std::string::npos);
  EXPECT_NE(reply.body.find(R"("apiVersion":"example.com/v1alpha1")"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", prefix + "gadgets.example.com/w/load").code, 404);
  EXPECT_EQ(AskFor("hpa", prefix + "gadgets.example.org/w/load").code, 404);
  kube->down = true;
  reply = AskFor("hpa", prefix + "deployments.apps/*/load?labelSelector=a%3Dc");
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("unable to list matching resources"), std::string::npos);
}

TEST_P(ApiServerSimTest, WhatTheSourceCannotSayIs503AndNeverEmpty) {
  Settle();
  source.health = Unavailable("Prometheus cannot be reached");
  Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("Prometheus cannot be reached"), std::string::npos);
  EXPECT_EQ(reply.body.find("retryAfterSeconds"), std::string::npos);
  EXPECT_EQ(AskFor("hpa", Concat(kPods, "?labelSelector=app%3Dnone")).code, 503);
  // Discovery is answered all the same: the cluster's own depends on it.
  EXPECT_EQ(AskFor("hpa", "/apis/custom.metrics.k8s.io/v1beta1").code, 200);
}

TEST_P(ApiServerSimTest, Readiness) {
  source.health = Unavailable("nothing seen yet");
  Settle();
  const auto anonymous = Connect(nullptr);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  EXPECT_EQ(Ask(*anonymous, "/livez").code, 200);
  source.health = {};
  EXPECT_EQ(Ask(*anonymous, "/readyz").body, "ok");
  // Later outages do not take the API away.
  source.health = Unavailable("gone");
  EXPECT_EQ(Ask(*anonymous, "/readyz?verbose").body,
            "[+]ping ok\n[+]authentication ok\n[+]metric-source ok\n[+]shutdown ok\n"
            "readyz check passed\n");
  api->BeginShutdown();
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  EXPECT_EQ(Ask(*anonymous, "/livez").code, 200);
  source.health = {};
  EXPECT_EQ(AskFor("hpa", kPods).code, 200);  // Until it is drained it serves.
}

TEST_P(ApiServerSimTest, ReadyAfterAWhileWithoutASource) {
  source.health = Unavailable("nothing seen yet");
  Settle();
  const auto anonymous = Connect(nullptr);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 500);
  world.RunFor(31s);
  EXPECT_EQ(Ask(*anonymous, "/readyz").code, 200);
}

TEST_P(ApiServerSimTest, ASourceThatDoesNotAnswerIs504) {
  Settle();
  source.never_answers = true;
  EXPECT_EQ(AskFor("hpa", kPods).code, 504);
  EXPECT_EQ(api->counts().requests_active, 0u);
}

TEST_P(ApiServerSimTest, TooManyAtOnceAre429) {
  Settle();
  source.never_answers = true;
  proxy = Connect(&proxy_certificate);
  std::map<int, int> codes;
  int ended = 0;
  for (int i = 0; i < 450; ++i) {
    Begin(*proxy, kPods, {{"x-remote-user", "hpa"}}, [&](const Reply& reply) {
      ++codes[reply.code];
      ++ended;
    });
  }
  // Health is answered in between.
  EXPECT_TRUE(world.RunUntil([&] { return GetParam() ? ended >= 50 : true; }, 20s));
  EXPECT_EQ(Ask(*Connect(nullptr), "/readyz").code, 200);
  EXPECT_TRUE(world.RunUntil([&] { return ended == 450; }, 600s));
  EXPECT_EQ(codes[504] + codes[429], 450);
  EXPECT_EQ(codes[429], 50);
}

// Whoever goes away is forgotten, at any moment.
TEST_P(ApiServerSimTest, ClientsThatLeave) {
  Settle();
  for (int i = 0; i < 40; ++i) {
    const auto leaving = Connect(&proxy_certificate);
    Begin(*leaving, kPods, {{"x-remote-user", Concat("u", i)}}, [](const Reply&) {});
    world.RunFor(Duration(world.random().Below(4'000'000)));
  }
  world.RunFor(5s);
  EXPECT_EQ(api->counts().requests_active, 0u);
  const Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 200) << reply.failure.ToString();
}

INSTANTIATE_TEST_SUITE_P(Versions, ApiServerSimTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "Http2" : "Http1"; });

}  // namespace
}  // namespace tepal::custom_metrics
