#include "balancing/load_balancer/route.h"

#include <gtest/gtest.h>

#include <string>

namespace tepal::lb {
namespace {

TEST(RouteTest, EveryRowOfTheTable) {
  struct Case {
    const char* method;
    const char* path;
    RouteKind kind;
  };
  const Case cases[] = {
      {"POST", "/v2/models/flower/infer", RouteKind::kInfer},
      {"POST", "/v2/models/flower/versions/3/infer", RouteKind::kInfer},
      {"POST", "/v2/models/infer/infer", RouteKind::kInfer},
      {"POST", "/v2/models/llm/generate", RouteKind::kInfer},
      {"POST", "/v2/models/llm/generate_stream", RouteKind::kStream},
      {"POST", "/v2/models/llm/versions/1/generate_stream", RouteKind::kStream},
      {"POST", "/v2/repository/index", RouteKind::kRead},
      {"POST", "/v2/repository/mine/index", RouteKind::kRead},
      {"GET", "/v2/models/flower/stats", RouteKind::kRead},
      {"HEAD", "/anything", RouteKind::kRead},
      {"OPTIONS", "*", RouteKind::kRead},
      {"GET", "/v2/health/ready", RouteKind::kHealth},
      {"GET", "/v2/health/live", RouteKind::kHealth},
      {"GET", "/v2/models/flower/ready", RouteKind::kRead},
      {"POST", "/v2/repository/models/flower/load", RouteKind::kChangesOneReplica},
      {"POST", "/v2/repository/models/flower/unload", RouteKind::kChangesOneReplica},
      {"POST", "/v2/systemsharedmemory/region/a/register", RouteKind::kChangesOneReplica},
      {"POST", "/v2/cudasharedmemory/unregister", RouteKind::kChangesOneReplica},
      {"POST", "/v2/logging", RouteKind::kChangesOneReplica},
      {"POST", "/v2/trace/setting", RouteKind::kChangesOneReplica},
      {"POST", "/v2/models/flower/trace/setting", RouteKind::kChangesOneReplica},
      {"POST", "/v2/models/flower", RouteKind::kOther},
      {"POST", "/v2/models//infer", RouteKind::kOther},
      {"POST", "/v2/models/flower/versions/infer", RouteKind::kOther},
      {"POST", "/v2/models/flower/infer/more", RouteKind::kOther},
      {"POST", "/v3/models/flower/infer", RouteKind::kOther},
      {"POST", "", RouteKind::kOther},
      {"PUT", "/v2/models/flower/infer", RouteKind::kOther},
      {"DELETE", "/v2/health/ready", RouteKind::kOther},
      {"post", "/v2/models/flower/infer", RouteKind::kOther},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ClassifyRoute(c.method, c.path), c.kind) << c.method << " " << c.path;
  }
}

TEST(RouteTest, AnswersOfOneReplicaAreKnown) {
  EXPECT_TRUE(SpeaksOfOneReplica("/v2/models/stats"));
  EXPECT_TRUE(SpeaksOfOneReplica("/v2/models/flower/versions/1/stats"));
  EXPECT_TRUE(SpeaksOfOneReplica("/v2/repository/index"));
  EXPECT_FALSE(SpeaksOfOneReplica("/v2/models/flower/infer"));
  EXPECT_FALSE(SpeaksOfOneReplica("/site/index"));
}

TEST(RouteTest, EveryMethodOfGrpc) {
  const std::string service = "/inference.GRPCInferenceService/";
  EXPECT_EQ(ClassifyGrpc(service + "ModelInfer"), RouteKind::kInfer);
  EXPECT_EQ(ClassifyGrpc(service + "ModelStreamInfer"), RouteKind::kCall);
  EXPECT_EQ(ClassifyGrpc(service + "ServerReady"), RouteKind::kHealth);
  EXPECT_EQ(ClassifyGrpc(service + "ModelReady"), RouteKind::kRead);
  EXPECT_EQ(ClassifyGrpc(service + "ModelStatistics"), RouteKind::kRead);
  EXPECT_EQ(ClassifyGrpc(service + "RepositoryModelLoad"), RouteKind::kChangesOneReplica);
  EXPECT_EQ(ClassifyGrpc(service + "LogSettings"), RouteKind::kChangesOneReplica);
  EXPECT_EQ(ClassifyGrpc(service + "Whatever"), RouteKind::kCall);
  EXPECT_EQ(ClassifyGrpc("/grpc.health.v1.Health/Check"), RouteKind::kHealth);
  EXPECT_EQ(ClassifyGrpc("/grpc.health.v1.Health/Watch"), RouteKind::kCall);
  EXPECT_EQ(ClassifyGrpc("/other.Service/ModelInfer"), RouteKind::kCall);
  EXPECT_EQ(ClassifyGrpc(""), RouteKind::kCall);
  EXPECT_FALSE(Repeatable(RouteKind::kCall));
}

}  // namespace
}  // namespace tepal::lb
