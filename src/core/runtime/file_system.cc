#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

constexpr size_t kReadStep = 1 << 20;

Status Failure(int error, std::string_view doing, const std::string& path) {
  return Status::FromErrno(error, Concat(doing, " ", path));
}

Status WriteAll(int file, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failure(errno, "writing", path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// A name's durability is its directory's matter.
void SyncDirectory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const UniqueFd directory(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) fsync(directory.get());
}

class RealFileSystem final : public env::FileSystem {
 public:
  Result<std::string> Read(const std::string& path, uint64_t size_max) override {
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return Failure(errno, "reading", path);
    struct stat facts;
    if (fstat(file.get(), &facts) != 0) return Failure(errno, "reading", path);
    if (S_ISDIR(facts.st_mode)) return Failure(EISDIR, "reading", path);
    // The size is a hint: files of /proc say 0, others may grow.
    const auto hint = static_cast<uint64_t>(facts.st_size);
    if (hint > size_max) return TooLarge(path, size_max);
    std::string content;
    size_t size = 0;
    size_t step = static_cast<size_t>(hint) + 1;
    while (true) {
      content.resize(size + step);
      const ssize_t got = read(file.get(), content.data() + size, step);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Failure(errno, "reading", path);
      size += static_cast<size_t>(got);
      if (size > size_max) return TooLarge(path, size_max);
      if (got == 0) break;
      step = std::max<size_t>(content.size() - size, std::min(kReadStep, size + 4096));
    }
    content.resize(size);
    return content;
  }

  Result<std::vector<Entry>> List(const std::string& directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), &closedir);
    if (stream == nullptr) return Failure(errno, "listing", directory);
    std::vector<Entry> entries;
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream.get());
      if (entry == nullptr && errno != 0) return Failure(errno, "listing", directory);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat facts;
      const bool known = fstatat(dirfd(stream.get()), name.c_str(), &facts, 0) == 0;
      entries.push_back({name, known && S_ISDIR(facts.st_mode)});
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return entries;
  }

  Result<Facts> Stat(const std::string& path) override {
    struct stat facts;
    if (stat(path.c_str(), &facts) != 0) return Failure(errno, "looking at", path);
    const auto since_epoch = std::chrono::seconds(facts.st_mtim.tv_sec) +
                             std::chrono::nanoseconds(facts.st_mtim.tv_nsec);
    return Facts{S_ISDIR(facts.st_mode), static_cast<uint64_t>(facts.st_size),
                 WallTime(since_epoch)};
  }

  Status Replace(const std::string& path, std::string_view content) override {
    const std::string beside =
        Concat(path, ".", static_cast<int64_t>(getpid()), ".", ++replacements_, ".new");
    Status written = WriteFresh(beside, content);
    if (written.ok() && rename(beside.c_str(), path.c_str()) != 0) {
      written = Failure(errno, "replacing", path);
    }
    if (!written.ok()) {
      unlink(beside.c_str());
      return written;
    }
    SyncDirectory(path);
    return {};
  }

  Status MakeDirectories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return Failure(error.value(), "making directory", path);
    return {};
  }

  Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0) return {};
    if (errno != EISDIR && errno != EPERM) return Failure(errno, "removing", path);
    if (rmdir(path.c_str()) == 0) return {};
    return Failure(errno, "removing", path);
  }

 private:
  static Status TooLarge(const std::string& path, uint64_t size_max) {
    return ResourceExhausted(
        Concat("reading ", path, ": the file is larger than the limit of ", size_max, " bytes"));
  }

  static Status WriteFresh(const std::string& path, std::string_view content) {
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.valid()) return Failure(errno, "creating", path);
    RETURN_IF_ERROR(WriteAll(file.get(), content, path));
    if (fsync(file.get()) != 0) return Failure(errno, "writing", path);
    return {};
  }

  std::atomic<uint64_t> replacements_{0};  // So that two threads do not share a name.
};

}  // namespace

env::FileSystem& SystemFileSystem() {
  static RealFileSystem file_system;
  return file_system;
}

}  // namespace tepal::runtime
