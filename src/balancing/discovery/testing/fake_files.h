// Files in memory, and an executor that does at once what it is given.

#pragma once

#include <map>
#include <string>

#include "core/env/executor.h"
#include "core/env/file_system.h"

namespace tepal::discovery::testing {

class InlineExecutor final : public env::Executor {
 public:
  void Execute(Function<void()> task) override { task(); }
};

class FakeFiles final : public env::FileSystem {
 public:
  void Write(const std::string& path, std::string text) {
    files_[path] = {std::move(text), WallTime(Duration(++writes_))};
  }

  Result<std::string> Read(const std::string& path, uint64_t) override {
    const auto file = files_.find(path);
    if (file == files_.end()) return NotFound(path);
    return file->second.text;
  }
  Result<Facts> Stat(const std::string& path) override {
    const auto file = files_.find(path);
    if (file == files_.end()) return NotFound(path);
    return Facts{false, file->second.text.size(), file->second.modified};
  }
  Status Remove(const std::string& path) override {
    files_.erase(path);
    return {};
  }
  Result<std::vector<Entry>> List(const std::string&) override { return std::vector<Entry>(); }
  Status Replace(const std::string& path, std::string_view content) override {
    Write(path, std::string(content));
    return {};
  }
  Status MakeDirectories(const std::string&) override { return {}; }

 private:
  struct File {
    std::string text;
    WallTime modified;
  };
  std::map<std::string, File> files_;
  int writes_ = 0;
};

}  // namespace tepal::discovery::testing
