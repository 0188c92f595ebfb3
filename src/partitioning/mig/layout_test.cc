#include "partitioning/mig/layout.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace tepal::mig {
namespace {

const GpuModel& Model(std::string_view name) {
  const GpuModel* model = FindGpuModel(name);
  EXPECT_NE(model, nullptr) << name;
  return *model;
}

// The profiles of the published 19 layouts: none with double memory, none with media engines.
std::vector<const Profile*> Plain(const GpuModel& model) {
  std::vector<const Profile*> profiles;
  for (const Profile& profile : model.profiles) {
    if (profile.nvml_profile <= 4) profiles.push_back(&profile);
  }
  return profiles;
}

std::vector<const Profile*> WithoutMedia(const GpuModel& model) {
  std::vector<const Profile*> profiles;
  for (const Profile& profile : model.profiles) {
    if (!profile.name.ends_with("+me")) profiles.push_back(&profile);
  }
  return profiles;
}

std::string Word(const Layout& layout) {
  std::string word;
  for (const Placement& placement : layout) {
    word += std::to_string(placement.profile->compute_slices) + "@" +
            std::to_string(placement.start) + " ";
  }
  return word;
}

TEST(LayoutTest, TheA100HasThePublishedNineteen) {
  const GpuModel& model = Model("A100-40");
  std::set<std::string> words;
  for (const Layout& layout : MaximalLayouts(model, Plain(model))) words.insert(Word(layout));
  // A left half of six kinds with a right half of three, and the whole GPU.
  std::set<std::string> expected = {"7@0 "};
  for (const char* left :
       {"4@0 ", "3@0 ", "2@0 2@2 ", "2@0 1@2 1@3 ", "1@0 1@1 2@2 ", "1@0 1@1 1@2 1@3 "}) {
    for (const char* right : {"3@4 ", "2@4 1@6 ", "1@4 1@5 1@6 "}) {
      expected.insert(std::string(left) + right);
    }
  }
  EXPECT_EQ(words, expected);
  EXPECT_EQ(words.size(), 19U);
}

TEST(LayoutTest, CountsWithDoubleMemory) {
  const GpuModel& a100 = Model("A100-80");
  EXPECT_EQ(AllLayouts(a100, WithoutMedia(a100)).size(), 723U);
  EXPECT_EQ(MaximalLayouts(a100, WithoutMedia(a100)).size(), 78U);
  const GpuModel& a30 = Model("A30");
  EXPECT_EQ(AllLayouts(a30, WithoutMedia(a30)).size(), 26U);
  EXPECT_EQ(MaximalLayouts(a30, WithoutMedia(a30)).size(), 5U);
}

TEST(LayoutTest, EveryLayoutIsLegalAndUnique) {
  for (const GpuModel& model : GpuModels()) {
    std::vector<const Profile*> every;
    for (const Profile& profile : model.profiles) every.push_back(&profile);
    std::set<std::vector<std::string>> seen;
    for (const Layout& layout : AllLayouts(model, every)) {
      EXPECT_TRUE(IsLegal(model, layout)) << model.name;
      std::vector<std::string> words;
      for (const Placement& placement : layout) words.push_back(ToString(placement));
      EXPECT_TRUE(seen.insert(words).second) << model.name;
    }
  }
}

// The rows of `nvidia-smi mig -lgip` and `-lgipp` of an H200, driver 580.159.04.
TEST(LayoutTest, TheH200SaysTheSame) {
  struct Row {
    const char* name;
    int id, instances, mib, sm, dec, ce, jpeg, ofa;
    std::vector<int> starts;
    int size;
  };
  const std::vector<int> any = {0, 1, 2, 3, 4, 5, 6};
  const Row rows[] = {
      {"1g.18gb", 19, 7, 16384, 16, 1, 1, 1, 0, any, 1},
      {"1g.18gb+me", 20, 1, 16384, 16, 1, 1, 1, 1, any, 1},
      {"1g.35gb", 15, 4, 33280, 26, 1, 1, 1, 0, {0, 2, 4, 6}, 2},
      {"2g.35gb", 14, 3, 33280, 32, 2, 2, 2, 0, {0, 2, 4}, 2},
      {"3g.71gb", 9, 2, 71424, 60, 3, 3, 3, 0, {0, 4}, 4},
      {"4g.71gb", 5, 1, 71424, 64, 4, 4, 4, 0, {0}, 4},
      {"7g.141gb", 0, 1, 143360, 132, 7, 8, 7, 1, {0}, 8},
  };
  const GpuModel& model = Model("NVIDIA H200");
  EXPECT_TRUE(model.confirmed);
  ASSERT_EQ(model.profiles.size(), std::size(rows));
  for (const Row& row : rows) {
    const Profile* profile = FindProfile(model, row.name);
    ASSERT_NE(profile, nullptr) << row.name;
    EXPECT_EQ(profile, FindProfileByDriverId(model, row.id));
    EXPECT_EQ(RemainingCapacity(model, {}, *profile), row.instances) << row.name;
    EXPECT_EQ(profile->memory_mib, row.mib);
    EXPECT_EQ(profile->multiprocessors, row.sm);
    EXPECT_EQ(profile->decoders, row.dec);
    EXPECT_EQ(profile->copy_engines, row.ce);
    EXPECT_EQ(profile->jpeg_engines, row.jpeg);
    EXPECT_EQ(profile->ofa_engines, row.ofa);
    EXPECT_EQ(FreeStarts(model, {}, *profile), row.starts) << row.name;
    EXPECT_EQ(profile->memory_slices, row.size);
  }
}

TEST(LayoutTest, MediaEnginesAreForOneInstance) {
  const GpuModel& model = Model("A30");
  const Layout there = {{FindProfile(model, "1g.6gb+me"), 0}};
  EXPECT_EQ(RemainingCapacity(model, there, *FindProfile(model, "1g.6gb+me")), 0);
  EXPECT_EQ(RemainingCapacity(model, there, *FindProfile(model, "2g.12gb.me")), 0);
  EXPECT_EQ(RemainingCapacity(model, there, *FindProfile(model, "2g.12gb")), 1);
}

TEST(LayoutTest, RefusesWhatIsNotLegal) {
  const GpuModel& model = Model("A100-40");
  const Profile* three = FindProfile(model, "3g.20gb");
  EXPECT_FALSE(Fits(model, {}, {three, 1}));
  EXPECT_FALSE(Fits(model, {}, {three, -1}));
  EXPECT_FALSE(Fits(model, {}, {FindProfile(model, "1g.5gb"), 7}));
  const Layout there = {{FindProfile(model, "1g.5gb"), 5}};
  EXPECT_FALSE(Fits(model, there, {three, 4}));
  EXPECT_TRUE(Fits(model, there, {three, 0}));
  EXPECT_EQ(FindProfile(model, "5g.30gb"), nullptr);
}

TEST(LayoutTest, PlacingKeepsRoomForLargeInstances) {
  const GpuModel& model = Model("A100-40");
  const Profile* one = FindProfile(model, "1g.5gb");
  const Profile* three = FindProfile(model, "3g.20gb");
  const Profile* const ones[] = {one, one, one};
  const Layout placed = Place(model, {}, ones);
  ASSERT_EQ(placed.size(), 3U);
  EXPECT_EQ(RemainingCapacity(model, placed, *FindProfile(model, "4g.20gb")), 1);
  const Profile* const mixed[] = {one, three};
  const Layout order = Place(model, {}, mixed);
  ASSERT_EQ(order.size(), 2U);
  EXPECT_EQ(order[0].profile, one);  // As asked for, though the large one is put down first.
  EXPECT_EQ(order[1].profile, three);
  EXPECT_TRUE(Place(model, placed, mixed).empty());
  const Profile* const too_many[] = {three, three, three};
  EXPECT_TRUE(Place(model, {}, too_many).empty());
}

TEST(LayoutTest, ComputeInstances) {
  const GpuModel& model = Model("A100-40");
  const Profile& seven = *FindProfile(model, "7g.40gb");
  const Profile& three = *FindProfile(model, "3g.20gb");
  EXPECT_EQ(std::popcount(ComputeStarts(seven, 1)), 7);
  EXPECT_EQ(std::popcount(ComputeStarts(seven, 2)), 3);
  EXPECT_EQ(std::popcount(ComputeStarts(seven, 3)), 2);
  EXPECT_EQ(ComputeStarts(three, 2), 1);
  EXPECT_EQ(ComputeStarts(three, 4), 0);
  EXPECT_EQ(ComputeStarts(seven, 5), 0);
  EXPECT_EQ(MigDeviceName(three, 1), "1c.3g.20gb");
  EXPECT_EQ(MigDeviceName(three, 3), "3g.20gb");
}

}  // namespace
}  // namespace tepal::mig
