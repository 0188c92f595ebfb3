// tepal check: faults of files, found before they are applied.

#include <cstdio>
#include <map>

#include "apps/commands/commands.h"
#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/fix_manifests.h"
#include "core/base/text.h"
#include "core/options/flags.h"
#include "core/runtime/runtime.h"

namespace tepal::commands {
namespace {

constexpr int kExitClean = 0, kExitFindings = 1, kExitWrong = 2;
constexpr size_t kFilesMax = 2000;
constexpr int kFolderDepthMax = 8;
constexpr uint64_t kFileBytesMax = options::kYamlBytesMax;

struct ManifestFlags {
  bool json = false;
  bool fix = false;
  std::string out;
  diagnosis::FixOptions options;
};

options::FlagSet Flags(ManifestFlags& flags) {
  options::FlagSet set(
      "tepal check manifests [FLAGS] FILE|FOLDER...",
      "Finds what is wrong with Kubernetes manifests, the rules of prometheus-adapter and "
      "nginx.conf, alone and against each other, and says what to do. Of a folder it takes .yaml, "
      ".yml, .json, .conf, and for commands and file names .md, .txt and .sh. It asks no cluster. "
      "Exit code: 0 when nothing is wrong, 1 when there is an error or a warning, 2 for a wrong "
      "command line or a file that cannot be read.");
  set.Add("json", &flags.json, "One JSON object with every finding.");
  set.Group("Putting it right");
  set.Add("fix", &flags.fix,
          "writes the files as they should be: in place, or below --out; what only a person can "
          "know is said");
  set.Add("out", &flags.out, "the folder that --fix writes all files to, by their names");
  set.Add("image", &flags.options.image, "in place of servers and adapters that cannot be pulled");
  set.Add("prometheus-url", &flags.options.prometheus_url, "where an adapter was given none");
  set.Add("models-claim", &flags.options.models_claim,
          "the PersistentVolumeClaim where a volume does not say where its files are");
  set.Add("models-nfs", &flags.options.models_nfs, "SERVER:/PATH, instead of the claim");
  set.Example("tepal check manifests deploy/", "every file of a folder, and how they fit together");
  set.Example("tepal check manifests --fix --out fixed/ recipe/",
              "the recipe, for a cluster of today");
  set.Example("helm template . | tepal check manifests -", "what a chart is rendered to");
  return set;
}

class InputReader {
 public:
  Result<std::vector<diagnosis::InputFile>> Read(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (path == "-") {
        RETURN_IF_ERROR(ReadStandardInput());
        continue;
      }
      ASSIGN_OR_RETURN(const auto facts, files_.Stat(path));
      RETURN_IF_ERROR(facts.is_directory ? ReadFolder(path, 0) : ReadFile(path));
    }
    return std::move(inputs_);
  }

 private:
  Status ReadFile(const std::string& path) {
    if (inputs_.size() == kFilesMax) {
      return ResourceExhausted(Concat("more than ", kFilesMax, " files"));
    }
    ASSIGN_OR_RETURN(std::string text, files_.Read(path, kFileBytesMax));
    inputs_.push_back({path, std::move(text)});
    return Status();
  }

  Status ReadStandardInput() {
    std::string text;
    char part[65536];
    for (size_t size = 0; (size = std::fread(part, 1, sizeof(part), stdin)) > 0;) {
      text.append(part, size);
      if (text.size() > kFileBytesMax) return ResourceExhausted("-: more than 4 MiB");
    }
    inputs_.push_back({"-", std::move(text)});
    return Status();
  }

  // A chart's templates are no manifests before they are rendered.
  Status ReadFolder(const std::string& folder, int depth) {
    ASSIGN_OR_RETURN(const auto entries, files_.List(folder));
    bool chart = false;
    for (const auto& entry : entries) chart |= entry.name == "Chart.yaml";
    const std::string base = folder.ends_with('/') ? folder : folder + "/";
    for (const auto& entry : entries) {
      if (entry.name.starts_with(".") || (chart && entry.name == "templates")) continue;
      const std::string path = base + entry.name;
      if (entry.is_directory) {
        if (depth < kFolderDepthMax) RETURN_IF_ERROR(ReadFolder(path, depth + 1));
      } else if (diagnosis::IsManifestFile(path) || diagnosis::IsNginxFile(path) ||
                 diagnosis::IsProseFile(path)) {
        RETURN_IF_ERROR(ReadFile(path));
      }
    }
    return Status();
  }

  env::FileSystem& files_ = runtime::SystemFileSystem();
  std::vector<diagnosis::InputFile> inputs_;
};

void Print(const std::vector<diagnosis::Finding>& findings, size_t files, bool json) {
  if (json) {
    std::printf("%s\n", diagnosis::FindingsJson(findings).c_str());
    return;
  }
  for (const diagnosis::Finding& finding : findings) {
    std::fputs(diagnosis::FindingText(finding).c_str(), stdout);
  }
  std::printf("%zu file%s: %s\n", files, files == 1 ? "" : "s",
              diagnosis::CountText(findings).c_str());
}

std::string_view FileName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// All files below `out` by their names, or those that changed in place.
Status WriteFixed(const diagnosis::FixResult& result, const std::string& out) {
  env::FileSystem& files = runtime::SystemFileSystem();
  std::map<std::string, std::string> source_of;
  if (!out.empty()) {
    for (const diagnosis::FixedFile& file : result.files) {
      const auto [first, is_new] = source_of.emplace(FileName(file.path), file.path);
      if (!is_new) {
        return InvalidArgument(Concat("--out: ", first->second, " and ", file.path,
                                      " have one name; give one folder after the other"));
      }
    }
    RETURN_IF_ERROR(files.MakeDirectories(out));
  }
  for (const diagnosis::FixedFile& file : result.files) {
    if (file.path == "-") {
      std::fputs(file.text.c_str(), stdout);
    } else if (!out.empty()) {
      RETURN_IF_ERROR(files.Replace(Concat(out, "/", FileName(file.path)), file.text));
    } else if (file.changed) {
      RETURN_IF_ERROR(files.Replace(file.path, file.text));
    }
  }
  return Status();
}

int Fail(const Status& status) {
  std::fprintf(stderr, "tepal check manifests: %s\n", status.message().c_str());
  return kExitWrong;
}

// Writes, and says what is still at fault in what was written.
int Fix(const std::vector<diagnosis::InputFile>& inputs, const ManifestFlags& flags) {
  const diagnosis::FixResult result = diagnosis::FixManifests(inputs, flags.options);
  if (const Status written = WriteFixed(result, flags.out); !written.ok()) return Fail(written);
  std::vector<diagnosis::InputFile> fixed;
  for (const diagnosis::FixedFile& file : result.files) {
    fixed.push_back({file.path, file.text});
    if (file.changed) {
      std::fprintf(stderr, "%s: %s\n", file.path.c_str(), file.added ? "new" : "changed");
    }
  }
  for (const std::string& remark : result.remarks)
    std::fprintf(stderr, "note: %s\n", remark.c_str());
  const std::vector<diagnosis::Finding> left = diagnosis::CheckManifests(fixed);
  const bool to_standard_output = inputs.size() == 1 && inputs[0].path == "-";
  if (!to_standard_output) Print(left, fixed.size(), flags.json);
  return diagnosis::HasFaults(left) ? kExitFindings : kExitClean;
}

int CheckManifests(Arguments words) {
  ManifestFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> paths;
  if (const auto exit_code = options::ParseOrExplain(set, words, paths)) return *exit_code;
  if (paths.empty()) return Fail(InvalidArgument("expected files or folders"));
  if (!flags.fix && !flags.out.empty()) return Fail(InvalidArgument("--out: expected with --fix"));
  const auto inputs = InputReader().Read(paths);
  if (!inputs.ok()) return Fail(inputs.status());
  if (flags.fix) return Fix(*inputs, flags);
  const std::vector<diagnosis::Finding> findings = diagnosis::CheckManifests(*inputs);
  Print(findings, inputs->size(), flags.json);
  return diagnosis::HasFaults(findings) ? kExitFindings : kExitClean;
}

void PrintUsage(std::FILE* out) {
  std::fputs(
      "Usage: tepal check SUBCOMMAND [FLAGS]\n\n"
      "  manifests   faults of Kubernetes manifests, adapter rules and nginx.conf\n\n"
      "`tepal check SUBCOMMAND --help` lists the flags, with examples.\n",
      out);
}

}  // namespace

int RunCheck(Arguments arguments) {
  if (arguments.empty()) {
    PrintUsage(stderr);
    return kExitWrong;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    PrintUsage(stdout);
    return kExitClean;
  }
  if (arguments[0] == "manifests") return CheckManifests(arguments.subspan(1));
  std::fprintf(stderr, "tepal check: unknown subcommand '%.*s'\n\n",
               static_cast<int>(arguments[0].size()), arguments[0].data());
  PrintUsage(stderr);
  return kExitWrong;
}

}  // namespace tepal::commands
