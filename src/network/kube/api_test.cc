#include "network/kube/api.h"

#include <gtest/gtest.h>

namespace tepal::kube {
namespace {

TEST(PathOf, FollowsTheApisRules) {
  EXPECT_EQ(PathOf(Collection{kPods, "web"}), "/api/v1/namespaces/web/pods");
  EXPECT_EQ(PathOf(Collection{kPods, ""}), "/api/v1/pods");
  EXPECT_EQ(PathOf(ObjectRef{kNodes, "", "n 1", "status"}), "/api/v1/nodes/n%201/status");
  EXPECT_EQ(PathOf(ObjectRef{{"apps", "v1", "deployments"}, "d", "web", "scale"}),
            "/apis/apps/v1/namespaces/d/deployments/web/scale");
}

TEST(MakeAnswer, TakesTheServersReason) {
  const Answer conflict = MakeAnswer(
      409,
      R"({"kind":"Status","status":"Failure","message":"already there","reason":"AlreadyExists","code":409})",
      "");
  EXPECT_EQ(conflict.reason, "AlreadyExists");
  EXPECT_EQ(conflict.status.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(conflict.status.message(), "AlreadyExists (HTTP 409): already there");
  EXPECT_EQ(MakeAnswer(409, R"({"kind":"Status","reason":"Conflict"})", "").status.code(),
            StatusCode::kAborted);
}

TEST(MakeAnswer, KnowsHowLongToWait) {
  EXPECT_EQ(MakeAnswer(429, "slow down", "7").retry_after, Duration(7s));
  EXPECT_EQ(
      MakeAnswer(500, R"({"kind":"Status","details":{"retryAfterSeconds":3}})", "").retry_after,
      Duration(3s));
  EXPECT_FALSE(MakeAnswer(200, "{}", "").retry_after.has_value());
}

TEST(MakeAnswer, ReadsWhatIsNoStatusToo) {
  const Answer proxy = MakeAnswer(502, "<html>Bad Gateway</html>", "");
  EXPECT_EQ(proxy.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(proxy.status.message(), "HTTP 502 without a Status: <html>Bad Gateway</html>");
  EXPECT_EQ(MakeAnswer(200, "<html>", "").status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(MakeAnswer(200, "", "").ok());
}

TEST(Object, HasLabelsAndAKey) {
  const json::Value object =
      json::Parse(R"({"metadata":{"name":"a","namespace":"n","labels":{"x/y":"1"}}})").value();
  EXPECT_EQ(KeyOf(object), "n/a");
  ASSERT_NE(LabelOf(object, "x/y"), nullptr);
  EXPECT_EQ(*LabelOf(object, "x/y"), "1");
  EXPECT_EQ(LabelOf(object, "z"), nullptr);
  EXPECT_EQ(AnnotationOf(object, "x/y"), nullptr);
}

}  // namespace
}  // namespace tepal::kube
