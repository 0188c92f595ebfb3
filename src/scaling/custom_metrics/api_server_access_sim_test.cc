// Whom the API server lets in, over the simulated network: TLS, identities, permissions.

#include <gtest/gtest.h>

#include "scaling/custom_metrics/testing/api_server_scene.h"

namespace tepal::custom_metrics {
namespace {

class ApiServerAccessSimTest : public ApiServerSimTest {};

// The matrix of who may: as Kubernetes' own servers answer.
TEST_P(ApiServerAccessSimTest, WhoIsLetIn) {
  Settle();
  const auto code_of = [&](const net::TestAuthority::Issued* certificate, const Fields& fields,
                           const std::string& target = kPods) {
    return Ask(*Connect(certificate), target, fields).code;
  };
  const Fields as_hpa = {{"x-remote-user", "hpa"}};
  const net::TestAuthority stranger("front proxy");
  const auto wrong_authority = stranger.IssueFor("front-proxy-client", {});
  const auto wrong_name = front.IssueFor("somebody", {});
  const auto expired = front.IssueFor("front-proxy-client", {}, "", 1000);
  EXPECT_EQ(code_of(&proxy_certificate, as_hpa), 200);
  EXPECT_EQ(code_of(&wrong_authority, as_hpa), 401);
  EXPECT_EQ(code_of(&wrong_name, as_hpa), 401);
  EXPECT_EQ(code_of(&expired, as_hpa), 401);
  EXPECT_EQ(code_of(&proxy_certificate, {}), 401);
  EXPECT_EQ(code_of(&proxy_certificate, {{"x-remote-user", "eve"}}), 403);
  // Headers without the proxy's certificate say nothing.
  EXPECT_EQ(code_of(nullptr, as_hpa), 403);
  const auto own = clients.IssueFor("reader", {"team"});
  const auto master = clients.IssueFor("root", {"system:masters"});
  EXPECT_EQ(code_of(&own, {}), 200);
  EXPECT_EQ(code_of(&own, as_hpa), 200);  // As itself.
  EXPECT_EQ(code_of(&own, {}, "/apis"), 403);
  EXPECT_EQ(code_of(&master, {}, "/apis"), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Bearer good"}}), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "bearer  good"}}), 200);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Bearer bad"}}), 401);
  EXPECT_EQ(code_of(nullptr, {{"authorization", "Basic eDp5"}}), 403);
  EXPECT_EQ(code_of(&wrong_authority, {{"authorization", "Bearer good"}}), 200);
  for (const char* path : {"/healthz", "/livez", "/readyz"}) {
    EXPECT_EQ(code_of(nullptr, {}, path), 200) << path;
  }
  EXPECT_EQ(code_of(nullptr, {}, "/healthz/ping"), 403);
  EXPECT_EQ(code_of(&wrong_authority, {}, "/healthz"), 401);

  const Reply anonymous = Ask(*Connect(nullptr), kPods);
  EXPECT_EQ(anonymous.code, 403);
  EXPECT_NE(anonymous.body.find(
                R"(User \"system:anonymous\" cannot get resource \"pods/load\" in API group )"
                R"(\"custom.metrics.k8s.io\" in the namespace \"default\")"),
            std::string::npos)
      << anonymous.body;
}

TEST_P(ApiServerAccessSimTest, EverybodysIdentityIsAskedForWhole) {
  Settle();
  std::string asked;
  kube->reviews[testing::kAccessReviewPath] = [&](const json::Value&) -> std::string {
    asked = kube->requests.back().body;
    return R"({"allowed":true})";
  };
  proxy = Connect(&proxy_certificate);
  EXPECT_EQ(Ask(*proxy, kPods,
                {{"x-remote-user", "u"}, {"x-remote-group", "g"}, {"x-remote-extra-s", "v"}})
                .code,
            200);
  EXPECT_EQ(asked,
            R"({"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":)"
            R"({"resourceAttributes":{"namespace":"default","verb":"get",)"
            R"("group":"custom.metrics.k8s.io","version":"v1beta2","resource":"pods",)"
            R"("subresource":"load","name":"*"},"user":"u","groups":["g","system:authenticated"],)"
            R"("extra":{"s":["v"]}}})");
}

TEST_P(ApiServerAccessSimTest, WhatCannotBeReviewedIsNotAllowed) {
  Settle();
  kube->down = true;
  Reply reply = AskFor("hpa", kPods);
  EXPECT_EQ(reply.code, 503) << reply.body;
  EXPECT_NE(reply.body.find("subjectaccessreviews"), std::string::npos);
  EXPECT_TRUE(source.asked.empty());
  reply = Ask(*Connect(nullptr), kPods, {{"authorization", "Bearer good"}});
  EXPECT_EQ(reply.code, 503);
  EXPECT_NE(reply.body.find("tokenreviews"), std::string::npos);
  kube->down = false;
  EXPECT_EQ(AskFor("hpa", kPods).code, 200);
  // An outage of a moment is not seen.
  kube->fail[testing::kAccessReviewPath] = 2;
  EXPECT_EQ(AskFor("reader", kPods).code, 200);
  // An answer that is no review is no yes.
  kube->reviews[testing::kAccessReviewPath] = [](const json::Value&) { return "7"; };
  EXPECT_EQ(AskFor("other", kPods).code, 503);
  kube->reviews[testing::kAccessReviewPath] = [](const json::Value&) {
    return R"({"allowed":true,"denied":true})";
  };
  EXPECT_EQ(AskFor("another", kPods).code, 403);
}

TEST_P(ApiServerAccessSimTest, EqualQuestionsAreAskedOnce) {
  Settle();
  proxy = Connect(&proxy_certificate);
  int good = 0;
  for (int i = 0; i < 50; ++i) {
    Begin(*proxy, kPods, {{"x-remote-user", "hpa"}}, [&](const Reply& reply) {
      EXPECT_EQ(reply.code, 200) << reply.body;
      ++good;
    });
  }
  EXPECT_TRUE(world.RunUntil([&] { return good == 50; }, 60s));
  EXPECT_EQ(kube->Count("POST", testing::kAccessReviewPath), 1u);
}

// The authority of the front proxy is replaced while requests run: first both are trusted, as an
// administrator does it, then the new one alone. Connections stand; nothing fails.
TEST_P(ApiServerAccessSimTest, TheAuthorityIsRotatedUnderLoad) {
  Settle();
  const net::TestAuthority next("next front proxy");
  const auto next_certificate = next.IssueFor("front-proxy-client", {});
  const auto old_proxy = Connect(&proxy_certificate);
  const auto new_proxy = Connect(&next_certificate);
  bool moved = false;
  int ended = 0;
  int active = 0;
  bool stop = false;
  Function<void()> one = [&] {
    if (stop) return;
    ++active;
    Begin(moved ? *new_proxy : *old_proxy, kPods, {{"x-remote-user", "hpa"}},
          [&](const Reply& reply) {
            --active;
            EXPECT_EQ(reply.code, 200) << reply.body << reply.failure.ToString();
            ++ended;
            one();
          });
  };
  for (int i = 0; i < 8; ++i) one();
  const auto run = [&](int count) {
    const int until = ended + count;
    EXPECT_TRUE(world.RunUntil([&] { return ended >= until; }, 60s));
  };
  run(50);
  std::string both = TrustText(front, clients);
  const std::string pem = front.certificate().text;
  std::string escaped, escaped_both;
  json::AppendEscaped(escaped, pem);
  json::AppendEscaped(escaped_both, pem + next.certificate().text);
  both.replace(both.find(escaped), escaped.size(), escaped_both);
  const auto before = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication", both);
  EXPECT_TRUE(world.RunUntil([&] { return trust->Get() != before; }, 60s));
  run(50);
  moved = true;
  run(50);
  stop = true;
  EXPECT_TRUE(world.RunUntil([&] { return active == 0; }, 60s));
  const auto between = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication", TrustText(next, clients));
  EXPECT_TRUE(world.RunUntil([&] { return trust->Get() != between; }, 60s));
  EXPECT_EQ(Ask(*new_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 200);
  // The connection still stands, and what it has shown is worth nothing any more.
  EXPECT_EQ(Ask(*old_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 401);
  EXPECT_EQ(old_proxy->counters().tls_handshakes,
            GetParam() ? 1u : old_proxy->counters().tls_handshakes);

  // Rubbish changes nothing.
  const auto now = trust->Get();
  kube->Set(testing::kTrustPath, "extension-apiserver-authentication",
            R"({"metadata":{"name":"extension-apiserver-authentication","namespace":"kube-system",)"
            R"("resourceVersion":"@"},"data":{"requestheader-client-ca-file":"rubbish"}})");
  world.RunFor(5s);
  kube->Remove(testing::kTrustPath, "extension-apiserver-authentication");
  world.RunFor(5s);
  EXPECT_EQ(trust->Get(), now);
  EXPECT_EQ(Ask(*new_proxy, kPods, {{"x-remote-user", "hpa"}}).code, 200);
}

TEST_P(ApiServerAccessSimTest, BeforeTheClusterHasAnswered) {
  kube->down = true;
  const auto with_certificate = Connect(&proxy_certificate);
  const Reply reply = Ask(*with_certificate, kPods, {{"x-remote-user", "hpa"}});
  EXPECT_EQ(reply.code, 503) << reply.body;
  EXPECT_EQ(Ask(*Connect(nullptr), "/readyz").code, 500);
  EXPECT_EQ(Ask(*Connect(nullptr), "/livez").code, 200);
  kube->down = false;
  Settle();
  EXPECT_EQ(Ask(*with_certificate, kPods, {{"x-remote-user", "hpa"}}).code, 200);
}

INSTANTIATE_TEST_SUITE_P(Versions, ApiServerAccessSimTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "Http2" : "Http1"; });

}  // namespace
}  // namespace tepal::custom_metrics
