// Where the shared library of a backend may lie, in Triton's layouts. Pure: names in, paths out.

#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"

namespace tepal {

struct BackendFileQuery {
  std::string backend;                         // As `backend` of a configuration says.
  std::string runtime;                         // Its `runtime`: a file name; mostly empty.
  std::string version;                         // The backend's setting `version`; mostly empty.
  std::vector<std::string> model_directories;  // A model may bring its plugin: version, then model.
  std::vector<std::string> backend_directories;
};

// The paths to look at, in order. With a version, of a backend directory only that version counts:
// <directory>/<name>/<version>/ and <directory>/<name><version>/libtriton_<name><version>.so.
// The error says which name cannot be part of a path.
Result<std::vector<std::string>> BackendFiles(const BackendFileQuery& query);

}  // namespace tepal
