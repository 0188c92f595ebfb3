// A file system in memory, for tests: a map from path to content, with failures on demand.
//
// Directories exist where a file lies below them or MakeDirectories was called. One thread.

#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/text.h"
#include "core/env/file_system.h"

namespace tepal::testing {

class InMemoryFiles final : public env::FileSystem {
 public:
  void Put(const std::string& path, std::string_view content) {
    files_[path] = {std::string(content), WallTime(Duration(++writes_))};
    AddParents(path);
  }
  void Touch(const std::string& path) { files_.at(path).modified = WallTime(Duration(++writes_)); }

  // Every call about exactly this path fails with `error`.
  void Break(const std::string& path, Status error) { broken_[path] = std::move(error); }
  void Mend(const std::string& path) { broken_.erase(path); }

  Result<std::string> Read(const std::string& path, uint64_t size_max) override {
    RETURN_IF_ERROR(BrokenAt(path));
    const auto found = files_.find(path);
    if (found == files_.end()) return Missing("reading", path);
    if (found->second.content.size() > size_max) {
      return ResourceExhausted(Concat("reading ", path, ": larger than ", size_max, " bytes"));
    }
    return found->second.content;
  }

  Result<std::vector<Entry>> List(const std::string& directory) override {
    RETURN_IF_ERROR(BrokenAt(directory));
    if (!directories_.contains(directory)) return Missing("listing", directory);
    std::map<std::string, bool> entries;  // Name to whether it is a directory.
    for (const std::string& path : directories_) AddEntry(directory, path, true, entries);
    for (const auto& [path, file] : files_) AddEntry(directory, path, false, entries);
    std::vector<Entry> listed;
    for (const auto& [name, is_directory] : entries) listed.push_back({name, is_directory});
    return listed;
  }

  Result<Facts> Stat(const std::string& path) override {
    RETURN_IF_ERROR(BrokenAt(path));
    if (directories_.contains(path)) {
      Facts facts;
      facts.is_directory = true;
      return facts;
    }
    const auto found = files_.find(path);
    if (found == files_.end()) return Missing("looking at", path);
    Facts facts;
    facts.size = found->second.content.size();
    facts.modified = found->second.modified;
    return facts;
  }

  Status Replace(const std::string& path, std::string_view content) override {
    RETURN_IF_ERROR(BrokenAt(path));
    Put(path, content);
    return {};
  }

  Status MakeDirectories(const std::string& path) override {
    RETURN_IF_ERROR(BrokenAt(path));
    directories_.insert(path);
    AddParents(path);
    return {};
  }

  // With everything below it.
  Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(BrokenAt(path));
    const auto gone = [&](const std::string& other) {
      return other == path || other.starts_with(path + "/");
    };
    const size_t removed = std::erase_if(files_, [&](const auto& f) { return gone(f.first); }) +
                           std::erase_if(directories_, gone);
    return removed > 0 ? Status() : Missing("removing", path);
  }

 private:
  struct File {
    std::string content;
    WallTime modified{};
  };

  static Status Missing(std::string_view doing, const std::string& path) {
    return NotFound(Concat(doing, " ", path, ": No such file or directory"));
  }

  Status BrokenAt(const std::string& path) const {
    const auto found = broken_.find(path);
    return found == broken_.end() ? Status() : found->second;
  }

  void AddParents(const std::string& path) {
    for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      directories_.insert(path.substr(0, slash));
    }
  }

  static void AddEntry(const std::string& directory, const std::string& path, bool is_directory,
                       std::map<std::string, bool>& entries) {
    if (!path.starts_with(directory + "/")) return;
    const std::string name = path.substr(directory.size() + 1);
    if (name.find('/') == std::string::npos) entries[name] = is_directory;
  }

  std::map<std::string, File> files_;
  std::set<std::string> directories_;
  std::map<std::string, Status> broken_;
  int64_t writes_ = 0;
};

}  // namespace tepal::testing
