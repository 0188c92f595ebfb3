#include "sim/nvml/machine.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "partitioning/mig/planner.h"
#include "sim/nvml/control.h"

namespace tepal::nvml_sim {
namespace {

class MachineTest : public testing::Test {
 protected:
  explicit MachineTest(const char* gpus = "A100-40") { EXPECT_TRUE(Build(*machine_, gpus)); }

  void Enable(int gpu = 0) {
    Return activation = kUnknown;
    EXPECT_EQ(SetMode(*machine_, gpu, true, activation), kSuccess);
    EXPECT_EQ(activation, kSuccess);
  }
  int Create(int driver_id) {
    int id = -1;
    EXPECT_EQ(CreateInstance(*machine_, 0, driver_id, nullptr, id), kSuccess);
    return id;
  }

  const std::unique_ptr<Machine> machine_ = std::make_unique<Machine>();
};

TEST_F(MachineTest, InstancesAreWhereTheDriversManualShowsThem) {
  Enable();
  // As `nvidia-smi mig -cgi 19,14,5` on an A100.
  EXPECT_EQ(Create(19), 13);
  EXPECT_EQ(Create(14), 5);
  EXPECT_EQ(Create(5), 1);
  SimGpu& gpu = machine_->gpus[0];
  EXPECT_EQ(FindInstance(gpu, 13)->start, 6);
  EXPECT_EQ(FindInstance(gpu, 5)->start, 4);
  EXPECT_EQ(FindInstance(gpu, 1)->start, 0);
  int id = 0;
  EXPECT_EQ(CreateInstance(*machine_, 0, 19, nullptr, id), kInsufficientResources);
}

TEST_F(MachineTest, EnforcesPlacement) {
  int id = 0;
  const Placement four = {0, 4}, odd = {1, 2}, wrong_size = {0, 3}, far = {8, 4};
  EXPECT_EQ(CreateInstance(*machine_, 0, 5, &four, id), kNotSupported);  // MIG is off.
  Enable();
  EXPECT_EQ(CreateInstance(*machine_, 0, 14, &odd, id), kInvalidArgument);
  EXPECT_EQ(CreateInstance(*machine_, 0, 9, &wrong_size, id), kInvalidArgument);
  EXPECT_EQ(CreateInstance(*machine_, 0, 9, &far, id), kInvalidArgument);
  EXPECT_EQ(CreateInstance(*machine_, 0, 77, nullptr, id), kInvalidArgument);
  EXPECT_EQ(CreateInstance(*machine_, 0, 5, &four, id), kSuccess);
  EXPECT_EQ(CreateInstance(*machine_, 0, 9, &four, id), kInsufficientResources);
}

TEST_F(MachineTest, WhatIsInUseStays) {
  Enable();
  const int instance = Create(9);
  int compute = -1;
  ASSERT_EQ(CreateCompute(*machine_, 0, instance, 3, nullptr, compute), kSuccess);
  EXPECT_EQ(Control(*machine_, "run 77 0 2 0 1024"), kSuccess);
  EXPECT_EQ(DestroyInstance(*machine_, 0, instance), kInUse);
  EXPECT_EQ(DestroyCompute(*machine_, 0, instance, compute), kInUse);
  EXPECT_EQ(ResetGpu(*machine_, 0), kInUse);
  Return activation = kSuccess;
  EXPECT_EQ(SetMode(*machine_, 0, false, activation), kSuccess);
  EXPECT_EQ(activation, kInUse);
  EXPECT_TRUE(machine_->gpus[0].enabled);
  EXPECT_FALSE(machine_->gpus[0].pending);
  EXPECT_EQ(Control(*machine_, "stop 77"), kSuccess);
  EXPECT_EQ(DestroyInstance(*machine_, 0, instance), kInUse);  // It has a compute instance.
  EXPECT_EQ(DestroyCompute(*machine_, 0, instance, compute), kSuccess);
  EXPECT_EQ(DestroyInstance(*machine_, 0, instance), kSuccess);
}

TEST_F(MachineTest, ComputeInstancesFillAnInstance) {
  Enable();
  const int instance = Create(9);
  int id = -1;
  EXPECT_EQ(CreateCompute(*machine_, 0, instance, 2, nullptr, id), kSuccess);
  EXPECT_EQ(CreateCompute(*machine_, 0, instance, 2, nullptr, id), kInsufficientResources);
  EXPECT_EQ(CreateCompute(*machine_, 0, instance, 4, nullptr, id), kInvalidArgument);
  EXPECT_EQ(CreateCompute(*machine_, 0, instance, 1, nullptr, id), kSuccess);
  EXPECT_EQ(id, 1);
  EXPECT_EQ(FindCompute(*FindInstance(machine_->gpus[0], instance), 1)->start, 2);
}

TEST_F(MachineTest, UuidsAreNewEachTime) {
  Enable();
  const int instance = Create(0);
  std::string before;
  for (int i = 0; i < 3; ++i) {
    int id = -1;
    ASSERT_EQ(CreateCompute(*machine_, 0, instance, 7, nullptr, id), kSuccess);
    const std::string uuid = FindCompute(*FindInstance(machine_->gpus[0], instance), id)->uuid;
    EXPECT_EQ(uuid.size(), std::string_view("MIG-8a0f4c1e-0000-0000-0000-000000000000").size());
    EXPECT_NE(uuid, before);
    before = uuid;
    ASSERT_EQ(DestroyCompute(*machine_, 0, instance, id), kSuccess);
  }
}

TEST(MachineModeTest, AmpereKeepsItsModeHopperDoesNot) {
  const auto machine = std::make_unique<Machine>();
  ASSERT_TRUE(Build(*machine, "A100-80,H200"));
  for (const int gpu : {0, 1}) {
    Return activation = kUnknown;
    EXPECT_EQ(SetMode(*machine, gpu, true, activation), kSuccess);
    int id = -1;
    EXPECT_EQ(CreateInstance(*machine, gpu, 19, nullptr, id), kSuccess);
  }
  Reboot(*machine);
  EXPECT_TRUE(machine->gpus[0].enabled);
  EXPECT_FALSE(machine->gpus[1].enabled);
  EXPECT_TRUE(LayoutOf(machine->gpus[0]).empty());
}

TEST(MachineModeTest, AVirtualMachineWaitsForAReboot) {
  const auto machine = std::make_unique<Machine>();
  ASSERT_TRUE(Build(*machine, "A100-40"));
  EXPECT_EQ(Control(*machine, "passthrough 0 1"), kSuccess);
  Return activation = kSuccess;
  EXPECT_EQ(SetMode(*machine, 0, true, activation), kSuccess);
  EXPECT_EQ(activation, kResetRequired);
  EXPECT_FALSE(machine->gpus[0].enabled);
  EXPECT_EQ(Control(*machine, "reboot"), kSuccess);
  EXPECT_TRUE(machine->gpus[0].enabled);
}

TEST(MachineModeTest, RefusesWhatItDoesNotKnow) {
  const auto machine = std::make_unique<Machine>();
  EXPECT_FALSE(Build(*machine, "V100"));
  EXPECT_FALSE(Build(*machine, "16xA100-40,A30"));
  EXPECT_FALSE(Build(*machine, ""));
  ASSERT_TRUE(Build(*machine, "2xA30,B200"));
  EXPECT_EQ(machine->gpu_count, 3);
  for (const char* line : {"", "dance", "reset", "reset 3", "run 1 2", "run 1 9 -1 -1 5",
                           "xid 7 0 0 48", "passthrough -1 1", "fault nvmlInit"}) {
    EXPECT_EQ(Control(*machine, line), kInvalidArgument) << line;
  }
}

// What the planner sees of a GPU.
mig::GpuState StateOf(const Machine& machine, int index) {
  const SimGpu& gpu = machine.gpus[index];
  mig::GpuState state{.model = &ModelOf(gpu),
                      .mig_enabled = gpu.enabled,
                      .mig_pending = gpu.pending,
                      .in_use = InUse(machine, index)};
  for (const SimInstance& instance : gpu.instances) {
    if (!instance.exists) continue;
    mig::Instance seen{.id = instance.id,
                       .placement = {&ProfileOf(gpu, instance), instance.start},
                       .in_use = InUse(machine, index, instance.id)};
    for (const SimCompute& compute : instance.compute) {
      if (compute.exists) seen.compute.push_back(compute.slices);
    }
    state.instances.push_back(seen);
  }
  return state;
}

// Carries one step out; stops after `budget` calls, as a killed process would.
void Apply(Machine& machine, const mig::Step& step, int& budget) {
  const auto call = [&](Return result) { EXPECT_EQ(result, kSuccess) << ToString(step); };
  switch (step.kind) {
    case mig::Step::Kind::kDestroy: {
      for (const SimCompute& compute : FindInstance(machine.gpus[0], step.id)->compute) {
        if (compute.exists && budget-- > 0) call(DestroyCompute(machine, 0, step.id, compute.id));
      }
      if (budget-- > 0) call(DestroyInstance(machine, 0, step.id));
      return;
    }
    case mig::Step::Kind::kSetMode: {
      Return activation = kUnknown;
      if (budget-- > 0) call(SetMode(machine, 0, step.mig_enabled, activation));
      return;
    }
    case mig::Step::Kind::kReset:
      if (budget-- > 0) call(ResetGpu(machine, 0));
      return;
    case mig::Step::Kind::kCreate:
    case mig::Step::Kind::kAddCompute: {
      int id = step.id;
      if (step.kind == mig::Step::Kind::kCreate) {
        const Placement at = {static_cast<unsigned>(step.placement.start),
                              static_cast<unsigned>(step.placement.profile->memory_slices)};
        if (budget-- <= 0) return;
        call(CreateInstance(machine, 0, step.placement.profile->driver_id, &at, id));
      }
      for (const int slices : step.compute) {
        int compute = -1;
        if (budget-- > 0) call(CreateCompute(machine, 0, id, slices, nullptr, compute));
      }
    }
  }
}

// Random layouts are wanted one after the other; processes come and go; the one who applies is
// killed after any call, and the machine reboots. Applying again always gets there, and no process
// ever loses its instance.
TEST(MachineSimTest, ApplyingAgainAlwaysGetsThere) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto machine = std::make_unique<Machine>();
    const char* const models[] = {"A30", "A100-40", "H200", "B200"};
    ASSERT_TRUE(Build(*machine, models[seed % 4]));
    const mig::GpuModel& model = ModelOf(machine->gpus[0]);
    std::vector<const mig::Profile*> every;
    for (const mig::Profile& profile : model.profiles) {
      if (!profile.name.ends_with("+me")) every.push_back(&profile);
    }
    static std::map<const mig::GpuModel*, std::vector<mig::Layout>> layouts;
    auto& all = layouts[&model];
    if (all.empty()) all = mig::AllLayouts(model, every);
    unsigned next_pid = 1;
    for (int round = 0; round < 12; ++round) {
      mig::WantedGpu wanted{.mig_enabled = random() % 8 != 0};
      if (wanted.mig_enabled) {
        for (const mig::Placement& placement : all[random() % all.size()]) {
          wanted.instances.push_back({placement.profile, {}});
        }
      }
      for (bool killed = true; killed;) {
        killed = random() % 2 == 0;
        int budget = killed ? static_cast<int>(random() % 12) : 1000;
        const Result<mig::Plan> plan = mig::MakePlan(StateOf(*machine, 0), wanted);
        ASSERT_TRUE(plan.ok()) << plan.status().ToString();
        for (const mig::Step& step : plan->steps) {
          if (budget > 0) Apply(*machine, step, budget);
          ASSERT_EQ(Illegal(*machine), nullptr);
        }
        if (plan->blocked()) {
          for (SimProcess& process : machine->processes) process = {};
          killed = true;
        }
      }
      const Result<mig::Plan> done = mig::MakePlan(StateOf(*machine, 0), wanted);
      ASSERT_TRUE(done.ok() && done->steps.empty() && !done->blocked());
      for (const SimInstance& instance : machine->gpus[0].instances) {
        if (!instance.exists || random() % 3 != 0) continue;
        ASSERT_EQ(StartProcess(*machine, {next_pid++, 0, instance.id, 0, 100}), kSuccess);
      }
      if (random() % 16 == 0) Reboot(*machine);
    }
  }
}

}  // namespace
}  // namespace tepal::nvml_sim
