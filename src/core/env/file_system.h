// The seam to files.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal::env {

// Thread-safe; every call may block. Errors name the path.
class FileSystem {
 public:
  struct Entry {
    std::string name;
    bool is_directory = false;
  };
  struct Facts {
    bool is_directory = false;
    uint64_t size = 0;
    WallTime modified{};
  };

  virtual ~FileSystem() = default;

  // kResourceExhausted for a file larger than `size_max`.
  virtual Result<std::string> Read(const std::string& path, uint64_t size_max = 1 << 30) = 0;

  // In order of name; "." and ".." left out; links are followed.
  virtual Result<std::vector<Entry>> List(const std::string& directory) = 0;

  virtual Result<Facts> Stat(const std::string& path) = 0;

  // Writes beside and renames over, so that a reader sees the old file or the new one.
  virtual Status Replace(const std::string& path, std::string_view content) = 0;

  virtual Status MakeDirectories(const std::string& path) = 0;
  virtual Status Remove(const std::string& path) = 0;
};

}  // namespace tepal::env
