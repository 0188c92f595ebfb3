#include "scaling/custom_metrics/kind_table.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

TEST(KindTable, FindsAKindByAnyName) {
  const KindTable kinds;
  for (const char* name : {"pod", "pods", "Pod", "PODS"}) {
    const KindFacts* found = kinds.Find({"", name});
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->resource, (GroupResource{"", "pods"}));
    EXPECT_TRUE(found->namespaced);
  }
  EXPECT_FALSE(kinds.Find({"", "node"})->namespaced);
  EXPECT_EQ(kinds.Find({"", "brand"}), nullptr);
}

TEST(KindTable, GuessesAndPrefixesTheGroup) {
  const KindTable kinds;
  EXPECT_EQ(kinds.Find({"", "deployment"})->resource, (GroupResource{"apps", "deployments"}));
  EXPECT_EQ(kinds.Find({"apps", "deployment"})->kind, "Deployment");
  EXPECT_EQ(kinds.Find({"networking", "ingress"})->resource.group, "networking.k8s.io");
  EXPECT_EQ(kinds.Find({"cheese.io", "deployment"}), nullptr);
}

TEST(KindTable, LearnsFromDiscovery) {
  KindTable kinds;
  const auto list = json::Parse(R"({"kind":"APIResourceList","groupVersion":"cheese.io/v1",
      "resources":[{"name":"brands","singularName":"","kind":"Brand","namespaced":false},
                   {"name":"brands/status","singularName":"","kind":"Brand","namespaced":false}]})");
  ASSERT_TRUE(kinds.AddDiscovered(*list).ok());
  const KindFacts* brand = kinds.Find({"cheese.io", "brand"});
  ASSERT_NE(brand, nullptr);
  EXPECT_EQ(brand->resource.resource, "brands");
  EXPECT_FALSE(brand->namespaced);
  EXPECT_FALSE(kinds.AddDiscovered(*json::Parse("{}")).ok());
}

TEST(KindTable, GuessesPlurals) {
  EXPECT_EQ(GuessPlural("brand"), "brands");
  EXPECT_EQ(GuessPlural("policy"), "policies");
  EXPECT_EQ(GuessPlural("ingress"), "ingresses");
  EXPECT_EQ(GuessPlural("endpoints"), "endpoints");
}

}  // namespace
}  // namespace tepal::custom_metrics
