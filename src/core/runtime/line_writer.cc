#include "core/runtime/line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/text.h"
#include "core/runtime/unique_fd.h"
#include "core/telemetry/log.h"

namespace tepal::runtime {

namespace {

constexpr std::string_view kStandardOutput = "stdout";

Result<UniqueFd> Open(const std::string& path) {
  const int fd = path == kStandardOutput
                     ? dup(STDOUT_FILENO)
                     : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return InvalidArgument(Concat("opening ", path, ": ", std::strerror(errno)));
  return UniqueFd(fd);
}

class Writer final : public LineWriter {
 public:
  Writer(std::string path, UniqueFd fd, size_t bytes_max)
      : path_(std::move(path)), bytes_max_(bytes_max), fd_(std::move(fd)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Writer() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ends_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  bool Write(std::string line) override {
    bool was_empty;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (waiting_.size() + line.size() > bytes_max_) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
      was_empty = waiting_.empty();
      waiting_ += line;
    }
    if (was_empty) wake_.notify_one();
    return true;
  }

  void Reopen() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      reopens_ = true;
    }
    wake_.notify_one();
  }

  uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

 private:
  void Run() {
    for (;;) {
      std::string lines;
      bool reopens;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return !waiting_.empty() || reopens_ || ends_; });
        if (waiting_.empty() && !reopens_) return;
        lines.swap(waiting_);
        reopens = std::exchange(reopens_, false);
      }
      WriteAll(lines);  // To where they belong: the file as it was when they came.
      if (reopens) OpenAgain();
    }
  }

  void WriteAll(std::string_view rest) {
    while (!rest.empty()) {
      const ssize_t written = write(fd_.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Complain(std::strerror(errno));
      rest.remove_prefix(static_cast<size_t>(written));
      complained_ = false;
    }
  }

  // A full disk does not fill the log, too.
  void Complain(std::string_view why) {
    if (std::exchange(complained_, true)) return;
    telemetry::LogError(Concat("Lines for ", path_, " are lost: ", why));
  }

  void OpenAgain() {
    Result<UniqueFd> fd = Open(path_);
    if (fd.ok()) {
      fd_ = *std::move(fd);
    } else {
      telemetry::LogError(Concat("The old file stays: ", fd.status().message()));
    }
  }

  const std::string path_;
  const size_t bytes_max_;
  UniqueFd fd_;  // The thread's.
  bool complained_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;
  bool reopens_ = false;
  bool ends_ = false;
  std::atomic<uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<LineWriter>> LineWriter::New(const std::string& path, size_t bytes_max) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path));
  return std::unique_ptr<LineWriter>(std::make_unique<Writer>(path, std::move(fd), bytes_max));
}

}  // namespace tepal::runtime
