// Plans against brute force: every layout of the GPU that holds what is wanted is looked at.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "partitioning/mig/planner.h"

namespace tepal::mig {
namespace {

using Counts = std::map<const Profile*, int>;

Counts Count(std::span<const Placement> layout) {
  Counts counts;
  for (const Placement& placement : layout) ++counts[placement.profile];
  return counts;
}

GpuState StateOf(const GpuModel& model, const Layout& layout, unsigned in_use) {
  GpuState state{.model = &model, .mig_enabled = true, .mig_pending = true};
  for (size_t i = 0; i < layout.size(); ++i) {
    state.instances.push_back({.id = 3 + 2 * static_cast<int>(i),
                               .placement = layout[i],
                               .compute = {layout[i].profile->compute_slices},
                               .in_use = (in_use >> i & 1) != 0});
  }
  return state;
}

WantedGpu WantedOf(const Layout& layout) {
  WantedGpu wanted{.mig_enabled = true};
  for (const Placement& placement : layout) wanted.instances.push_back({placement.profile, {}});
  return wanted;
}

// The least that any way to `wanted` destroys: first of what is in use, then of all.
struct Least {
  int in_use = kSlicesMax;
  int all = kSlicesMax;
};
Least BruteForce(const GpuState& now, const std::vector<const Layout*>& same_counts) {
  Least least;
  for (const Layout* layout : same_counts) {
    int in_use = 0, all = 0;
    for (const Instance& instance : now.instances) {
      if (std::find(layout->begin(), layout->end(), instance.placement) != layout->end()) continue;
      ++all;
      in_use += instance.in_use ? 1 : 0;
    }
    least.in_use = std::min(least.in_use, in_use);
    if (in_use == 0) least.all = std::min(least.all, all);
  }
  return least;
}

// Carries the steps out on a list of placements, refusing what a GPU would refuse.
void Apply(const GpuState& now, const Plan& plan, const Counts& wanted) {
  std::map<int, Placement> there;
  for (const Instance& instance : now.instances) there[instance.id] = instance.placement;
  int next_id = 100;
  for (const Step& step : plan.steps) {
    if (step.kind == Step::Kind::kDestroy) {
      const auto instance = std::find_if(now.instances.begin(), now.instances.end(),
                                         [&](const Instance& i) { return i.id == step.id; });
      ASSERT_NE(instance, now.instances.end());
      ASSERT_FALSE(instance->in_use);
      ASSERT_EQ(there.erase(step.id), 1U);
    } else {
      ASSERT_EQ(step.kind, Step::Kind::kCreate) << ToString(step);
      Layout layout;
      for (const auto& [_, placement] : there) layout.push_back(placement);
      ASSERT_TRUE(Fits(*now.model, layout, step.placement)) << ToString(step);
      there[next_id++] = step.placement;
    }
  }
  Layout layout;
  for (const auto& [_, placement] : there) layout.push_back(placement);
  EXPECT_EQ(Count(layout), wanted);
  for (const int id : plan.kept) EXPECT_TRUE(there.contains(id));
}

class Universe {
 public:
  explicit Universe(const GpuModel& of) : model(of) {
    std::vector<const Profile*> every;
    for (const Profile& profile : model.profiles) every.push_back(&profile);
    all = AllLayouts(model, every);
    for (const Layout& layout : all) by_counts[Count(layout)].push_back(&layout);
  }

  void Check(const Layout& from, const Layout& to, unsigned in_use) const {
    const GpuState now = StateOf(model, from, in_use);
    Result<Plan> plan = MakePlan(now, WantedOf(to));
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    const Least least = BruteForce(now, by_counts.at(Count(to)));
    if (least.in_use > 0) {
      ASSERT_TRUE(plan->blocked());
      EXPECT_EQ(static_cast<int>(plan->blocked_by.size()), least.in_use) << plan->reason;
      EXPECT_TRUE(plan->steps.empty());
      EXPECT_FALSE(plan->reason.empty());
      return;
    }
    ASSERT_FALSE(plan->blocked()) << plan->reason;
    const auto destroyed =
        std::count_if(plan->steps.begin(), plan->steps.end(),
                      [](const Step& step) { return step.kind == Step::Kind::kDestroy; });
    EXPECT_EQ(destroyed, least.all);
    EXPECT_EQ(plan->kept.size(), from.size() - static_cast<size_t>(destroyed));
    Apply(now, *plan, Count(to));
  }

  const GpuModel& model;
  std::vector<Layout> all;
  std::map<Counts, std::vector<const Layout*>> by_counts;
};

TEST(PlannerSimTest, EveryPairOfMaximalLayouts) {
  const Universe a100(*FindGpuModel("A100-40"));
  std::vector<const Profile*> plain;
  for (const Profile& profile : a100.model.profiles) {
    if (profile.nvml_profile <= 4) plain.push_back(&profile);
  }
  const std::vector<Layout> maximal = MaximalLayouts(a100.model, plain);
  ASSERT_EQ(maximal.size(), 19U);
  for (const Layout& from : maximal) {
    for (const Layout& to : maximal) {
      a100.Check(from, to, 0);
      if (HasFailure()) return;
    }
  }
}

TEST(PlannerSimTest, RandomLayoutsWithAnyInUse) {
  for (const char* name : {"A30", "A100-40", "H200"}) {
    const Universe universe(*FindGpuModel(name));
    for (unsigned seed = 0; seed < 1500; ++seed) {
      SCOPED_TRACE(std::string(name) + ", seed " + std::to_string(seed));
      std::mt19937 random(seed);
      const Layout& from = universe.all[random() % universe.all.size()];
      const Layout& to = universe.all[random() % universe.all.size()];
      universe.Check(from, to, static_cast<unsigned>(random() & random()));
      if (HasFailure()) return;
    }
  }
}

TEST(PlannerSimTest, ThereIsAWayBackToNothingToDo) {
  const Universe universe(*FindGpuModel("A100-80"));
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const Layout& layout = universe.all[random() % universe.all.size()];
    const Result<Plan> plan = MakePlan(
        StateOf(universe.model, layout, static_cast<unsigned>(random())), WantedOf(layout));
    ASSERT_TRUE(plan.ok());
    EXPECT_TRUE(plan->steps.empty()) << "seed " << seed;
    EXPECT_FALSE(plan->blocked()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tepal::mig
