// The in-process driver and the real one on the library, held against each other: the same calls,
// the same answers.

#include "sim/nvml/machine_driver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "partitioning/mig/nvml_driver.h"
#include "sim/nvml/control.h"
#include "sim/nvml/store.h"

namespace tepal::nvml_sim {
namespace {

using mig::Driver;
using mig::Gpu;
using mig::GpuModel;
using mig::Profile;

std::string Text(const std::vector<mig::GpuProcess>& processes) {
  std::string text;
  for (const auto& process : processes) {
    text += " pid " + std::to_string(process.pid) + "/" + std::to_string(process.memory_bytes);
  }
  return text;
}

std::string Text(const GpuModel& model) {
  std::string text = std::string(model.name) + " " + std::to_string(model.compute_slices) + "/" +
                     std::to_string(model.memory_slices);
  for (const Profile& p : model.profiles) {
    text += "\n    " + std::string(p.name);
    for (const int number : {p.nvml_profile, p.driver_id, p.compute_slices, p.memory_slices,
                             int{p.starts}, p.memory_mib, p.multiprocessors, p.copy_engines,
                             p.decoders, p.jpeg_engines, p.ofa_engines}) {
      text += " " + std::to_string(number);
    }
  }
  return text;
}

std::string Text(const Gpu& gpu) {
  std::string text = std::to_string(gpu.index) + " " + gpu.uuid + " " + gpu.name + " " +
                     gpu.bus_id + " " + std::to_string(gpu.pci_device_id) + " " +
                     std::to_string(gpu.memory_bytes) + " cc " + std::to_string(gpu.cuda_major) +
                     (gpu.mig_enabled ? " on" : " off") + (gpu.mig_pending ? " on" : " off") +
                     Text(gpu.processes) + " problem '" + gpu.problem + "'\n";
  if (gpu.model != nullptr) text += "  " + Text(*gpu.model) + "\n";
  for (const mig::GpuInstance& instance : gpu.instances) {
    text += "  GI " + std::to_string(instance.id) + " " + ToString(instance.placement) + "\n";
    for (const mig::ComputeInstance& compute : instance.compute) {
      text += "    CI " + std::to_string(compute.id) + " " + std::to_string(compute.slices) + " " +
              compute.uuid + " " + std::to_string(compute.memory_bytes) + " " +
              std::to_string(compute.multiprocessors) + Text(compute.processes) + "\n";
    }
  }
  return text;
}

std::string Text(Result<std::vector<Gpu>> gpus) {
  if (!gpus.ok()) return gpus.status().ToString();
  std::string text;
  for (const Gpu& gpu : *gpus) text += Text(gpu);
  return text;
}

constexpr const char* kGpus = "A30,A100-40,A100-80,H100,H200,B200";

// One process, one library: the machine behind it is made once.
class BothDrivers : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    path_ = new std::string(testing::TempDir() + "nvml_sim_" + std::to_string(getpid()));
    setenv("NVML_SIM_STATE", path_->c_str(), 1);
    setenv("NVML_SIM_GPUS", kGpus, 1);
    setenv("NVML_SIM_ROOT", "1", 1);
  }
  static void TearDownTestSuite() { std::filesystem::remove(*path_); }

  void SetUp() override {
    ASSERT_TRUE(Build(*machine_, kGpus));
    auto opened = mig::OpenNvmlDriver({.nvml_library = NVML_SIM_LIBRARY});
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    real_ = std::move(opened).value();
    store_ = Store::Open(*path_, kGpus);
    ASSERT_NE(store_, nullptr);
    store_->Write([&](Machine& machine) {
      machine = *machine_;
      return true;
    });
  }

  void ExpectSameList() { EXPECT_EQ(Text(real_->List()), Text(fake_.List())); }
  void Happens(const char* line) {
    EXPECT_EQ(Control(*machine_, line), kSuccess) << line;
    EXPECT_EQ(store_->Write([&](Machine& machine) { return Control(machine, line); }), kSuccess);
  }
  template <typename Work>
  void Both(Work work) {
    const auto real = work(*real_), fake = work(fake_);
    EXPECT_EQ(Code(real), Code(fake));
    ExpectSameList();
  }
  template <typename T>
  static StatusCode Code(const Result<T>& result) {
    return result.status().code();
  }
  static StatusCode Code(const Status& status) { return status.code(); }

  static std::string* path_;
  const std::unique_ptr<Machine> machine_ = std::make_unique<Machine>();
  MachineDriver fake_{*machine_};
  std::unique_ptr<Driver> real_;
  std::unique_ptr<Store> store_;
};
std::string* BothDrivers::path_ = nullptr;

TEST_F(BothDrivers, TellAndDoTheSame) {
  ExpectSameList();
  for (int gpu = 0; gpu < machine_->gpu_count; ++gpu) {
    SCOPED_TRACE(gpu);
    const GpuModel& model = ModelOf(machine_->gpus[gpu]);
    Both([&](Driver& driver) { return driver.CreateInstance(gpu, {&model.profiles[0], 0}); });
    Both([&](Driver& driver) { return driver.SetMode(gpu, true); });
    const int start = model.memory_slices - 2;
    Both([&](Driver& driver) { return driver.CreateInstance(gpu, {&model.profiles[0], 0}); });
    Both([&](Driver& driver) { return driver.CreateInstance(gpu, {&model.profiles[0], 0}); });
    Both([&](Driver& driver) { return driver.CreateInstance(gpu, {&model.profiles[0], start}); });
    const int id = fake_.List()->at(static_cast<size_t>(gpu)).instances.front().id;
    Both([&](Driver& driver) { return driver.CreateCompute(gpu, id, 1); });
    Both([&](Driver& driver) { return driver.CreateCompute(gpu, id, 1); });
    Both([&](Driver& driver) { return driver.CreateCompute(gpu, id, 5); });
    Both([&](Driver& driver) { return driver.DestroyInstance(gpu, id); });
    const std::string process = " " + std::to_string(gpu) + " " + std::to_string(id) + " 0 512";
    Happens(("run 4000000" + process).c_str());
    ExpectSameList();
    Both([&](Driver& driver) { return driver.DestroyCompute(gpu, id, 0); });
    Happens("stop 4000000");
    Both([&](Driver& driver) { return driver.DestroyCompute(gpu, id, 0); });
    Both([&](Driver& driver) { return driver.DestroyCompute(gpu, id, 0); });
    Both([&](Driver& driver) { return driver.DestroyInstance(gpu, id); });
    Both([&](Driver& driver) { return driver.DestroyInstance(gpu, id); });
    Both([&](Driver& driver) { return driver.SetMode(gpu, false); });
  }
  Happens("reboot");
  ExpectSameList();
}

TEST_F(BothDrivers, TellOfXidEvents) {
  for (Driver* driver : std::initializer_list<Driver*>{real_.get(), &fake_}) {
    const auto none = driver->WaitForXid({});
    ASSERT_TRUE(none.ok()) << none.status().ToString();
    EXPECT_FALSE(none->has_value());
  }
  Happens("xid 4 3 1 48");
  Happens("xid 2 -1 -1 79");
  for (Driver* driver : std::initializer_list<Driver*>{real_.get(), &fake_}) {
    const auto first = driver->WaitForXid({}), second = driver->WaitForXid({});
    ASSERT_TRUE(first.ok() && first->has_value() && second.ok() && second->has_value());
    EXPECT_EQ((*first)->gpu, 4);
    EXPECT_EQ((*first)->gpu_instance, 3);
    EXPECT_EQ((*first)->compute_instance, 1);
    EXPECT_EQ((*first)->xid, 48U);
    EXPECT_EQ((*second)->gpu, 2);
    EXPECT_EQ((*second)->gpu_instance, -1);
  }
}

TEST_F(BothDrivers, WhoIsNoRootSeesMigDevicesOnly) {
  Both([](Driver& driver) { return driver.SetMode(1, true); });
  const GpuModel& model = ModelOf(machine_->gpus[1]);
  Both([&](Driver& driver) { return driver.CreateInstance(1, {&model.profiles[4], 4}); });
  Both([&](Driver& driver) { return driver.CreateInstance(1, {&model.profiles[0], 0}); });
  const int id = 2;  // The half on the right.
  Both([&](Driver& driver) { return driver.CreateCompute(1, id, 2); });
  setenv("NVML_SIM_ROOT", "0", 1);
  MachineDriver fake(*machine_, {.root = false});
  EXPECT_EQ(Text(real_->List()), Text(fake.List()));
  EXPECT_EQ(real_->SetMode(0, true).status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(fake.SetMode(0, true).status().code(), StatusCode::kPermissionDenied);
  setenv("NVML_SIM_ROOT", "1", 1);
}

TEST_F(BothDrivers, WithoutALibraryThereIsAReason) {
  const auto driver = mig::OpenNvmlDriver({.nvml_library = "libno-such-driver.so.1"});
  EXPECT_EQ(driver.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(driver.status().message().find("libno-such-driver.so.1"), std::string::npos);
}

}  // namespace
}  // namespace tepal::nvml_sim
