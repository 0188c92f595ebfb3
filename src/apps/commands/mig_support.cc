#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "apps/commands/mig.h"
#include "apps/commands/run_program.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "partitioning/mig/nvml_driver.h"

namespace tepal::commands {
namespace {

constexpr size_t kFileBytesMax = 4 << 20;

const MigAlias* Find(const std::vector<MigAlias>& aliases, char letter) {
  const auto found = std::find_if(aliases.begin(), aliases.end(),
                                  [&](const MigAlias& alias) { return alias.letter == letter; });
  return found == aliases.end() ? nullptr : &*found;
}

// "-f", "-f=x" and "-ms"; a word that is none of these stays.
void SpellOutWord(std::string_view word, const std::vector<MigAlias>& aliases,
                  std::vector<std::string>& out) {
  const bool letters = word.size() >= 2 && word[0] == '-' && word[1] != '-';
  if (!letters) {
    out.emplace_back(word);
    return;
  }
  const size_t equals = std::min(word.find('='), word.size());
  const std::string_view names = word.substr(1, equals - 1);
  for (const MigAlias& alias : aliases) {
    if (alias.name != names) continue;  // Go's flags may have one dash.
    out.push_back(Concat("-", word));
    return;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const MigAlias* const alias = Find(aliases, names[i]);
    if (alias == nullptr || (!alias->boolean && i + 1 != names.size())) {
      out.emplace_back(word);
      return;
    }
    out.push_back(Concat("--", alias->name, i + 1 == names.size() ? word.substr(equals) : ""));
  }
}

Status ResetByNvidiaSmi(const std::string& bus_id) {
  env::ProcessOptions options;
  options.program = "nvidia-smi";
  options.arguments = {"--gpu-reset", "-i", bus_id};
  return RunProgram(std::move(options)).WithContext("resetting the GPU");
}

Result<std::string> ReadStandardInput() {
  std::string text;
  char part[4096];
  for (size_t got = 0; (got = std::fread(part, 1, sizeof(part), stdin)) > 0;) {
    text.append(part, got);
    if (text.size() > kFileBytesMax) return ResourceExhausted("the standard input is too long");
  }
  return text;
}

}  // namespace

std::vector<std::string> SpellOut(Arguments words, const std::vector<MigAlias>& aliases) {
  std::vector<std::string> out;
  for (const MigAlias& alias : aliases) {
    const char* const value =
        alias.variable.empty() ? nullptr : std::getenv(alias.variable.c_str());
    if (value != nullptr && *value != '\0') out.push_back(Concat("--", alias.name, "=", value));
  }
  for (const std::string_view word : words) SpellOutWord(word, aliases, out);
  return out;
}

std::optional<int> ParseMigFlags(options::FlagSet& flags, Arguments words,
                                 const std::vector<MigAlias>& aliases) {
  const std::vector<std::string> spelled = SpellOut(words, aliases);
  const std::vector<std::string_view> views(spelled.begin(), spelled.end());
  std::vector<std::string> positional;
  if (const auto code = options::ParseOrExplain(flags, views, positional)) return code;
  if (positional.empty()) return std::nullopt;
  std::fprintf(stderr, "tepal mig: unexpected word '%s'\n", positional.front().c_str());
  return kExitWrong;
}

Result<std::unique_ptr<mig::Driver>> OpenDriver() {
  mig::NvmlOptions options;
  options.reset = ResetByNvidiaSmi;
  return mig::OpenNvmlDriver(std::move(options));
}

Result<std::string> ReadWhole(const std::string& path) {
  return path == "-" ? ReadStandardInput() : runtime::SystemFileSystem().Read(path, kFileBytesMax);
}

Result<mig::ConfigFile> ReadConfigFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
  return mig::ParseConfigFile(text, path == "-" ? "standard input" : path);
}

Result<std::optional<mig::StateFile>> ReadState(const std::string& path) {
  if (path.empty()) return std::optional<mig::StateFile>();
  const Result<std::string> text = runtime::SystemFileSystem().Read(path, kFileBytesMax);
  if (text.status().code() == StatusCode::kNotFound) return std::optional<mig::StateFile>();
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(mig::StateFile state, mig::ParseStateFile(*text).WithContext(path));
  return std::optional(std::move(state));
}

void AddStateFlag(options::FlagSet& flags, std::string* path) {
  *path = kDefaultStateFile;
  flags.Add(
      "state-file", path,
      "What the last apply wanted, how far it came and what was before. Empty: none is kept.");
}

Result<MigLock> MigLock::Take(const std::string& state_path) {
  if (state_path.empty()) return MigLock(-1);
  const std::string path = state_path + ".lock";
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return MigLock(-1);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return MigLock(fd);
  close(fd);
  return Unavailable(Concat("another one is changing the GPUs (", path, " is locked)"));
}

MigLock::MigLock(MigLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
MigLock::~MigLock() {
  if (fd_ >= 0) close(fd_);
}

int Explain(std::string_view verb, const Status& status) {
  std::fprintf(stderr, "tepal mig %.*s: %s\n", static_cast<int>(verb.size()), verb.data(),
               status.message().c_str());
  return status.code() == StatusCode::kInvalidArgument ? kExitWrong : kExitFailed;
}

}  // namespace tepal::commands
