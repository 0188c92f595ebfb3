#include "serving/lifecycle/version_policy.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

using Versions = std::vector<int64_t>;

VersionPolicy Policy(VersionPolicy::Kind kind, uint32_t latest = 1, Versions versions = {}) {
  VersionPolicy policy;
  policy.kind = kind;
  policy.latest_count = latest;
  policy.versions = std::move(versions);
  return policy;
}

TEST(VersionPolicyTest, LatestTakesTheHighestNumbers) {
  const Versions available{1, 10, 2};
  EXPECT_EQ(ChooseVersions(Policy(VersionPolicy::Kind::kLatest, 1), available), (Versions{10}));
  EXPECT_EQ(ChooseVersions(Policy(VersionPolicy::Kind::kLatest, 2), available), (Versions{2, 10}));
  EXPECT_EQ(ChooseVersions(Policy(VersionPolicy::Kind::kLatest, 9), available),
            (Versions{1, 2, 10}));
}

TEST(VersionPolicyTest, AllTakesAll) {
  const Versions available{3, 1, 3};
  EXPECT_EQ(ChooseVersions(Policy(VersionPolicy::Kind::kAll), available), (Versions{1, 3}));
}

TEST(VersionPolicyTest, SpecificTakesThoseThatAreThere) {
  const Versions available{1, 2, 3};
  EXPECT_EQ(ChooseVersions(Policy(VersionPolicy::Kind::kSpecific, 1, {3, 1, 7}), available),
            (Versions{1, 3}));
}

TEST(VersionPolicyTest, NothingComesOfNothing) {
  EXPECT_TRUE(ChooseVersions(Policy(VersionPolicy::Kind::kLatest), {}).empty());
  EXPECT_TRUE(ChooseVersions(Policy(VersionPolicy::Kind::kAll), {}).empty());
}

}  // namespace
}  // namespace tepal
