// Choices of victims against brute force, and what random removal leaves beside them.

#include "partitioning/mig/victims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace tepal::mig {
namespace {

const GpuModel& A100() { return *FindGpuModel("A100-40"); }
const Profile& Named(std::string_view name) { return *FindProfile(A100(), name); }

Layout Sevens(unsigned gone = 0) {
  Layout layout;
  for (int start = 0; start < 7; ++start) {
    if ((gone >> start & 1) == 0) layout.push_back({&Named("1g.5gb"), start});
  }
  return layout;
}

bool HasRoomFor(const Layout& busy, std::string_view name) {
  return !FreeStarts(A100(), busy, Named(name)).empty();
}

Layout Without(const Tenants& gpu, size_t which, std::span<const Tenant> victims) {
  Layout left = gpu.staying;
  for (size_t i = 0; i < gpu.removable.size(); ++i) {
    const Tenant tenant{which, i};
    if (std::find(victims.begin(), victims.end(), tenant) == victims.end()) {
      left.push_back(gpu.removable[i]);
    }
  }
  return left;
}

// Of all ways to remove `removed` of seven 1g, in how many `name` fits after, in per cent.
double ShareAtRandom(int removed, std::string_view name) {
  int ways = 0;
  int fitting = 0;
  for (unsigned gone = 0; gone < 1U << 7; ++gone) {
    if (std::popcount(gone) != removed) continue;
    ++ways;
    if (HasRoomFor(Sevens(gone), name)) ++fitting;
  }
  return 100.0 * fitting / ways;
}

TEST(Victims, RandomRemovalSpoilsLargePlacements) {
  EXPECT_NEAR(ShareAtRandom(3, "3g.20gb"), 2.9, 0.1);
  EXPECT_NEAR(ShareAtRandom(3, "2g.10gb"), 42.9, 0.1);
  EXPECT_NEAR(ShareAtRandom(4, "3g.20gb"), 14.3, 0.1);
  EXPECT_NEAR(ShareAtRandom(4, "4g.20gb"), 2.9, 0.1);
  EXPECT_NEAR(ShareAtRandom(5, "3g.20gb"), 42.9, 0.1);
}

TEST(Victims, ChosenAtOnceAllFits) {
  const std::vector<Tenants> gpus = {{&A100(), {}, Sevens()}};
  const std::vector<std::pair<size_t, std::string_view>> fits = {
      {2, "2g.10gb"}, {3, "3g.20gb"}, {4, "4g.20gb"}, {7, "7g.40gb"}};
  for (const auto& [count, name] : fits) {
    const std::vector<Tenant> victims = ChooseVictims(gpus, count);
    ASSERT_EQ(victims.size(), count);
    EXPECT_TRUE(HasRoomFor(Without(gpus[0], 0, victims), name)) << name;
  }
}

TEST(Victims, OneAtATimeTheSmallerOnesFit) {
  const std::vector<Tenants> gpus = {{&A100(), {}, Sevens()}};
  const std::vector<Tenant> order = OrderVictims(gpus);
  ASSERT_EQ(order.size(), 7u);
  const auto after = [&](size_t count) {
    return Without(gpus[0], 0, std::span(order).first(count));
  };
  EXPECT_TRUE(HasRoomFor(after(2), "2g.10gb"));
  EXPECT_TRUE(HasRoomFor(after(3), "3g.20gb"));
  EXPECT_TRUE(HasRoomFor(after(5), "2g.10gb"));
}

TEST(Victims, OneGpuIsEmptiedBeforeTheNext) {
  const std::vector<Tenants> gpus(8, {&A100(), {}, Sevens()});
  for (const std::vector<Tenant>& victims : {ChooseVictims(gpus, 21), OrderVictims(gpus)}) {
    std::vector<int> of_gpu(8);
    for (size_t i = 0; i < 21; ++i) ++of_gpu[victims[i].gpu];
    EXPECT_EQ(std::count(of_gpu.begin(), of_gpu.end(), 7), 3);
  }
}

TEST(Victims, SmallStepsEmptyOneGpuAfterTheOther) {
  std::vector<Tenants> gpus(4, {&A100(), {}, Sevens()});
  for (int left = 26; left >= 0; left -= 2) {
    for (const Tenant& victim : std::vector(ChooseVictims(gpus, 2))) {
      gpus[victim.gpu].removable[victim.index].profile = nullptr;
    }
    int touched = 0;
    for (Tenants& gpu : gpus) {
      std::erase_if(gpu.removable, [](const Placement& p) { return p.profile == nullptr; });
      if (!gpu.removable.empty() && gpu.removable.size() < 7) ++touched;
    }
    EXPECT_LE(touched, 1) << left << " are left";
  }
}

TEST(Victims, WhoStaysIsNotTouchedAndDecidesWhere) {
  // A 1g at 5 stays: the right half can never take a 3g, so the left one is cleared.
  Tenants gpu{&A100(), {{&Named("1g.5gb"), 5}}, {}};
  for (int start : {0, 1, 2, 3, 4, 6}) gpu.removable.push_back({&Named("1g.5gb"), start});
  const std::vector<Tenant> victims = ChooseVictims({&gpu, 1}, 4);
  EXPECT_THAT(victims,
              ::testing::ElementsAre(Tenant{0, 0}, Tenant{0, 1}, Tenant{0, 2}, Tenant{0, 3}));
  EXPECT_EQ(ChooseVictims({&gpu, 1}, 100).size(), 6u);
  EXPECT_TRUE(ChooseVictims({&gpu, 1}, 0).empty());
}

TEST(Victims, CostsFollowTheOrder) {
  const std::vector<Tenants> gpus(2, {&A100(), {}, Sevens()});
  const std::vector<Tenant> order = OrderVictims(gpus);
  const auto costs = DeletionCosts(gpus);
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(costs[order[i].gpu][order[i].index], static_cast<int32_t>(i));
  }
}

TEST(Victims, AVacancyIsTakenWhereItCostsLeast) {
  // One GPU is empty, the other has its right half free: the new one goes to the latter, at the
  // slice that leaves a 2g.
  const std::vector<Tenants> gpus = {{&A100(), {}, {}}, {&A100(), {}, Sevens(0b1110000)}};
  std::vector<Vacancy> vacancies;
  for (int start = 0; start < 7; ++start) vacancies.push_back({0, {&Named("1g.5gb"), start}});
  for (int start : {4, 5, 6}) vacancies.push_back({1, {&Named("1g.5gb"), start}});
  const Vacancy& chosen = vacancies[ChooseVacancy(gpus, vacancies)];
  EXPECT_EQ(chosen.gpu, 1u);
  EXPECT_EQ(chosen.placement.start, 6);
}

TEST(Victims, FragmentationIsZeroWhenPackedAndGrowsWhenScattered) {
  EXPECT_EQ(Fragmentation(A100(), {}), 0);
  EXPECT_EQ(Fragmentation(A100(), Sevens(0b1110000)), 0);
  EXPECT_GT(Fragmentation(A100(), Sevens(0b0101010)), 0.9);
  EXPECT_EQ(Fragmentation(A100(), Sevens()), 0);  // Full: nothing could lie better.
}

// Tenants of a layout, some of them staying, by seed.
Tenants RandomTenants(std::mt19937_64& random, const std::vector<Layout>& layouts) {
  Tenants gpu{&A100(), {}, {}};
  for (const Placement& placement : layouts[random() % layouts.size()]) {
    const uint64_t fate = random() % 4;
    if (fate == 0) gpu.staying.push_back(placement);
    if (fate >= 2) gpu.removable.push_back(placement);
  }
  return gpu;
}

TEST(Victims, NoOtherChoiceLeavesMore) {
  std::vector<const Profile*> profiles;
  for (const Profile& profile : A100().profiles) profiles.push_back(&profile);
  const std::vector<Layout> layouts = AllLayouts(A100(), profiles);
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const std::vector<Tenants> gpus = {RandomTenants(random, layouts),
                                       RandomTenants(random, layouts)};
    std::vector<Tenant> all;
    for (size_t g = 0; g < 2; ++g) {
      for (size_t i = 0; i < gpus[g].removable.size(); ++i) all.push_back({g, i});
    }
    // Promise of one GPU, then its room.
    const auto worth = [&](size_t g, std::span<const Tenant> gone) {
      const Layout left = Without(gpus[g], g, gone);
      const Layout staying = gpus[g].staying;
      double promise = 0;
      for (unsigned more = 0; more < 1U << left.size(); ++more) {
        Layout after = staying;
        double discount = 1;
        for (size_t i = staying.size(); i < left.size(); ++i) {
          if ((more >> i & 1) != 0) {
            discount *= 0.8;
          } else {
            after.push_back(left[i]);
          }
        }
        promise = std::max(promise, discount * LargeRoom(A100(), after));
      }
      return std::pair(static_cast<int>(std::lround(16 * promise)), LargeRoom(A100(), left));
    };
    const auto both = [&](std::span<const Tenant> gone) {
      const auto [promise_0, room_0] = worth(0, gone);
      const auto [promise_1, room_1] = worth(1, gone);
      return std::pair(promise_0 + promise_1, room_0 + room_1);
    };
    std::vector<std::pair<int, int>> best(all.size() + 1, {-1, -1});
    for (unsigned subset = 0; subset < 1U << all.size(); ++subset) {
      std::vector<Tenant> gone;
      for (size_t i = 0; i < all.size(); ++i) {
        if ((subset >> i & 1) != 0) gone.push_back(all[i]);
      }
      best[gone.size()] = std::max(best[gone.size()], both(gone));
    }
    for (size_t count = 0; count <= all.size(); ++count) {
      const std::vector<Tenant> victims = ChooseVictims(gpus, count);
      ASSERT_EQ(victims.size(), count);
      ASSERT_EQ(both(victims), best[count]) << count << " victims";
    }
  }
}

}  // namespace
}  // namespace tepal::mig
