// Models in directories of the local machine, in Triton's layout:
//
//   <repository>/<model>/config.pbtxt            may be absent when completion is on
//   <repository>/<model>/configs/<name>.pbtxt    wins when --model-config-name=<name> and it is
//   there <repository>/<model>/<version>/model.onnx    version: a positive number without leading
//   zeros
//
// Other entries are left alone. A name in two repositories is an error for that model only.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/env/file_system.h"
#include "serving/repository/model_repository.h"

namespace tepal {

struct LocalRepositoryOptions {
  std::vector<std::string> paths;
  std::string config_name;       // --model-config-name; empty: config.pbtxt.
  bool config_required = false;  // --disable-auto-complete-config.
  // Where files that clients send are kept, of this process alone; empty: none are taken.
  std::string staging_directory{};
};

// `files` must outlive it.
std::unique_ptr<ModelRepository> NewLocalRepository(LocalRepositoryOptions options,
                                                    env::FileSystem& files);

// The version a directory's name stands for; empty for every other name ("01", "v2", "-1").
std::optional<int64_t> ParseVersion(std::string_view directory_name);

}  // namespace tepal
