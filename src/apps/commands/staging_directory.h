// A temporary directory of this process alone, removed with what is in it. One of a process that
// was killed stays; its name begins with "tepal-".

#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"

namespace tepal::commands {

class StagingDirectory {
 public:
  // Where temporary files go (TMPDIR, else /tmp).
  static Result<std::unique_ptr<StagingDirectory>> Make();
  ~StagingDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit StagingDirectory(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

}  // namespace tepal::commands
