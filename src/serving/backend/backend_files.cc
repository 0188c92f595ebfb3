#include "serving/backend/backend_files.h"

#include <string_view>

#include "core/base/text.h"

namespace tepal {
namespace {

bool IsPathPart(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

// A backend in Python is a model.py that Triton's python backend runs.
constexpr std::string_view kPythonRuntime = "model.py";

Status CheckNames(const BackendFileQuery& query) {
  if (!IsPathPart(query.backend)) {
    return InvalidArgument(Concat("'", query.backend, "' is not a name of a backend"));
  }
  if (query.runtime == kPythonRuntime) {
    return Unimplemented(Concat("runtime 'model.py' of backend '", query.backend,
                                "': backends written in Python are not supported; name a shared "
                                "library, as libtriton_",
                                query.backend, ".so, or use the backend 'python'"));
  }
  if (!query.runtime.empty() && !IsPathPart(query.runtime)) {
    return InvalidArgument(Concat("runtime '", query.runtime, "' of backend '", query.backend,
                                  "' must be the name of a file, without a folder"));
  }
  if (!query.version.empty() && !IsPathPart(query.version)) {
    return InvalidArgument(Concat("setting 'version' of backend '", query.backend,
                                  "' must be the name of a folder, got '", query.version, "'"));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> BackendFiles(const BackendFileQuery& query) {
  RETURN_IF_ERROR(CheckNames(query));
  const std::string& name = query.backend;
  const std::string file =
      query.runtime.empty() ? Concat("libtriton_", name, ".so") : query.runtime;
  std::vector<std::string> files;
  for (const std::string& directory : query.model_directories) {
    files.push_back(Concat(directory, "/", file));
  }
  for (const std::string& directory : query.backend_directories) {
    if (query.version.empty()) {
      files.push_back(Concat(directory, "/", name, "/", file));
      files.push_back(Concat(directory, "/", file));
      continue;
    }
    const std::string numbered = name + query.version;
    files.push_back(Concat(directory, "/", name, "/", query.version, "/", file));
    files.push_back(
        Concat(directory, "/", numbered, "/",
               query.runtime.empty() ? Concat("libtriton_", numbered, ".so") : query.runtime));
  }
  return files;
}

}  // namespace tepal
