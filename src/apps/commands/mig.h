// What the subcommands of `tepal mig` share: their flags as nvidia-mig-parted spells them, the
// driver, files, and the memory of the last apply.
//
// Exit codes: 0 done; 1 it failed, was refused, or (assert) is not so; 2 the command line or a file
// is wrong; 3 done as far as can be, and a GPU waits for a reset or a reboot.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/commands/commands.h"
#include "core/base/result.h"
#include "core/options/flags.h"
#include "partitioning/mig/config.h"
#include "partitioning/mig/state_file.h"

namespace tepal::commands {

inline constexpr int kExitDone = 0, kExitFailed = 1, kExitWrong = 2, kExitWaits = 3;

// A flag's other spellings: one letter, an environment variable that stands for it.
struct MigAlias {
  char letter;
  std::string name;
  std::string variable;  // Empty: none.
  bool boolean = false;
};

// The words with letters spelled out ("-f x", "-ms") and, before them, what the environment says.
std::vector<std::string> SpellOut(Arguments words, const std::vector<MigAlias>& aliases);

// Parses; nothing: go on. An answer is the exit code.
std::optional<int> ParseMigFlags(options::FlagSet& flags, Arguments words,
                                 const std::vector<MigAlias>& aliases);

// The real driver, which resets GPUs by nvidia-smi.
Result<std::unique_ptr<mig::Driver>> OpenDriver();

// A configuration file; "-" is the standard input.
Result<mig::ConfigFile> ReadConfigFile(const std::string& path);
Result<std::string> ReadWhole(const std::string& path);

// The state file at `path`: nothing when there is none.
Result<std::optional<mig::StateFile>> ReadState(const std::string& path);
inline constexpr const char* kDefaultStateFile = "/var/lib/tepal/mig.json";
void AddStateFlag(options::FlagSet& flags, std::string* path);

// Held while the GPUs are being changed, so that two do not at once.
class MigLock {
 public:
  // kUnavailable: another has it. Where no lock file can be made, there is none.
  static Result<MigLock> Take(const std::string& state_path);
  MigLock(MigLock&& other) noexcept;
  ~MigLock();

 private:
  explicit MigLock(int fd) : fd_(fd) {}
  int fd_;
};

// Prints "tepal mig VERB: message" and answers the code: 2 for what was wrong with the input.
int Explain(std::string_view verb, const Status& status);

// The subcommands.
int RunMigApply(Arguments words);
int RunMigRestore(Arguments words);
int RunMigAssert(Arguments words);
int RunMigPlan(Arguments words);
int RunMigAdvise(Arguments words);
int RunMigList(Arguments words);
int RunMigExport(Arguments words);
int RunMigCheckpoint(Arguments words);
int RunMigGenerateConfig(Arguments words);
int RunMigAgent(Arguments words);

}  // namespace tepal::commands
