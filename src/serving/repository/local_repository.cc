#include "serving/repository/local_repository.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "core/base/text.h"
#include "serving/repository/fingerprint.h"

namespace tepal {
namespace {

constexpr std::string_view kConfigFile = "config.pbtxt";
constexpr uint64_t kLabelBytesMax = 64 << 20;

std::string Join(std::string_view directory, std::string_view name) {
  return Concat(directory, directory.ends_with('/') ? "" : "/", name);
}

// Whether the name can only be an entry of the directory it is looked up in.
bool IsEntryName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\0') == name.npos;
}

bool Contains(const std::vector<env::FileSystem::Entry>& entries, std::string_view name) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const auto& entry) { return entry.name == name; });
}

// "1\n2\n" and "1\n2" are two lines; a carriage return at the end is not part of one.
std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

class LocalRepository final : public ModelRepository {
 public:
  LocalRepository(LocalRepositoryOptions options, env::FileSystem& files)
      : options_(std::move(options)), files_(files) {
    // A path given twice would make every model of it appear twice.
    std::vector<std::string> unique;
    for (std::string& path : options_.paths) {
      if (std::find(unique.begin(), unique.end(), path) == unique.end()) {
        unique.push_back(std::move(path));
      }
    }
    options_.paths = std::move(unique);
  }

  Result<std::vector<ListedModel>> List() override {
    std::map<std::string, std::vector<std::string>> directories;  // By model.
    for (const std::string& path : options_.paths) {
      auto entries = files_.List(path).WithContext(Concat("model repository ", path));
      if (!entries.ok()) return entries.status();
      for (const auto& entry : *entries) {
        if (!entry.is_directory || entry.name.starts_with('.')) continue;
        directories[entry.name].push_back(Join(path, entry.name));
      }
    }
    std::vector<ListedModel> models;
    models.reserve(directories.size());
    for (const auto& [name, found] : directories) models.push_back(ListOne(name, found));
    return models;
  }

  Result<OpenedModel> Open(std::string_view name) override {
    ASSIGN_OR_RETURN(const std::string directory, Find(name));
    return OpenDirectory(name, directory);
  }

  Result<OpenedModel> OpenFiles(std::string_view name,
                                const std::map<std::string, std::string>& files) override {
    if (options_.staging_directory.empty()) {
      return Unimplemented("this server takes no files of models");
    }
    if (!IsEntryName(name)) return InvalidArgument(Concat("'", name, "' is no model's name"));
    const std::string directory =
        Join(options_.staging_directory, Concat(name, ".", ++directories_staged_));
    ASSIGN_OR_RETURN(auto staged, StagedFiles::Write(files_, directory, files));
    Result<OpenedModel> model = OpenDirectory(name, directory);
    if (model.ok()) model->staged = std::move(staged);
    return model;
  }

  Result<std::vector<std::string>> ReadLabels(const OpenedModel& model,
                                              const std::string& label_filename) override {
    if (!StaysInside(label_filename)) {
      return InvalidArgument(Concat("label_filename '", label_filename, "' of model '", model.name,
                                    "' is not a path inside the model's directory"));
    }
    ASSIGN_OR_RETURN(const std::string text,
                     files_.Read(Join(model.directory, label_filename), kLabelBytesMax)
                         .WithContext(Concat("labels of model '", model.name, "'")));
    return Lines(text);
  }

 private:
  Status NotUnique(std::string_view name, const std::vector<std::string>& directories) const {
    std::string places;
    for (const std::string& directory : directories) {
      places += Concat(places.empty() ? "" : " and ", directory);
    }
    return InvalidArgument(Concat(
        "model '", name, "' is not unique across all model repositories: it is in ", places));
  }

  ListedModel ListOne(const std::string& name, const std::vector<std::string>& directories) {
    ListedModel model;
    model.name = name;
    model.directory = directories.front();
    if (directories.size() > 1) {
      model.error = NotUnique(name, directories);
      return model;
    }
    const auto entries = files_.List(model.directory);
    if (!entries.ok()) {
      model.error = entries.status();
      return model;
    }
    model.versions = VersionsOf(*entries);
    const bool has_config = !ConfigFile(*entries).empty();
    if (!has_config && options_.config_required) {
      model.error = NoConfig(model.directory);
    } else if (!has_config && model.versions.empty()) {
      model.error = InvalidArgument(
          Concat(model.directory, " has neither ", kConfigFile, " nor a version directory"));
    }
    Result<uint64_t> fingerprint = Fingerprint(files_, model.directory);
    if (fingerprint.ok()) {
      model.fingerprint = *fingerprint;
    } else if (model.error.ok()) {
      model.error = fingerprint.status();
    }
    return model;
  }

  // The directory of a model by name, in whichever repository it is.
  Result<std::string> Find(std::string_view name) {
    std::vector<std::string> directories;
    if (IsEntryName(name)) {
      for (const std::string& path : options_.paths) {
        std::string directory = Join(path, name);
        const auto facts = files_.Stat(directory);
        if (facts.ok() && facts->is_directory) {
          directories.push_back(std::move(directory));
        } else if (!facts.ok() && facts.status().code() != StatusCode::kNotFound) {
          return facts.status();
        }
      }
    }
    if (directories.empty()) {
      return NotFound(Concat("model '", name, "' is not in any model repository"));
    }
    if (directories.size() > 1) return NotUnique(name, directories);
    return directories.front();
  }

  static std::vector<int64_t> VersionsOf(const std::vector<env::FileSystem::Entry>& entries) {
    std::vector<int64_t> versions;
    for (const auto& entry : entries) {
      const auto version = ParseVersion(entry.name);
      if (entry.is_directory && version) versions.push_back(*version);
    }
    std::sort(versions.begin(), versions.end());
    return versions;
  }

  // Relative to the model's directory; empty when there is none. The one in configs/ is only named
  // here: ReadConfig finds out whether it is there.
  std::string ConfigFile(const std::vector<env::FileSystem::Entry>& entries) const {
    if (!options_.config_name.empty() && Contains(entries, "configs")) return NamedConfig();
    return Contains(entries, kConfigFile) ? std::string(kConfigFile) : std::string();
  }

  std::string NamedConfig() const { return Concat("configs/", options_.config_name, ".pbtxt"); }

  Status ReadConfig(const std::vector<env::FileSystem::Entry>& entries, OpenedModel& model) {
    std::string file = ConfigFile(entries);
    if (file.empty()) return options_.config_required ? NoConfig(model.directory) : Status();
    auto text = files_.Read(Join(model.directory, file), kConfigBytesMax);
    if (file != kConfigFile && !text.ok() && text.status().code() == StatusCode::kNotFound) {
      if (!Contains(entries, kConfigFile)) {
        return options_.config_required ? NoConfig(model.directory) : Status();
      }
      file = kConfigFile;
      text = files_.Read(Join(model.directory, file), kConfigBytesMax);
    }
    if (!text.ok()) return text.status();
    ASSIGN_OR_RETURN(model.draft, ParseConfigText(*text, file));
    model.has_config = true;
    return {};
  }

  static Status NoConfig(const std::string& directory) {
    return InvalidArgument(Concat(directory, " has no ", kConfigFile,
                                  ", which --disable-auto-complete-config requires"));
  }

  Result<OpenedModel> OpenDirectory(std::string_view name, const std::string& directory) {
    OpenedModel model;
    model.name = std::string(name);
    model.directory = directory;
    ASSIGN_OR_RETURN(const auto entries, files_.List(directory));
    model.versions = VersionsOf(entries);
    RETURN_IF_ERROR(ReadConfig(entries, model));
    if (!model.versions.empty()) {
      ASSIGN_OR_RETURN(const auto files, files_.List(model.VersionDirectory(model.versions[0])));
      for (const auto& file : files) model.version_files.push_back(file.name);
    }
    return model;
  }

  std::atomic<uint64_t> directories_staged_{0};
  LocalRepositoryOptions options_;
  env::FileSystem& files_;
};

}  // namespace

std::string OpenedModel::VersionDirectory(int64_t version) const {
  return Join(directory, Concat(version));
}

std::optional<int64_t> ParseVersion(std::string_view directory_name) {
  if (directory_name.starts_with('0') || directory_name.starts_with('-')) return std::nullopt;
  return ParseNumber<int64_t>(directory_name);
}

std::unique_ptr<ModelRepository> NewLocalRepository(LocalRepositoryOptions options,
                                                    env::FileSystem& files) {
  return std::make_unique<LocalRepository>(std::move(options), files);
}

}  // namespace tepal
