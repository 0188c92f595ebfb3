// tepal mig apply, restore: the GPUs are changed.

#include <cstdio>

#include "apps/commands/mig.h"
#include "apps/commands/run_program.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "partitioning/mig/checkpoint.h"

namespace tepal::commands {
namespace {

struct ApplyFlags {
  std::string file;    // A configuration, or a checkpoint.
  std::string config;  // Its name in the file.
  std::string hooks;
  std::string state_path;
  bool skip_reset = false;
  bool mode_only = false;
  bool debug = false;
};

const std::vector<MigAlias> kApplyAliases = {
    {'f', "config-file", "MIG_PARTED_CONFIG_FILE"},
    {'c', "selected-config", "MIG_PARTED_SELECTED_CONFIG"},
    {'k', "hooks-file", "MIG_PARTED_HOOKS_FILE"},
    {'s', "skip-reset", "MIG_PARTED_SKIP_RESET", true},
    {'m', "mode-only", "MIG_PARTED_MODE_CHANGE_ONLY", true},
    {'d', "debug", "MIG_PARTED_DEBUG", true},
    {'\0', "state-file", "TEPAL_MIG_STATE_FILE"},
};
const std::vector<MigAlias> kRestoreAliases = {
    {'f', "checkpoint-file", "MIG_PARTED_CHECKPOINT_FILE"},
    {'k', "hooks-file", "MIG_PARTED_HOOKS_FILE"},
    {'s', "skip-reset", "MIG_PARTED_SKIP_RESET", true},
    {'m', "mode-only", "MIG_PARTED_MODE_CHANGE_ONLY", true},
    {'d', "debug", "MIG_PARTED_DEBUG", true},
    {'\0', "state-file", "TEPAL_MIG_STATE_FILE"},
};

void AddCommonFlags(options::FlagSet& set, ApplyFlags& flags) {
  set.Add("hooks-file", &flags.hooks, "-k. Programs to run around it (v1).");
  set.Add("mode-only", &flags.mode_only, "-m. Switch MIG mode alone; leave instances as they are.");
  set.Add("skip-reset", &flags.skip_reset, "-s. A mode that needs a reset stays pending.");
  set.Add("debug", &flags.debug, "-d. Show what hooks print.");
  AddStateFlag(set, &flags.state_path);
}

// What is wanted, and what it is called.
struct Goal {
  std::string name;
  mig::Wanted wanted;
};

Status NoFile(std::string_view flag, std::string_view otherwise) {
  return InvalidArgument(Concat("expected --", flag, " FILE: ", otherwise));
}

Result<Goal> ConfigGoal(const ApplyFlags& flags, const std::optional<mig::StateFile>& state,
                        const std::vector<mig::Gpu>& gpus) {
  if (flags.file.empty()) {
    if (!state) return NoFile("config-file", "there is no earlier apply to do again");
    ASSIGN_OR_RETURN(mig::Wanted wanted, mig::ParseWanted(state->wanted, gpus));
    return Goal{state->config, std::move(wanted)};
  }
  ASSIGN_OR_RETURN(const mig::ConfigFile file, ReadConfigFile(flags.file));
  ASSIGN_OR_RETURN(const mig::Config config, mig::SelectConfig(file, flags.config));
  ASSIGN_OR_RETURN(mig::Wanted wanted, mig::Resolve(config, gpus));
  return Goal{flags.config.empty() ? file.configs.front().first : flags.config, std::move(wanted)};
}

Result<Goal> CheckpointGoal(const ApplyFlags& flags, const std::optional<mig::StateFile>& state,
                            const std::vector<mig::Gpu>& gpus) {
  std::string text;
  if (!flags.file.empty()) {
    ASSIGN_OR_RETURN(text, ReadWhole(flags.file));
  } else if (state) {
    text = state->before;
  } else {
    return NoFile("checkpoint-file", "there is no earlier apply to take back");
  }
  ASSIGN_OR_RETURN(mig::Wanted wanted, mig::FromCheckpoint(text, gpus));
  return Goal{"checkpoint", std::move(wanted)};
}

// Hooks, with the flags as variables and nothing else of our environment, as nvidia-mig-parted.
class HookRunner {
 public:
  HookRunner(mig::HooksFile hooks, const ApplyFlags& flags, const std::string& file_variable)
      : hooks_(std::move(hooks)), debug_(flags.debug) {
    const auto word = [](bool value) { return std::string(value ? "true" : "false"); };
    variables_ = {{file_variable, flags.file},
                  {"MIG_PARTED_SELECTED_CONFIG", flags.config},
                  {"MIG_PARTED_HOOKS_FILE", flags.hooks},
                  {"MIG_PARTED_SKIP_RESET", word(flags.skip_reset)},
                  {"MIG_PARTED_MODE_CHANGE_ONLY", word(flags.mode_only)}};
  }

  bool has(mig::HookPoint point) const { return hooks_.contains(point); }

  Status Run(mig::HookPoint point) {
    for (const mig::Hook& hook : hooks_[point]) {
      env::ProcessOptions options;
      options.program = hook.command;
      options.arguments = hook.args;
      options.environment = variables_;
      options.environment.insert(options.environment.end(), hook.envs.begin(), hook.envs.end());
      options.bare_environment = true;
      options.directory = hook.workdir;
      if (!debug_) options.log_path = "/dev/null";
      RETURN_IF_ERROR(RunProgram(std::move(options)));
    }
    return {};
  }

 private:
  mig::HooksFile hooks_;
  const bool debug_;
  std::vector<std::pair<std::string, std::string>> variables_;
};

// Keeps the state file: begun before the first change, finished after the last.
class Journal {
 public:
  Journal(std::string path, std::optional<mig::StateFile> last, const Goal& goal,
          const std::vector<mig::Gpu>& gpus)
      : path_(std::move(path)), last_(std::move(last)) {
    now_.config = goal.name;
    now_.wanted = mig::WantedText(goal.wanted, gpus);
    now_.before = last_ ? last_->before : mig::ToCheckpoint(gpus);
  }

  // What was there before an apply that never finished is still what was before.
  void Begin(const std::vector<mig::Gpu>& before) {
    if (!last_ || last_->finished) now_.before = mig::ToCheckpoint(before);
    Write();
  }
  void Finish() {
    now_.finished = true;
    Write();
  }

 private:
  void Write() {
    if (path_.empty()) return;
    const std::string text = mig::ToText(now_);
    if (last_ && text == mig::ToText(*last_)) return;
    env::FileSystem& files = runtime::SystemFileSystem();
    const Status status = files.Replace(path_, text);
    last_ = now_;
    if (status.ok()) return;
    std::fprintf(stderr, "tepal mig: warning: no memory of this apply: %s\n",
                 status.message().c_str());
    path_.clear();
  }

  std::string path_;
  std::optional<mig::StateFile> last_;
  mig::StateFile now_;
};

Result<mig::HooksFile> ReadHooks(const std::string& path) {
  if (path.empty()) return mig::HooksFile();
  ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
  return mig::ParseHooksFile(text, path);
}

void Tell(int gpu, const mig::Step& step) {
  std::printf("GPU %d: %s\n", gpu, mig::ToString(step).c_str());
  std::fflush(stdout);
}

Result<mig::Applied> Change(const ApplyFlags& flags, bool restore) {
  ASSIGN_OR_RETURN(mig::HooksFile hooks, ReadHooks(flags.hooks));
  ASSIGN_OR_RETURN(const MigLock lock, MigLock::Take(flags.state_path));
  ASSIGN_OR_RETURN(std::optional<mig::StateFile> state, ReadState(flags.state_path));
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, driver->List());
  ASSIGN_OR_RETURN(const Goal goal,
                   restore ? CheckpointGoal(flags, state, gpus) : ConfigGoal(flags, state, gpus));
  ApplyFlags known = flags;
  if (known.config.empty() && !restore) known.config = goal.name;
  HookRunner runner(std::move(hooks), known,
                    restore ? "MIG_PARTED_CHECKPOINT_FILE" : "MIG_PARTED_CONFIG_FILE");
  Journal journal(flags.state_path, std::move(state), goal, gpus);
  mig::ApplyOptions options;
  options.mode_only = flags.mode_only;
  options.skip_reset = flags.skip_reset;
  options.config_hook = runner.has(mig::HookPoint::kPreApplyConfig);
  options.hook = [&](mig::HookPoint point) { return runner.Run(point); };
  options.begin = [&](const std::vector<mig::Gpu>& before) {
    journal.Begin(before);
    return Status();
  };
  options.tell = Tell;
  ASSIGN_OR_RETURN(mig::Applied applied, mig::Apply(*driver, goal.wanted, std::move(options)));
  if (applied.wait_for_reset.empty() && !flags.mode_only) journal.Finish();
  return applied;
}

int RunChange(std::string_view verb, const ApplyFlags& flags, bool restore) {
  const Result<mig::Applied> applied = Change(flags, restore);
  if (!applied.ok()) return Explain(verb, applied.status());
  for (const int gpu : applied->wait_for_reset) {
    std::printf("GPU %d: the MIG mode is set and waits for a reset or a reboot\n", gpu);
  }
  if (!applied->wait_for_reset.empty() && !flags.skip_reset) return kExitWaits;
  if (!applied->wait_for_reset.empty() && !flags.mode_only) return kExitWaits;
  std::printf("MIG configuration %s successfully\n", restore ? "restored" : "applied");
  return kExitDone;
}

}  // namespace

int RunMigApply(Arguments words) {
  ApplyFlags flags;
  options::FlagSet set("tepal mig apply [-f FILE] [-c NAME] [FLAGS]",
                       "Brings the GPUs to a named configuration by the fewest steps, without "
                       "touching any MIG device "
                       "that a process uses, and does nothing when it is so already. Refuses the "
                       "whole, naming who is "
                       "in the way, before anything is changed. Interrupted, it goes on when it is "
                       "run again; without "
                       "a file it does the last apply again, as after a reboot.");
  set.Add("config-file", &flags.file, "-f. nvidia-mig-parted's file, v1; - is the standard input.");
  set.Add("selected-config", &flags.config,
          "-c. The configuration; may be left out if it is alone.");
  AddCommonFlags(set, flags);
  set.Example("tepal mig apply -f config.yaml -c all-1g.5gb", "seven small devices a GPU");
  set.Example("tepal mig apply", "the last configuration again");
  if (const auto code = ParseMigFlags(set, words, kApplyAliases)) return *code;
  return RunChange("apply", flags, false);
}

int RunMigRestore(Arguments words) {
  ApplyFlags flags;
  options::FlagSet set(
      "tepal mig restore [-f FILE] [FLAGS]",
      "Brings the GPUs back to a checkpoint, each instance at its place; without a "
      "file, to what there was before the last apply.");
  set.Add("checkpoint-file", &flags.file, "-f. What `tepal mig checkpoint` wrote.");
  AddCommonFlags(set, flags);
  set.Example("tepal mig restore -f before.json", "back to what the checkpoint holds");
  if (const auto code = ParseMigFlags(set, words, kRestoreAliases)) return *code;
  return RunChange("restore", flags, true);
}

}  // namespace tepal::commands
