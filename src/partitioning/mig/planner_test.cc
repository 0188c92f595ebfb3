#include "partitioning/mig/planner.h"

#include <gtest/gtest.h>

namespace tepal::mig {
namespace {

class PlannerTest : public testing::Test {
 protected:
  const Profile* Get(std::string_view name) { return FindProfile(*model_, name); }

  Instance Has(int id, std::string_view profile, int start, std::vector<int> compute = {}) {
    if (compute.empty()) compute = {Get(profile)->compute_slices};
    return {.id = id, .placement = {Get(profile), start}, .compute = std::move(compute)};
  }

  GpuState Enabled(std::vector<Instance> instances) {
    return {.model = model_,
            .mig_enabled = true,
            .mig_pending = true,
            .instances = std::move(instances)};
  }

  WantedGpu Want(std::vector<std::string_view> names) {
    WantedGpu wanted{.mig_enabled = true};
    for (const std::string_view name : names) wanted.instances.push_back({Get(name), {}});
    return wanted;
  }

  static std::vector<std::string> Lines(const Plan& plan) {
    std::vector<std::string> lines;
    for (const Step& step : plan.steps) lines.push_back(ToString(step));
    return lines;
  }

  using Text = std::vector<std::string>;
  const GpuModel* model_ = FindGpuModel("A100-40");
};

TEST_F(PlannerTest, KeepsTheThreeBesideNewOnes) {
  const Plan plan = *MakePlan(Enabled({Has(1, "3g.20gb", 4), Has(2, "4g.20gb", 0)}),
                              Want({"2g.10gb", "2g.10gb", "3g.20gb"}));
  EXPECT_EQ(Lines(plan),
            (Text{"destroy instance 2 (4g.20gb at 0)", "create 2g.10gb at 0 with 2g.10gb",
                  "create 2g.10gb at 2 with 2g.10gb"}));
  EXPECT_EQ(plan.kept, std::vector<int>{1});
}

TEST_F(PlannerTest, NamesTheFewestThatStandInTheWay) {
  std::vector<Instance> seven;
  for (int i = 0; i < 7; ++i) seven.push_back(Has(10 + i, "1g.5gb", i));
  seven[1].in_use = seven[2].in_use = seven[5].in_use = true;
  const Plan plan = *MakePlan(Enabled(seven), Want({"3g.20gb", "1g.5gb", "1g.5gb", "1g.5gb"}));
  EXPECT_EQ(plan.blocked_by, std::vector<int>{15});
  EXPECT_TRUE(plan.steps.empty());
  EXPECT_EQ(plan.reason,
            "instance 15 (1g.5gb at 5) in use, and what is wanted does not fit with it: 3g.20gb, "
            "1g.5gb, 1g.5gb, 1g.5gb");
}

TEST_F(PlannerTest, AmpereSwitchesModeWithAReset) {
  GpuState now{.model = model_};
  EXPECT_EQ(Lines(*MakePlan(now, Want({"7g.40gb"}))),
            (Text{"enable MIG mode, which resets the GPU", "create 7g.40gb at 0 with 7g.40gb"}));
  now.mig_pending = true;
  EXPECT_EQ(Lines(*MakePlan(now, Want({}))), Text{"reset the GPU"});
  now.in_use = true;
  const Plan blocked = *MakePlan(now, Want({}));
  EXPECT_TRUE(blocked.blocked());
  EXPECT_TRUE(blocked.gpu_in_use);
  EXPECT_TRUE(blocked.steps.empty());
}

TEST_F(PlannerTest, HopperSwitchesModeWithoutAReset) {
  model_ = FindGpuModel("H200");
  EXPECT_EQ(Lines(*MakePlan({.model = model_}, Want({}))), Text{"enable MIG mode"});
  EXPECT_EQ(Lines(*MakePlan(Enabled({Has(4, "1g.18gb", 0)}), {})),
            (Text{"destroy instance 4 (1g.18gb at 0)", "disable MIG mode"}));
}

TEST_F(PlannerTest, InstancesInUseKeepTheMode) {
  GpuState now = Enabled({Has(4, "1g.5gb", 0), Has(5, "1g.5gb", 1)});
  now.instances[1].in_use = true;
  EXPECT_EQ(MakePlan(now, {})->blocked_by, std::vector<int>{5});
}

TEST_F(PlannerTest, TakesBackAPendingMode) {
  GpuState now = Enabled({Has(4, "1g.5gb", 0)});
  now.mig_pending = false;
  EXPECT_EQ(Lines(*MakePlan(now, Want({"1g.5gb"}))), Text{"enable MIG mode"});
}

TEST_F(PlannerTest, ComputeInstancesBelongToIt) {
  WantedGpu wanted{.mig_enabled = true, .instances = {{Get("3g.20gb"), {1, 2}}}};
  EXPECT_TRUE(MakePlan(Enabled({Has(1, "3g.20gb", 4, {2, 1})}), wanted)->steps.empty());
  EXPECT_EQ(Lines(*MakePlan(Enabled({Has(1, "3g.20gb", 0)}), wanted)),
            (Text{"destroy instance 1 (3g.20gb at 0)",
                  "create 3g.20gb at 4 with 1c.3g.20gb, 2c.3g.20gb"}));
  Instance bare = Has(1, "3g.20gb", 4);
  bare.compute.clear();
  EXPECT_EQ(Lines(*MakePlan(Enabled({bare}), wanted)),
            Text{"add 1c.3g.20gb, 2c.3g.20gb to instance 1 (3g.20gb at 4)"});
}

TEST_F(PlannerTest, RefusesWhatCannotBe) {
  EXPECT_EQ(MakePlan(Enabled({}), Want({"4g.20gb", "4g.20gb"})).status().message(),
            "these do not fit on one NVIDIA A100-SXM4-40GB: 4g.20gb, 4g.20gb");
  const WantedGpu disabled{.mig_enabled = false, .instances = {{Get("1g.5gb"), {}}}};
  EXPECT_EQ(MakePlan(Enabled({}), disabled).status().message(),
            "instances are wanted (1g.5gb) with MIG disabled");
  const WantedGpu four{.mig_enabled = true, .instances = {{Get("3g.20gb"), {4}}}};
  EXPECT_EQ(MakePlan(Enabled({}), four).status().message(),
            "3g.20gb has no compute instance of 4 slices");
  const WantedGpu full{.mig_enabled = true, .instances = {{Get("3g.20gb"), {2, 2}}}};
  EXPECT_EQ(MakePlan(Enabled({}), full).status().message(),
            "the compute instances wanted do not fit in one 3g.20gb");
}

}  // namespace
}  // namespace tepal::mig
