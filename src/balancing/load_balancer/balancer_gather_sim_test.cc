// Requests about all replicas, in the simulated world.

#include <gtest/gtest.h>

#include "balancing/load_balancer/testing/model_scene.h"

namespace tepal::lb {
namespace {

TEST(BalancerGatherSimTest, StatisticsAreThoseOfAllReplicas) {
  ModelScene scene({{"rose"}, {"rose"}, {"rose"}});
  scene.Infer("rose", 30);
  const Answer sum = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(sum.status, 200);
  EXPECT_EQ(sum.text, R"({"model_stats":[{"name":"rose","version":"1","inference_count":30}]})");
  EXPECT_EQ(sum.headers.Get("tepal-replicas"), "3 of 3");
  EXPECT_FALSE(sum.headers.Has("tepal-missing"));

  scene.books[1].ready.clear();
  const Answer index = scene.Ask("/v2/repository/index", "{}");
  EXPECT_EQ(index.text, R"([{"name":"rose","version":"1","state":"UNAVAILABLE",)"
                        R"("reason":"READY on 2 of 3 replicas"}])");

  scene.books[1].frozen = true;
  const Answer part = scene.Ask("/v2/models/stats", "", {}, "GET");
  EXPECT_EQ(part.status, 200);
  if (part.headers.Get("tepal-replicas") != "2 of 2") {  // Unless its checks have failed by then.
    EXPECT_EQ(part.headers.Get("tepal-replicas"), "2 of 3");
    EXPECT_TRUE(part.headers.Get("tepal-missing")->starts_with("10.0.0.1:2 ("));
  }
  const Answer each = scene.Ask("/v2/models/stats?per_replica=true", "", {}, "GET");
  EXPECT_NE(each.text.find(R"({"endpoint":"10.0.0.1:1","name":"10.0.0.1:1","status":200,)"
                           R"("answer":{"model_stats":[)"),
            std::string::npos)
      << each.text;
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  std::string model, expected;
  AppendBytesField(model, 1, "rose");
  AppendVarintField(model, 4, 30);
  AppendBytesField(expected, 1, model);
  const auto [end, message] = scene.Call(kStatistics, "");
  EXPECT_TRUE(end.status.ok()) << end.status.message();
  EXPECT_EQ(message, expected);
  EXPECT_EQ(end.trailers.Get("tepal-replicas"), "3 of 3");
  // An error of all of them is passed on.
  scene.books[1].frozen = false;
  scene.world.RunFor(3s);
  EXPECT_EQ(scene.Ask("/v2/models/nettle/stats", "", {}, "GET").status, 404);
  EXPECT_EQ(scene.balancer->Read().active, 0u);
}

}  // namespace
}  // namespace tepal::lb
