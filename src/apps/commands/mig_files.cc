// tepal mig export, checkpoint, generate-config: files from the GPUs that are there.

#include <cstdio>

#include "apps/commands/mig.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "partitioning/mig/checkpoint.h"
#include "partitioning/mig/export.h"

namespace tepal::commands {
namespace {

enum class Format { kYaml, kJson };

void AddFormatFlag(options::FlagSet& set, Format* format, std::string help) {
  set.Add("output-format",
          {.placeholder = "yaml|json",
           .default_text = "yaml",
           .read = [format](std::string_view text) -> Status {
             if (text != "yaml" && text != "json") return InvalidArgument("expected yaml or json");
             *format = text == "yaml" ? Format::kYaml : Format::kJson;
             return {};
           }},
          std::move(help));
}

std::string Written(const mig::ConfigFile& file, Format format) {
  return format == Format::kYaml ? mig::ToYaml(file) : mig::ToJson(file);
}

Result<std::vector<mig::Gpu>> ListGpus() {
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  return driver->List();
}

Status WriteTo(const std::string& path, const std::string& text) {
  if (!path.empty()) return runtime::SystemFileSystem().Replace(path, text);
  std::fputs(text.c_str(), stdout);
  return {};
}

Status Export(const std::string& label, Format format) {
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, ListGpus());
  ASSIGN_OR_RETURN(const mig::ConfigFile file, mig::ExportConfig(gpus, label));
  return WriteTo("", Written(file, format));
}

Status Generate(const std::string& path, Format format) {
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, ListGpus());
  ASSIGN_OR_RETURN(const mig::ConfigFile file, mig::GenerateConfig(gpus));
  return WriteTo(path, Written(file, format));
}

Status Checkpoint(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<mig::Gpu> gpus, ListGpus());
  for (const mig::Gpu& gpu : gpus) {
    if (!gpu.problem.empty()) return Unavailable(Concat("GPU ", gpu.index, ": ", gpu.problem));
    if (gpu.mig_enabled && !gpu.placements_known) {
      return {StatusCode::kPermissionDenied, "only root may know where instances lie"};
    }
  }
  return WriteTo(path, mig::ToCheckpoint(gpus));
}

}  // namespace

int RunMigExport(Arguments words) {
  std::string label = "current";
  Format format = Format::kYaml;
  bool debug = false;
  options::FlagSet set("tepal mig export [FLAGS]",
                       "Prints what there is as a configuration file that apply takes.");
  AddFormatFlag(set, &format, "-o. yaml or json.");
  set.Add("config-label", &label, "-l. The configuration's name in the file.");
  set.Add("debug", &debug, "-d. Changes nothing here.");
  set.Example("tepal mig export > now.yaml", "what there is, into a file");
  if (const auto code = ParseMigFlags(set, words,
                                      {{'o', "output-format", "MIG_PARTED_OUTPUT_FORMAT"},
                                       {'l', "config-label", "MIG_PARTED_CONFIG_LABEL"},
                                       {'d', "debug", "MIG_PARTED_DEBUG", true}})) {
    return *code;
  }
  const Status status = Export(label, format);
  return status.ok() ? kExitDone : Explain("export", status);
}

int RunMigGenerateConfig(Arguments words) {
  std::string path, label;
  Format format = Format::kYaml;
  bool debug = false;
  options::FlagSet set("tepal mig generate-config [FLAGS]",
                       "Writes a configuration file for the GPUs that are here: all-disabled, "
                       "all-enabled, all-balanced, and all-<profile> with as many as fit.");
  set.Add("output-file", &path, "-o. Where to; empty: the standard output.");
  AddFormatFlag(set, &format, "-f. yaml or json.");
  set.Add("config-label", &label, "-l. Read and not used, as by nvidia-mig-parted.");
  set.Add("debug", &debug, "-d. Changes nothing here.");
  set.Example("tepal mig generate-config -o config.yaml", "a file to start from");
  if (const auto code = ParseMigFlags(set, words,
                                      {{'o', "output-file", "MIG_PARTED_OUTPUT_FILE"},
                                       {'f', "output-format", "MIG_PARTED_OUTPUT_FORMAT"},
                                       {'l', "config-label", "MIG_PARTED_CONFIG_LABEL"},
                                       {'d', "debug", "MIG_PARTED_DEBUG", true}})) {
    return *code;
  }
  const Status status = Generate(path, format);
  return status.ok() ? kExitDone : Explain("generate-config", status);
}

int RunMigCheckpoint(Arguments words) {
  std::string path;
  bool debug = false;
  options::FlagSet set("tepal mig checkpoint -f FILE",
                       "Writes the MIG state of every GPU, with exact placements, in "
                       "nvidia-mig-parted's format; `tepal mig restore` brings it back.");
  set.Add("checkpoint-file", &path, "-f. Where to.");
  set.Add("debug", &debug, "-d. Changes nothing here.");
  set.Example("tepal mig checkpoint -f before.json", "what there is now");
  if (const auto code = ParseMigFlags(set, words,
                                      {{'f', "checkpoint-file", "MIG_PARTED_CHECKPOINT_FILE"},
                                       {'d', "debug", "MIG_PARTED_DEBUG", true}})) {
    return *code;
  }
  if (path.empty())
    return Explain("checkpoint", InvalidArgument("expected --checkpoint-file FILE"));
  const Status status = Checkpoint(path);
  if (!status.ok()) return Explain("checkpoint", status);
  std::puts("MIG configuration checkpointed successfully");
  return kExitDone;
}

}  // namespace tepal::commands
