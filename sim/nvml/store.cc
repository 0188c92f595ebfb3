#include "sim/nvml/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tepal::nvml_sim {

// Each lock opens the file anew: locks of one open file are shared by threads and children.
Store::Lock::Lock(const Store& store) : fd_(open(store.path_.c_str(), O_RDWR | O_CLOEXEC)) {
  if (fd_ >= 0) flock(fd_, LOCK_EX);
}

Store::Lock::~Lock() {
  if (fd_ >= 0) close(fd_);
}

std::unique_ptr<Store> Store::Open(const std::string& path, std::string_view gpus) {
  std::unique_ptr<Store> store(new Store);
  if (path.empty()) {
    store->memory_fd_ = memfd_create("nvml_sim", MFD_CLOEXEC);
    store->path_ = "/proc/self/fd/" + std::to_string(store->memory_fd_);
  } else {
    store->path_ = path;
  }
  const int fd = open(store->path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return nullptr;
  flock(fd, LOCK_EX);
  struct stat status = {};
  const bool sized =
      fstat(fd, &status) == 0 &&
      (status.st_size >= static_cast<off_t>(sizeof(File)) || ftruncate(fd, sizeof(File)) == 0);
  void* const mapped =
      sized ? mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  bool good = mapped != MAP_FAILED;
  if (good) {
    store->file_ = static_cast<File*>(mapped);
    if (store->file_->ready.load() != kMagic) {
      good = Build(store->file_->slots[0], gpus);
      store->file_->active.store(0);
      if (good) store->file_->ready.store(kMagic);
    }
  }
  flock(fd, LOCK_UN);  // The mapping keeps the open file, and with it the lock, beyond close.
  close(fd);
  return good ? std::move(store) : nullptr;
}

Store::~Store() {
  if (file_ != nullptr) munmap(file_, sizeof(File));
  if (memory_fd_ >= 0) close(memory_fd_);
}

}  // namespace tepal::nvml_sim
