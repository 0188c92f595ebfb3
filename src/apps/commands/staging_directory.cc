#include "apps/commands/staging_directory.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/text.h"

namespace tepal::commands {

Result<std::unique_ptr<StagingDirectory>> StagingDirectory::Make() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error)
    return Status::FromErrno(error.value(), "looking for the directory of temporary files");
  std::string path = (parent / "tepal-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    return Status::FromErrno(errno, Concat("making a directory in ", parent.string()));
  }
  return std::unique_ptr<StagingDirectory>(new StagingDirectory(std::move(path)));
}

StagingDirectory::~StagingDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tepal::commands
