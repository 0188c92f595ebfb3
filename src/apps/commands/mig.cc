// tepal mig: one word chooses the subcommand.

#include "apps/commands/mig.h"

#include <cstdio>

#include "core/base/text.h"

namespace tepal::commands {
namespace {

struct Verb {
  std::string_view name;
  int (*run)(Arguments);
  const char* does;
};

constexpr Verb kVerbs[] = {
    {"apply", RunMigApply, "bring the GPUs to a configuration, or the last one again"},
    {"assert", RunMigAssert, "is a configuration applied? Exit code 0 if so, 1 if not"},
    {"plan", RunMigPlan, "the steps that apply would do, and what each disturbs"},
    {"advise", RunMigAdvise, "the partitioning that serves measured models with the fewest GPUs"},
    {"list", RunMigList, "GPUs, MIG devices and who holds them"},
    {"export", RunMigExport, "what there is, as a configuration file"},
    {"checkpoint", RunMigCheckpoint, "what there is, with exact placements, into a file"},
    {"restore", RunMigRestore, "back to a checkpoint, or to what was before the last apply"},
    {"generate-config", RunMigGenerateConfig, "a configuration file for the GPUs that are here"},
    {"agent", RunMigAgent, "on a Kubernetes node: follow its label; offer its GPUs"},
};

void PrintUsage(std::FILE* out) {
  std::fputs("Usage: tepal mig [-d] SUBCOMMAND [FLAGS]\n\n", out);
  for (const Verb& verb : kVerbs) std::fprintf(out, "  %-17s%s\n", verb.name.data(), verb.does);
  std::fputs(
      "\nTakes the files, flags and MIG_PARTED_* variables of nvidia-mig-parted, and is it when\n"
      "called by that name. `tepal mig SUBCOMMAND --help` lists the flags, with examples.\n",
      out);
}

bool IsDebug(std::string_view word) { return word == "-d" || word == "--debug"; }

}  // namespace

int RunMig(Arguments arguments) {
  std::vector<std::string_view> words(arguments.begin(), arguments.end());
  // -d stands before the subcommand there; every subcommand knows it here.
  const bool debug = !words.empty() && IsDebug(words[0]);
  if (debug) words.erase(words.begin());
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    PrintUsage(words.empty() ? stderr : stdout);
    return words.empty() ? kExitWrong : kExitDone;
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name != words[0]) continue;
    words.erase(words.begin());
    if (debug) words.emplace_back("--debug");
    return verb.run(words);
  }
  std::fprintf(stderr, "tepal mig: unknown subcommand '%.*s'\n\n",
               static_cast<int>(words[0].size()), words[0].data());
  PrintUsage(stderr);
  return kExitWrong;
}

}  // namespace tepal::commands
