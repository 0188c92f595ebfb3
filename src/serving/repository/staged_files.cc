#include "serving/repository/staged_files.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal {

bool StaysInside(std::string_view relative_path) {
  const auto parts = Split(relative_path, '/');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && part != "." && part != ".." && part.find('\0') == part.npos;
  });
}

Status StagedFiles::MakeDirectory(const std::string& path) {
  if (std::find(made_.begin(), made_.end(), path) != made_.end()) return {};
  RETURN_IF_ERROR(file_system_.MakeDirectories(path));
  made_.push_back(path);
  return {};
}

Result<std::shared_ptr<const StagedFiles>> StagedFiles::Write(
    env::FileSystem& file_system, const std::string& directory,
    const std::map<std::string, std::string>& files) {
  for (const auto& [path, bytes] : files) {
    if (StaysInside(path)) continue;
    return InvalidArgument(
        Concat("file '", path, "': expected a path inside the model's directory, as 1/model.onnx"));
  }
  const std::shared_ptr<StagedFiles> staged(new StagedFiles(file_system));
  RETURN_IF_ERROR(staged->MakeDirectory(directory));
  for (const auto& [path, bytes] : files) {
    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      RETURN_IF_ERROR(staged->MakeDirectory(Concat(directory, "/", path.substr(0, slash))));
    }
    const std::string whole = Concat(directory, "/", path);
    RETURN_IF_ERROR(file_system.Replace(whole, bytes));
    staged->made_.push_back(whole);
  }
  return std::shared_ptr<const StagedFiles>(staged);
}

StagedFiles::~StagedFiles() {
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
    (void)file_system_.Remove(*path);  // Nobody is left to be told.
  }
}

}  // namespace tepal
