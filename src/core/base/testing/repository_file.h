// A file of the repository, for tests that hold the code against documentation and examples. Not by
// __FILE__: an object from a compiler cache has the path of the checkout that it was compiled in.

#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tepal {

// Its text, looked for in the folders above the test program; empty when none has it.
inline std::string ReadRepositoryFile(const std::filesystem::path& name) {
  for (auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
       folder.has_relative_path(); folder = folder.parent_path()) {
    if (std::ifstream file(folder / name); file) {
      return {std::istreambuf_iterator<char>(file), {}};
    }
  }
  return {};
}

}  // namespace tepal
