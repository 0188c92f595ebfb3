// nvidia-mig-parted's files: read, refused, written, and applied on the GPUs they are meant for.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "partitioning/mig/checkpoint.h"
#include "partitioning/mig/export.h"
#include "partitioning/mig/hooks_file.h"
#include "partitioning/mig/report.h"
#include "partitioning/mig/state_file.h"
#include "sim/nvml/control.h"
#include "sim/nvml/machine_driver.h"

namespace tepal::mig {
namespace {

using nvml_sim::Machine;
using nvml_sim::MachineDriver;

constexpr std::string_view kSmall = R"(version: v1
mig-configs:
  mixed:
    - device-filter: ["0x20B010DE", "0x20B210DE"]
      devices: [0, 2]
      mig-enabled: true
      mig-devices: {"1g.5gb": 2, 2g.10gb: 1, "3g.20gb": 1}
    - device-filter: "0x233510DE:0x18BE10DE"
      devices: all
      mig-enabled: false
  shared:
    - devices: all
      mig-enabled: true
      mig-devices: {"1c.3g.20gb": 1, "2c.3g.20gb": 1, "1g.5gb.me": 1}
)";

std::unique_ptr<Machine> NewMachine(std::string_view gpus) {
  auto machine = std::make_unique<Machine>();
  EXPECT_TRUE(nvml_sim::Build(*machine, gpus));
  return machine;
}

std::string Refusal(std::string_view entry) {
  const auto read = ParseConfigFile(
      "version: v1\nmig-configs:\n  a:\n    - " + std::string(entry) + "\n", "c.yaml");
  return read.ok() ? "read" : read.status().message();
}

TEST(ConfigFileTest, IsReadAndWrittenBack) {
  const ConfigFile file = *ParseConfigFile(kSmall, "small.yaml");
  ASSERT_EQ(file.configs.size(), 2U);
  const ConfigEntry& first = file.configs[0].second[0];
  EXPECT_EQ(first.filters.size(), 2U);
  EXPECT_EQ(*first.devices, (std::vector<int>{0, 2}));
  EXPECT_EQ(first.mig_devices[1], (std::pair<std::string, int>("2g.10gb", 1)));
  const ConfigEntry& second = file.configs[0].second[1];
  EXPECT_EQ(second.filters[0].subsystem, 0x18BE10DEU);
  EXPECT_FALSE(second.devices.has_value());
  for (const std::string& text : {ToYaml(file), ToJson(file)}) {
    EXPECT_EQ(ToYaml(*ParseConfigFile(text, "again")), ToYaml(file));
  }
}

TEST(ConfigFileTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(Refusal("{devices: all, mig-enabled: false}"), "read");
  EXPECT_EQ(Refusal("{devices: all, mig-enabled: false, mig-device: {}}"),
            "c.yaml:4: unknown field 'mig-configs.a[0].mig-device'; did you mean 'mig-devices'?");
  EXPECT_EQ(
      Refusal("{devices: some, mig-enabled: false}"),
      "c.yaml:4: field 'mig-configs.a[0].devices': got 'some', expected all, or a list of GPU "
      "indices");
  for (const char* entry :
       {"{mig-enabled: false}", "{devices: all}", "{devices: [-1], mig-enabled: false}",
        "{devices: all, mig-enabled: true}", "{devices: all, mig-enabled: true, mig-devices: }",
        "{devices: all, mig-enabled: false, mig-devices: {1g.5gb: 1}}",
        "{devices: all, mig-enabled: maybe}", "{devices: all, mig-enabled: true, mig-devices: [1]}",
        "{devices: all, mig-enabled: true, mig-devices: {1g.5gb: -1}}",
        "{devices: all, mig-enabled: false, device-filter: 0x20B0ZZ}",
        "{devices: all, mig-enabled: false, device-filter: \"0x1:0x2:0x3\"}"}) {
    EXPECT_NE(Refusal(entry).find("c.yaml:4: "), std::string::npos) << entry;
  }
  EXPECT_FALSE(ParseConfigFile("version: v2\nmig-configs: {a: []}", "c").ok());
  EXPECT_FALSE(ParseConfigFile("version: v1", "c").ok());
  const ConfigFile file = *ParseConfigFile(kSmall, "small.yaml");
  EXPECT_EQ(SelectConfig(file, "other").status().message(),
            "no configuration 'other' in the file; it has mixed, shared");
  EXPECT_EQ(SelectConfig(file, "").status().message(),
            "which configuration? The file has mixed, shared");
}

TEST(ConfigFileTest, MeansTheGpusItFilters) {
  const auto machine = NewMachine("4xA100-40,H200");
  std::vector<Gpu> gpus = *MachineDriver(*machine).List();
  const Config mixed = *SelectConfig(*ParseConfigFile(kSmall, "small.yaml"), "mixed");
  EXPECT_EQ(Resolve(mixed, gpus)->size(), 2U);
  gpus[4].pci_subsystem_id = 0x18BE10DE;
  const auto wanted = Resolve(mixed, gpus);
  ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
  EXPECT_EQ(wanted->size(), 3U);
  EXPECT_FALSE(wanted->at(4).mig_enabled);
  EXPECT_EQ(wanted->at(2).instances.size(), 4U);
}

TEST(ConfigFileTest, ComputeInstancesShareAnInstance) {
  const auto machine = NewMachine("A100-40");
  MachineDriver driver(*machine);
  const Config shared = *SelectConfig(*ParseConfigFile(kSmall, "small.yaml"), "shared");
  const auto wanted = Resolve(shared, *driver.List());
  ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
  EXPECT_EQ(wanted->at(0).instances.size(), 2U);  // 2c and 1c, 1g+me.
  ASSERT_TRUE(Apply(driver, *wanted, {}).ok());
  EXPECT_NE(ToYaml(*ExportConfig(*driver.List(), "now")).find("\"1c.3g.20gb\": 1"),
            std::string::npos);
}

TEST(ConfigFileTest, RefusesWhatAGpuHasNot) {
  const auto machine = NewMachine("A30");
  const std::vector<Gpu> gpus = *MachineDriver(*machine).List();
  const auto refuse = [&](const std::string& devices) {
    const auto file = ParseConfigFile(
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: "
        "true, mig-devices: {" +
            devices + "}}]}",
        "c");
    return Resolve(*SelectConfig(*file, "a"), gpus).status().message();
  };
  EXPECT_EQ(refuse("3g.20gb: 1"),
            "GPU 0: no profile '3g.20gb'; expected one of 1g.6gb, 1g.6gb+me, 2g.12gb, 2g.12gb+me, "
            "4g.24gb");
  EXPECT_EQ(refuse("1g.6gb: 5"),
            "GPU 0: these do not fit on one NVIDIA A30: 1g.6gb, 1g.6gb, 1g.6gb, 1g.6gb, 1g.6gb");
  EXPECT_EQ(refuse("3c.4g.24gb: 1"), "GPU 0: 4g.24gb has no compute instance as in '3c.4g.24gb'");
}

TEST(HooksFileTest, IsReadAndRefusesTypingMistakes) {
  const auto hooks = ParseHooksFile(
      "version: v1\nhooks:\n  apply-start:\n  - {command: /bin/sh, args: [-c, 'x y'], workdir: "
      "/tmp, envs: {A: b}}\n  - {command: env}\n",
      "h.yaml");
  ASSERT_TRUE(hooks.ok()) << hooks.status().ToString();
  const std::vector<Hook>& start = hooks->at(HookPoint::kApplyStart);
  EXPECT_EQ(start[0].args, (std::vector<std::string>{"-c", "x y"}));
  EXPECT_EQ(start[0].envs[0].second, "b");
  EXPECT_EQ(start[1].command, "env");
  EXPECT_EQ(ParseHooksFile("version: v1\nhooks:\n  aply-exit: []\n", "h.yaml").status().message(),
            "h.yaml:3: unknown field 'hooks.aply-exit'; did you mean 'apply-exit'?");
  EXPECT_FALSE(ParseHooksFile("version: v1\nhooks: {apply-exit: [{args: []}]}", "h").ok());
}

TEST(CheckpointTest, ComesBackPlaceByPlace) {
  const auto machine = NewMachine("A100-40,H200");
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  ASSERT_TRUE(driver.SetMode(0, true).ok());
  // Where no planner would put it.
  ASSERT_TRUE(driver.CreateInstance(0, {&model.profiles[0], 3}).ok());
  const std::vector<Gpu> before = *driver.List();
  ASSERT_TRUE(driver.CreateCompute(0, before[0].instances[0].id, 1).ok());
  const std::string checkpoint = ToCheckpoint(*driver.List());
  ASSERT_TRUE(Apply(driver, {{0, {}}, {1, {.mig_enabled = true}}}, {}).ok());
  const auto wanted = FromCheckpoint(checkpoint, *driver.List());
  ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
  ASSERT_TRUE(Apply(driver, *wanted, {}).ok());
  EXPECT_EQ(ToCheckpoint(*driver.List()), checkpoint);
  // As older ones are spelled.
  EXPECT_TRUE(FromCheckpoint(R"({"version":"v1","migstate":{"devices":[]}})", *driver.List()).ok());
  for (const char* text :
       {"", "{}", R"({"Version":"v2","MigState":{}})",
        R"({"Version":"v1","MigState":{"Devices":[{"UUID":"GPU-x","MigMode":1}]}})"}) {
    EXPECT_FALSE(FromCheckpoint(text, *driver.List()).ok()) << text;
  }
}

TEST(ReportTest, NamesWhoIsInTheWay) {
  const auto machine = NewMachine("A100-40");
  MachineDriver driver(*machine);
  const GpuModel& model = nvml_sim::ModelOf(machine->gpus[0]);
  const WantedGpu seven{.mig_enabled = true, .instances = {{.profile = &model.profiles[6]}}};
  ASSERT_TRUE(Apply(driver, {{0, seven}}, {}).ok());
  ASSERT_EQ(nvml_sim::Control(*machine, "run 4711 0 0 0 100"), nvml_sim::kSuccess);
  const std::vector<Gpu> gpus = *driver.List();
  const std::string uuid = gpus[0].instances[0].compute[0].uuid;
  const Plans plans{{0, *PlanGpu(gpus[0], {}, {})}};
  EXPECT_EQ(
      PlanText(gpus, plans),
      "blocked: GPU 0: instance 0 (7g.40gb at 0) in use, and MIG mode cannot be switched under "
      "it; process 4711 runs on " +
          uuid + "\n");
  EXPECT_NE(PlanJson(gpus, plans).find("\"blocked\":true"), std::string::npos);
  EXPECT_NE(ListText(gpus).find("pid 4711, 100 MiB"), std::string::npos);
  EXPECT_NE(ListJson(gpus).find("\"uuid\":\"" + uuid + "\""), std::string::npos);
}

TEST(GenerateTest, EveryNameApplies) {
  const auto machine = NewMachine("A100-40,A30,RTX-PRO-6000,H200");
  MachineDriver driver(*machine);
  const ConfigFile file = *GenerateConfig(*driver.List());
  EXPECT_EQ(file.configs[2].first, "all-balanced");
  for (const auto& [name, config] : file.configs) {
    SCOPED_TRACE(name);
    const auto wanted = Resolve(config, *driver.List());
    ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
    const auto applied = Apply(driver, *wanted, {});
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  }
}

// A configuration as a whole, on eight GPUs of a model: applied, again, exported and back.
void ExpectApplies(const std::string& name, const Config& config, const GpuModel& model) {
  SCOPED_TRACE(name + " on " + std::string(model.alias));
  const auto machine = NewMachine("8x" + std::string(model.alias));
  MachineDriver driver(*machine);
  const std::vector<Gpu> gpus = *driver.List();
  const auto wanted = Resolve(config, gpus);
  ASSERT_TRUE(wanted.ok()) << wanted.status().ToString();
  const auto applied = Apply(driver, *wanted, {});
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_TRUE(Apply(driver, *wanted, {})->steps.empty());
  const std::vector<Gpu> now = *driver.List();
  EXPECT_TRUE(Differences(now, *wanted)->empty());
  const ConfigFile exported = *ParseConfigFile(ToYaml(*ExportConfig(now, name)), "exported");
  EXPECT_TRUE(Differences(now, *Resolve(exported.configs[0].second, now))->empty());
  EXPECT_EQ(nvml_sim::Illegal(*machine), nullptr);
}

// Whether the configuration has what the model has: profiles by name, or nothing but the mode.
bool Meant(const Config& config, const GpuModel& model) {
  const auto machine = NewMachine("8x" + std::string(model.alias));
  return Resolve(config, *MachineDriver(*machine).List()).ok();
}

// Other people's files, from a folder that TEPAL_MIG_PARTED_CONFIGS names.
TEST(PublishedConfigurations, ApplyOnTheGpusTheyAreMeantFor) {
  const char* const folder = std::getenv("TEPAL_MIG_PARTED_CONFIGS");
  if (folder == nullptr) GTEST_SKIP() << "TEPAL_MIG_PARTED_CONFIGS is not set";
  int names = 0, applied = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    if (text.str().find("\nhooks:") != std::string::npos) {
      EXPECT_TRUE(ParseHooksFile(text.str(), entry.path()).ok());
      continue;
    }
    const auto file = ParseConfigFile(text.str(), entry.path());
    ASSERT_TRUE(file.ok()) << file.status().message();
    for (const auto& [name, config] : file->configs) {
      int on = 0;
      for (const GpuModel& model : GpuModels()) {
        if (!Meant(config, model)) continue;
        ExpectApplies(name, config, model);
        ++on;
      }
      EXPECT_GT(on, 0) << name << " applies on no GPU";
      // A model that a filter names must be among them.
      for (const ConfigEntry& each : config) {
        for (const DeviceFilter& filter : each.filters) {
          for (const GpuModel& model : GpuModels()) {
            const bool other_names = model.alias == "GB200-189";
            if (model.pci_device_id != filter.device || other_names) continue;
            EXPECT_TRUE(Meant(config, model)) << name << " on " << model.alias;
          }
        }
      }
      ++names;
      applied += on;
    }
  }
  EXPECT_GT(names, 0);
  std::printf("%d named configurations, %d applied in all\n", names, applied);
}

}  // namespace
}  // namespace tepal::mig
