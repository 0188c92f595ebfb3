// Applies on the simulated machine, whatever happens meanwhile.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "partitioning/mig/apply.h"
#include "partitioning/mig/checkpoint.h"
#include "partitioning/mig/state_file.h"
#include "sim/nvml/control.h"
#include "sim/nvml/machine_driver.h"

namespace tepal::mig {
namespace {

using nvml_sim::Machine;
using nvml_sim::MachineDriver;

std::unique_ptr<Machine> NewMachine(std::string_view gpus) {
  auto machine = std::make_unique<Machine>();
  EXPECT_TRUE(nvml_sim::Build(*machine, gpus));
  return machine;
}

WantedGpu WantedOf(const Layout& layout, bool at_their_places = false) {
  WantedGpu wanted{.mig_enabled = true};
  for (const Placement& placement : layout) {
    wanted.instances.push_back(
        {.profile = placement.profile, .start = at_their_places ? placement.start : -1});
  }
  return wanted;
}

std::vector<Layout> Maximal19(const GpuModel& model) {
  std::vector<const Profile*> plain;
  for (const Profile& profile : model.profiles) {
    if (profile.nvml_profile <= 4) plain.push_back(&profile);
  }
  return MaximalLayouts(model, plain);
}

std::map<const Profile*, int> Count(const Layout& layout) {
  std::map<const Profile*, int> counts;
  for (const Placement& placement : layout) ++counts[placement.profile];
  return counts;
}

// The fewest instances of `from` that any layout with the instances of `to` lacks.
int LeastDestroyed(const std::vector<Layout>& all, const Layout& from, const Layout& to) {
  int least = kSlicesMax;
  for (const Layout& layout : all) {
    if (Count(layout) != Count(to)) continue;
    const auto destroyed = std::count_if(from.begin(), from.end(), [&](const Placement& placement) {
      return std::find(layout.begin(), layout.end(), placement) == layout.end();
    });
    least = std::min(least, static_cast<int>(destroyed));
  }
  return least;
}

int Destroyed(const Applied& applied) {
  return static_cast<int>(
      std::count_if(applied.steps.begin(), applied.steps.end(),
                    [](const auto& step) { return step.second.kind == Step::Kind::kDestroy; }));
}

void ExpectApplied(MachineDriver& driver, const Wanted& wanted) {
  const auto differences = Differences(*driver.List(), wanted);
  ASSERT_TRUE(differences.ok()) << differences.status().ToString();
  EXPECT_TRUE(differences->empty()) << differences->front();
  const Result<Applied> again = Apply(driver, wanted, {});
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again->steps.empty());
}

TEST(ApplySimTest, EveryPairOfMaximalLayoutsDestroysTheFewest) {
  const auto machine = NewMachine("A100-40");
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  const std::vector<Layout> maximal = Maximal19(model);
  ASSERT_EQ(maximal.size(), 19U);
  std::vector<const Profile*> every;
  for (const Profile& profile : model.profiles) every.push_back(&profile);
  const std::vector<Layout> all = AllLayouts(model, every);
  for (const Layout& from : maximal) {
    for (const Layout& to : maximal) {
      const Wanted start{{0, WantedOf(from, true)}}, end{{0, WantedOf(to)}};
      ASSERT_TRUE(Apply(driver, start, {}).ok());
      const Result<Applied> applied = Apply(driver, end, {});
      ASSERT_TRUE(applied.ok()) << applied.status().ToString();
      EXPECT_EQ(Destroyed(*applied), LeastDestroyed(all, from, to));
      ASSERT_EQ(nvml_sim::Illegal(*machine), nullptr);
      ExpectApplied(driver, end);
    }
  }
}

// UUIDs of MIG devices that processes are on.
std::set<std::string> InUse(MachineDriver& driver) {
  std::set<std::string> uuids;
  const std::vector<Gpu> gpus = *driver.List();
  for (const Gpu& gpu : gpus) {
    for (const GpuInstance& instance : gpu.instances) {
      for (const ComputeInstance& compute : instance.compute) {
        if (!compute.processes.empty()) uuids.insert(compute.uuid);
      }
    }
  }
  return uuids;
}

TEST(ApplySimTest, WhateverIsInUseStays) {
  const auto machine = NewMachine("A100-40");
  MachineDriver driver(*machine);
  const std::vector<Layout> maximal = Maximal19(nvml_sim::ModelOf(machine->gpus[0]));
  std::mt19937 random(7);
  int blocked = 0, done = 0;
  for (const Layout& from : maximal) {
    for (unsigned busy = 0; busy < 1U << from.size(); ++busy) {
      ASSERT_TRUE(Apply(driver, {{0, WantedOf(from, true)}}, {}).ok());
      const std::vector<Gpu> gpus = *driver.List();
      for (size_t i = 0; i < gpus[0].instances.size(); ++i) {
        if ((busy >> i & 1) == 0) continue;
        ASSERT_EQ(nvml_sim::StartProcess(
                      *machine, {static_cast<unsigned>(i + 1), 0, gpus[0].instances[i].id, 0, 1}),
                  nvml_sim::kSuccess);
      }
      const std::set<std::string> before = InUse(driver);
      const Wanted wanted{{0, WantedOf(maximal[random() % maximal.size()])}};
      const Machine untouched = *machine;
      const Result<Applied> applied = Apply(driver, wanted, {});
      EXPECT_EQ(InUse(driver), before);
      if (applied.ok()) {
        ExpectApplied(driver, wanted);
        ++done;
      } else {
        ++blocked;
        EXPECT_EQ(applied.status().code(), StatusCode::kFailedPrecondition);
        EXPECT_NE(applied.status().message().find("process "), std::string::npos)
            << applied.status().message();
        EXPECT_EQ(std::memcmp(&untouched, machine.get(), sizeof(Machine)), 0);
      }
      for (auto& process : machine->processes) process = {};
    }
  }
  EXPECT_GT(blocked, 50);
  EXPECT_GT(done, 50);
}

TEST(ApplySimTest, AGpuIsResetAlone) {
  const auto machine = NewMachine("2xA100-40");
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  const WantedGpu seven = WantedOf({{&model.profiles[0], 0}, {&model.profiles[0], 1}});
  ASSERT_TRUE(Apply(driver, {{0, seven}}, {}).ok());
  const std::vector<Gpu> before = *driver.List();
  ASSERT_TRUE(nvml_sim::StartProcess(*machine, {9, 0, before[0].instances[0].id, 0, 1}) ==
              nvml_sim::kSuccess);
  ASSERT_TRUE(Apply(driver, {{0, seven}, {1, seven}}, {}).ok());
  EXPECT_EQ((*driver.List())[0].instances[1].compute[0].uuid,
            before[0].instances[1].compute[0].uuid);
}

TEST(ApplySimTest, AVirtualMachineWaitsForItsReboot) {
  const auto machine = NewMachine("A100-40");
  machine->gpus[0].passthrough = true;
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  const Wanted wanted{{0, WantedOf({{&model.profiles[0], 0}})}};
  for (int i = 0; i < 2; ++i) {
    const Result<Applied> applied = Apply(driver, wanted, {});
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
    EXPECT_EQ(applied->wait_for_reset, std::set<int>{0});
  }
  nvml_sim::Reboot(*machine);
  ASSERT_TRUE(Apply(driver, wanted, {}).ok());
  ExpectApplied(driver, wanted);
}

TEST(ApplySimTest, HooksRunWhereTheyMatterAndMayFreeWhatIsInUse) {
  const auto machine = NewMachine("A100-40");
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  std::string ran;
  const auto options = [&](bool frees) {
    ApplyOptions made;
    made.config_hook = frees;
    made.hook = [&, frees](HookPoint point) {
      ran += std::string(HookPointName(point)) + " ";
      if (frees && point == HookPoint::kPreApplyConfig) nvml_sim::StopProcess(*machine, 5);
      return Status();
    };
    return made;
  };
  const Wanted one{{0, WantedOf({{&model.profiles[6], 0}})}};
  const Wanted two{{0, WantedOf({{&model.profiles[5], 0}})}};
  ASSERT_TRUE(Apply(driver, one, options(false)).ok());
  EXPECT_EQ(ran, "apply-start pre-apply-mode pre-apply-config apply-exit ");
  ran.clear();
  ASSERT_TRUE(Apply(driver, one, options(false)).ok());
  EXPECT_EQ(ran, "apply-start apply-exit ");
  ASSERT_EQ(nvml_sim::StartProcess(*machine, {5, 0, 0, 0, 1}), nvml_sim::kSuccess);
  ran.clear();
  EXPECT_FALSE(Apply(driver, two, options(false)).ok());
  EXPECT_EQ(ran, "apply-start apply-exit ");
  ASSERT_TRUE(Apply(driver, two, options(true)).ok());
}

// One random life of a machine.
class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {
    constexpr std::string_view kMachines[] = {"A30", "A100-40", "2xA100-40,H200", "B200",
                                              "RTX-PRO-6000,A30"};
    machine_ = NewMachine(kMachines[random_() % std::size(kMachines)]);
    for (int i = 0; i < machine_->gpu_count; ++i) {
      if (Below(8) == 0) machine_->gpus[i].passthrough = true;
    }
  }

  void Run() {
    for (int round = 0; round < 10 && !testing::Test::HasFailure(); ++round) {
      Happen();
      Want();
      Interrupted();
      TakeUpAgain();
    }
    Recover();
  }

 private:
  unsigned Below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  int AnyGpu() { return static_cast<int>(Below(static_cast<unsigned>(machine_->gpu_count))); }

  void Check() {
    const char* const illegal = nvml_sim::Illegal(*machine_);
    ASSERT_EQ(illegal, nullptr) << illegal;
  }

  // Processes, reboots, and a hand with nvidia-smi.
  void Happen() {
    MachineDriver driver(*machine_);
    for (unsigned i = Below(4); i > 0; --i) {
      const int gpu = AnyGpu();
      const std::vector<Gpu> gpus = *driver.List();
      const Gpu& seen = gpus[static_cast<size_t>(gpu)];
      const Placement any{
          &seen.model->profiles[Below(static_cast<unsigned>(seen.model->profiles.size()))],
          static_cast<int>(Below(8))};
      switch (Below(8)) {
        case 0:
          nvml_sim::Reboot(*machine_);
          break;
        case 1:
          (void)driver.CreateInstance(gpu, any).ok();
          break;
        case 2:
          if (!seen.instances.empty()) {
            const GpuInstance& instance =
                seen.instances[Below(static_cast<unsigned>(seen.instances.size()))];
            for (const auto& compute : instance.compute) {
              (void)driver.DestroyCompute(gpu, instance.id, compute.id).ok();
            }
            (void)driver.DestroyInstance(gpu, instance.id).ok();
          }
          break;
        case 3:
          (void)driver.SetMode(gpu, Below(2) == 0).ok();
          break;
        case 4:
          nvml_sim::StopProcess(*machine_, 1 + Below(next_pid_));
          break;
        default:
          nvml_sim::StartProcess(*machine_, {next_pid_++, gpu, static_cast<int>(Below(15)) - 1,
                                             static_cast<int>(Below(2)), 10});
      }
      Check();
    }
  }

  const std::vector<Layout>& LayoutsOf(const GpuModel& model) {
    static std::map<const GpuModel*, std::vector<Layout>> known;
    std::vector<Layout>& all = known[&model];
    if (!all.empty()) return all;
    std::vector<const Profile*> some;
    for (const Profile& profile : model.profiles) {
      if (profile.nvml_profile <= 9) some.push_back(&profile);
    }
    return all = AllLayouts(model, some);
  }

  void Want() {
    wanted_.clear();
    for (int i = 0; i < machine_->gpu_count; ++i) {
      if (Below(6) == 0) continue;
      const std::vector<Layout>& all = LayoutsOf(nvml_sim::ModelOf(machine_->gpus[i]));
      wanted_[i] =
          Below(8) == 0 ? WantedGpu{} : WantedOf(all[Below(static_cast<unsigned>(all.size()))]);
    }
    MachineDriver driver(*machine_);
    text_ = WantedText(wanted_, *driver.List());
  }

  // Faults that come and go, and at some call the end of who applies.
  MachineDriver::Options Faulty() {
    auto calls_left = std::make_shared<int>(Below(2) == 0 ? static_cast<int>(Below(20)) : 1000);
    const auto fault = [this, calls_left](bool counts) -> Status {
      if (counts && --*calls_left < 0) *calls_left = -1;
      if (*calls_left < 0) return Cancelled("killed");
      if (Below(40) != 0) return {};
      constexpr StatusCode kCodes[] = {StatusCode::kInternal, StatusCode::kFailedPrecondition,
                                       StatusCode::kUnavailable, StatusCode::kResourceExhausted};
      return {kCodes[Below(4)], "injected"};
    };
    return {.before = [fault](std::string_view) { return fault(true); },
            .after =
                [this, fault](std::string_view) {
                  Check();
                  return fault(Below(2) == 0);
                }};
  }

  void Interrupted() {
    MachineDriver driver(*machine_, Faulty());
    MachineDriver sees(*machine_);
    const std::set<std::string> before = InUse(sees);
    (void)Apply(driver, wanted_, {}).ok();
    Check();
    EXPECT_EQ(InUse(sees), before);
  }

  // The same again, from what the state file says, with nothing in between: done, or in use.
  void TakeUpAgain() {
    MachineDriver driver(*machine_);
    const std::set<std::string> before = InUse(driver);
    const auto wanted = ParseWanted(text_, *driver.List());
    ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
    const Result<Applied> applied = Apply(driver, *wanted, {});
    Check();
    EXPECT_EQ(InUse(driver), before);
    if (applied.ok()) {
      if (applied->wait_for_reset.empty()) ExpectApplied(driver, *wanted);
    } else {
      EXPECT_EQ(applied.status().code(), StatusCode::kFailedPrecondition)
          << applied.status().ToString();
    }
  }

  // Once nobody is in the way everything is reached, and what was before too.
  void Recover() {
    for (auto& process : machine_->processes) process = {};
    for (int i = 0; i < machine_->gpu_count; ++i) machine_->gpus[i].passthrough = false;
    MachineDriver driver(*machine_);
    const std::string before = ToCheckpoint(*driver.List());
    const Result<Applied> applied = Apply(driver, wanted_, {});
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
    ExpectApplied(driver, wanted_);
    const auto back = FromCheckpoint(before, *driver.List());
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    // A bare instance gets its compute instance: it is of no use otherwise.
    const Result<Applied> restored = Apply(driver, *back, {});
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    ExpectApplied(driver, *back);
  }

  std::mt19937 random_;
  std::unique_ptr<Machine> machine_;
  Wanted wanted_;
  std::string text_;
  unsigned next_pid_ = 1;
};

// TEPAL_MIG_SEQUENCES asks for more, TEPAL_MIG_SEED for one.
TEST(ApplySimTest, NeverIllegalAlwaysRecoverable) {
  const char* const count = std::getenv("TEPAL_MIG_SEQUENCES");
  const char* const only = std::getenv("TEPAL_MIG_SEED");
  const unsigned first = only == nullptr ? 0 : static_cast<unsigned>(std::atoi(only));
  const unsigned sequences = only != nullptr    ? 1
                             : count == nullptr ? 1000
                                                : static_cast<unsigned>(std::atoi(count));
  for (unsigned seed = first; seed < first + sequences; ++seed) {
    Life(seed).Run();
    if (HasFailure()) {
      FAIL() << "TEPAL_MIG_SEED=" << seed << " repeats it";
    }
  }
}

}  // namespace
}  // namespace tepal::mig
