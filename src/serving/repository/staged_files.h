// The files of a model that a client has sent, as a directory: backends read files.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/env/file_system.h"

namespace tepal {

// Owns the files that it has written; they are removed with it. Immutable.
class StagedFiles {
 public:
  // Writes `files`, each under its path inside `directory`, which is made. kInvalidArgument for a
  // path that would lead out of it. `file_system` outlives what is returned.
  static Result<std::shared_ptr<const StagedFiles>> Write(
      env::FileSystem& file_system, const std::string& directory,
      const std::map<std::string, std::string>& files);
  ~StagedFiles();

 private:
  explicit StagedFiles(env::FileSystem& file_system) : file_system_(file_system) {}
  Status MakeDirectory(const std::string& path);

  env::FileSystem& file_system_;
  std::vector<std::string> made_;  // In order of making.
};

// Whether a path with slashes, none in front, stays in the directory it is looked up in.
bool StaysInside(std::string_view relative_path);

}  // namespace tepal
