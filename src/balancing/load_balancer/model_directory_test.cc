#include "balancing/load_balancer/model_directory.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/env/random.h"

namespace tepal::lb {
namespace {

constexpr Instant kNow(5s);

TEST(ModelDirectoryTest, AListingIsAllAnEndpointHas) {
  ModelDirectory directory;
  directory.OnListing(1, {"rose", "tulip"});
  directory.OnListing(2, {"rose"});
  const ModelNumber rose = directory.Find("rose"), tulip = directory.Find("tulip");
  ASSERT_NE(rose, 0u);
  ASSERT_NE(tulip, 0u);
  EXPECT_FALSE(directory.LackedBySome(rose));
  EXPECT_TRUE(directory.LackedBySome(tulip));
  EXPECT_FALSE(directory.Lacks(1, tulip, kNow));
  EXPECT_TRUE(directory.Lacks(2, tulip, kNow));
  // One that has listed nothing may have it.
  EXPECT_FALSE(directory.Lacks(3, tulip, kNow));
  directory.OnListing(2, {"tulip"});
  EXPECT_TRUE(directory.LackedBySome(rose));
  EXPECT_TRUE(directory.Lacks(2, rose, kNow));
}

TEST(ModelDirectoryTest, AModelThatNobodyListsMayBeAnywhere) {
  ModelDirectory directory;
  directory.OnListing(1, {"rose"});
  EXPECT_EQ(directory.Find("tulip"), 0u);
  EXPECT_FALSE(directory.LackedBySome(0));
  const ModelNumber rose = directory.Find("rose");
  directory.OnListing(1, {});
  EXPECT_FALSE(directory.LackedBySome(rose));
  EXPECT_FALSE(directory.Lacks(1, rose, kNow));
}

TEST(ModelDirectoryTest, WhoDoesNotKnowAModelIsLeftOutForAWhile) {
  ModelDirectory directory;
  directory.OnUnknown(1, "made up", kNow);
  EXPECT_EQ(directory.Find("made up"), 0u);
  const ModelNumber rose = directory.OnServed("rose");
  directory.OnUnknown(1, "rose", kNow);
  EXPECT_TRUE(directory.Lacks(1, rose, kNow));
  EXPECT_FALSE(directory.Lacks(2, rose, kNow));
  EXPECT_FALSE(directory.Lacks(1, rose, kNow + ModelDirectory::kUnknownFor));
  // Until it lists it.
  directory.OnUnknown(1, "rose", kNow);
  directory.OnListing(1, {"rose"});
  EXPECT_FALSE(directory.Lacks(1, rose, kNow));
}

TEST(ModelDirectoryTest, NamesAreBounded) {
  ModelDirectory directory;
  for (size_t i = 0; i < ModelDirectory::kModelsMax; ++i) {
    EXPECT_NE(directory.OnServed(std::to_string(i)), 0u);
  }
  EXPECT_EQ(directory.OnServed("one more"), 0u);
  directory.OnListing(1, {"one more"});
  EXPECT_FALSE(directory.Lacks(2, directory.Find("one more"), kNow));
}

// Beside a plain table.
TEST(ModelDirectoryTest, AgreesWithAPlainTable) {
  env::SeededRandom random(3);
  ModelDirectory directory;
  std::map<EndpointId, std::set<std::string>> table;
  for (int step = 0; step < 20'000; ++step) {
    const EndpointId endpoint = 1 + random.Below(5);
    if (random.Below(10) == 0) {
      directory.Forget(endpoint);
      table.erase(endpoint);
    } else {
      std::vector<std::string> ready;
      for (const char* model : {"a", "b", "c", "d"}) {
        if (random.Below(2) == 0) ready.emplace_back(model);
      }
      directory.OnListing(endpoint, ready);
      table[endpoint] = {ready.begin(), ready.end()};
    }
    for (const char* model : {"a", "b", "c", "d"}) {
      size_t listed = 0;
      for (const auto& [id, models] : table) listed += models.count(model);
      const ModelNumber number = directory.Find(model);
      EXPECT_EQ(directory.LackedBySome(number), listed > 0 && listed < table.size());
      for (EndpointId id = 1; id <= 5; ++id) {
        const bool lacks = listed > 0 && table.contains(id) && !table[id].contains(model);
        ASSERT_EQ(directory.Lacks(id, number, kNow), lacks) << step;
      }
    }
  }
}

}  // namespace
}  // namespace tepal::lb
