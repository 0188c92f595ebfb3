// Where models come from.
//
// A repository lists models with their versions and opens one of them. It never loads a model,
// keeps no model state and starts no thread: which versions should serve is decided in lifecycle,
// and loading is done there. It does not complete or check a configuration either: it reads it.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "serving/model_config/parse.h"
#include "serving/repository/staged_files.h"

namespace tepal {

// A model directory as it was found. One that cannot be served is listed too, with the reason in
// `error`: a half-written model must neither hide the others nor look like a deletion.
struct ListedModel {
  std::string name;
  std::string directory;
  std::vector<int64_t> versions;  // Ascending.
  // Changes when a file of the model does: names, sizes and modification times.
  uint64_t fingerprint = 0;
  Status error;
};

// One model's files, read. Immutable once opened.
struct OpenedModel {
  std::string name;
  std::string directory;
  std::vector<int64_t> versions;
  bool has_config = false;  // Whether there was a configuration file.
  ConfigDraft draft;        // What it says, nothing added.
  // What the directory of the lowest version holds, for CompleteBackend.
  std::vector<std::string> version_files;
  // Where the directory is a temporary one: it is there as long as this is.
  std::shared_ptr<const StagedFiles> staged;

  // "<directory>/<version>".
  std::string VersionDirectory(int64_t version) const;
};

// Thread-safe; every call may block.
class ModelRepository {
 public:
  virtual ~ModelRepository() = default;

  // Every model present now, in order of name. An error when a repository itself cannot be read.
  virtual Result<std::vector<ListedModel>> List() = 0;

  // kNotFound when there is no such model; kInvalidArgument when its directory or its configuration
  // is bad, with file, line and column.
  virtual Result<OpenedModel> Open(std::string_view model) = 0;

  // The same for a model of files that a client has sent, each by its path in the model's
  // directory; nothing of the repository is used. kInvalidArgument for a path that leads elsewhere.
  // kUnimplemented where none are taken.
  virtual Result<OpenedModel> OpenFiles(std::string_view /*model*/,
                                        const std::map<std::string, std::string>& /*files*/) {
    return Unimplemented("this server takes no files of models");
  }

  // The lines of a label file of `model`, by class index.
  virtual Result<std::vector<std::string>> ReadLabels(const OpenedModel& model,
                                                      const std::string& label_filename) = 0;
};

}  // namespace tepal
