// tepal mig assert, plan, list: nothing is changed.

#include <cstdio>

#include "apps/commands/mig.h"
#include "core/base/text.h"
#include "partitioning/mig/report.h"

namespace tepal::commands {
namespace {

struct ShowFlags {
  std::string file;
  std::string config;
  std::string state_path;
  bool mode_only = false;
  bool valid_config = false;
  bool profiles = false;
  bool json = false;
  bool debug = false;
};

const std::vector<MigAlias> kAliases = {
    {'f', "config-file", "MIG_PARTED_CONFIG_FILE"},
    {'c', "selected-config", "MIG_PARTED_SELECTED_CONFIG"},
    {'m', "mode-only", "MIG_PARTED_MODE_CHANGE_ONLY", true},
    {'d', "debug", "MIG_PARTED_DEBUG", true},
    {'\0', "state-file", "TEPAL_MIG_STATE_FILE"},
};

void AddConfigFlags(options::FlagSet& set, ShowFlags& flags) {
  set.Add("config-file", &flags.file, "-f. nvidia-mig-parted's file, v1; - is the standard input.");
  set.Add("selected-config", &flags.config,
          "-c. The configuration; may be left out if it is alone.");
  set.Add("mode-only", &flags.mode_only, "-m. MIG mode alone.");
  set.Add("debug", &flags.debug, "-d. Says more.");
}

Result<mig::Config> ChosenConfig(const ShowFlags& flags) {
  if (flags.file.empty()) return InvalidArgument("expected --config-file FILE");
  ASSIGN_OR_RETURN(const mig::ConfigFile file, ReadConfigFile(flags.file));
  return mig::SelectConfig(file, flags.config);
}

// Whether all GPUs are meant by the configuration and as it wants them.
Result<bool> IsApplied(const ShowFlags& flags, const mig::Config& config) {
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, driver->List());
  ASSIGN_OR_RETURN(const mig::Wanted wanted, mig::Resolve(config, gpus));
  ASSIGN_OR_RETURN(std::vector<std::string> differences,
                   mig::Differences(gpus, wanted, flags.mode_only));
  for (const mig::Gpu& gpu : gpus) {
    if (!wanted.contains(gpu.index)) {
      differences.push_back(Concat("GPU ", gpu.index, ": the configuration does not mean it"));
    }
  }
  for (const std::string& difference : differences) {
    if (flags.debug) std::fprintf(stderr, "%s\n", difference.c_str());
  }
  return differences.empty();
}

int Assert(const ShowFlags& flags) {
  const Result<mig::Config> config = ChosenConfig(flags);
  if (!config.ok()) return Explain("assert", config.status());
  if (flags.valid_config) {
    std::puts("Selected MIG configuration is valid");
    return kExitDone;
  }
  const Result<bool> applied = IsApplied(flags, *config);
  if (!applied.ok()) return Explain("assert", applied.status());
  if (!*applied) {
    return Explain("assert", FailedPrecondition(
                                 "the selected configuration is not applied (--debug says what is "
                                 "missing)"));
  }
  std::puts(flags.mode_only ? "Selected MIG mode settings from configuration currently applied"
                            : "Selected MIG configuration currently applied");
  return kExitDone;
}

// From the file, or what the last apply wanted.
Result<mig::Wanted> PlannedGoal(const ShowFlags& flags, const std::vector<mig::Gpu>& gpus) {
  if (!flags.file.empty()) {
    ASSIGN_OR_RETURN(const mig::Config config, ChosenConfig(flags));
    return mig::Resolve(config, gpus);
  }
  ASSIGN_OR_RETURN(const auto state, ReadState(flags.state_path));
  if (!state) {
    return InvalidArgument(
        "expected --config-file FILE: there is no earlier apply to compare with");
  }
  return mig::ParseWanted(state->wanted, gpus);
}

Result<bool> PrintPlan(const ShowFlags& flags) {
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, driver->List());
  ASSIGN_OR_RETURN(const mig::Wanted wanted, PlannedGoal(flags, gpus));
  mig::ApplyOptions options;
  options.mode_only = flags.mode_only;
  mig::Plans plans;
  bool blocked = false;
  for (const mig::Gpu& gpu : gpus) {
    const auto want = wanted.find(gpu.index);
    if (want == wanted.end()) continue;
    ASSIGN_OR_RETURN(plans[gpu.index], mig::PlanGpu(gpu, want->second, options));
    blocked |= plans[gpu.index].blocked();
  }
  const std::string text = flags.json ? mig::PlanJson(gpus, plans) : mig::PlanText(gpus, plans);
  std::fputs(text.c_str(), stdout);
  return !blocked;
}

// How what is there differs from what the last apply wanted.
void PrintDrift(const ShowFlags& flags, const std::vector<mig::Gpu>& gpus) {
  const auto state = ReadState(flags.state_path);
  if (!state.ok() || !*state) return;
  const mig::StateFile& last = **state;
  const auto wanted = mig::ParseWanted(last.wanted, gpus);
  const auto differences = wanted.ok() ? mig::Differences(gpus, *wanted)
                                       : Result<std::vector<std::string>>(wanted.status());
  if (!differences.ok()) {
    std::printf("\nlast apply: %s; not to be compared: %s\n", last.config.c_str(),
                differences.status().message().c_str());
    return;
  }
  std::printf("\nlast apply: %s, %s; %s\n", last.config.c_str(),
              last.finished ? "finished" : "not finished",
              differences->empty() ? "the GPUs are as it wanted"
                                   : "the GPUs are not as it wanted. `tepal mig apply` would:");
  for (const std::string& difference : *differences) std::printf("  %s\n", difference.c_str());
}

Status List(const ShowFlags& flags) {
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, driver->List());
  if (flags.json) {
    std::fputs(mig::ListJson(gpus).c_str(), stdout);
    return {};
  }
  const std::string text = flags.profiles ? mig::ProfilesText(gpus) : mig::ListText(gpus);
  std::printf("driver %s\n%s", driver->Version().c_str(), text.c_str());
  if (!flags.profiles) PrintDrift(flags, gpus);
  return {};
}

}  // namespace

int RunMigAssert(Arguments words) {
  ShowFlags flags;
  options::FlagSet set("tepal mig assert -f FILE [-c NAME] [FLAGS]",
                       "Says whether a configuration is applied: exit code 0 if so, 1 if not.");
  AddConfigFlags(set, flags);
  set.Add("valid-config", &flags.valid_config, "-a. Only whether the file is right and has it.");
  set.Example("tepal mig assert -f config.yaml -c all-balanced", "is it so?");
  std::vector<MigAlias> aliases = kAliases;
  aliases.pop_back();  // Nothing is remembered here.
  aliases.push_back({'a', "valid-config", "MIG_PARTED_VALID_CONFIG", true});
  if (const auto code = ParseMigFlags(set, words, aliases)) return *code;
  return Assert(flags);
}

int RunMigPlan(Arguments words) {
  ShowFlags flags;
  options::FlagSet set(
      "tepal mig plan [-f FILE] [-c NAME] [FLAGS]",
      "Prints the steps that apply would do, what each disturbs and what stays. "
      "Without a file: what is missing of the last apply. Exit code 1 when a GPU is "
      "blocked.");
  AddConfigFlags(set, flags);
  set.Add("json", &flags.json, "For a script.");
  AddStateFlag(set, &flags.state_path);
  set.Example("tepal mig plan -f config.yaml -c all-balanced", "a dry run");
  if (const auto code = ParseMigFlags(set, words, kAliases)) return *code;
  const Result<bool> clear = PrintPlan(flags);
  if (!clear.ok()) return Explain("plan", clear.status());
  return *clear ? kExitDone : kExitFailed;
}

int RunMigList(Arguments words) {
  ShowFlags flags;
  options::FlagSet set(
      "tepal mig list [FLAGS]",
      "Prints the GPUs, their MIG devices, who holds them and what still fits; and "
      "how that differs from what the last apply wanted.");
  set.Add("profiles", &flags.profiles, "What the GPUs can be cut into instead.");
  set.Add("json", &flags.json, "For a script.");
  set.Add("debug", &flags.debug, "-d. Changes nothing here.");
  AddStateFlag(set, &flags.state_path);
  set.Example("tepal mig list", "what there is");
  if (const auto code = ParseMigFlags(set, words,
                                      {{'d', "debug", "MIG_PARTED_DEBUG", true},
                                       {'\0', "state-file", "TEPAL_MIG_STATE_FILE"}})) {
    return *code;
  }
  const Status status = List(flags);
  return status.ok() ? kExitDone : Explain("list", status);
}

}  // namespace tepal::commands
