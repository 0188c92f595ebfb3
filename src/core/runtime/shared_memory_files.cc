#include "core/env/shared_memory_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {
namespace {

class Mapping final : public env::SharedMapping {
 public:
  Mapping(void* start, size_t mapped, size_t lead, size_t size)
      : start_(start), mapped_(mapped), lead_(lead), size_(size) {}
  ~Mapping() override { munmap(start_, mapped_); }
  std::span<std::byte> bytes() override { return {static_cast<std::byte*>(start_) + lead_, size_}; }

 private:
  void* const start_;
  const size_t mapped_, lead_, size_;
};

// Removed with its mapping.
class OwnMapping final : public env::SharedMapping {
 public:
  explicit OwnMapping(std::string key) : key_(std::move(key)) {}
  ~OwnMapping() override { shm_unlink(key_.c_str()); }
  void Own(std::unique_ptr<env::SharedMapping> mapping) { mapping_ = std::move(mapping); }
  std::span<std::byte> bytes() override { return mapping_->bytes(); }

 private:
  const std::string key_;
  std::unique_ptr<env::SharedMapping> mapping_;
};

class PosixSharedMemory final : public env::SharedMemoryFiles {
 public:
  Result<std::unique_ptr<env::SharedMapping>> Map(const std::string& key, uint64_t offset,
                                                  uint64_t size) override {
    const UniqueFd object(shm_open(key.c_str(), O_RDWR | O_CLOEXEC, 0));
    if (!object.valid()) {
      return Status(StatusCode::kNotFound,
                    Status::FromErrno(errno, "opening shared memory " + key).message());
    }
    struct stat facts;
    if (fstat(object.get(), &facts) != 0) {
      return Status::FromErrno(errno, "asking the size of shared memory " + key);
    }
    const auto there = static_cast<uint64_t>(facts.st_size);
    if (size == 0 || offset > there || size > there - offset) {
      return Status(StatusCode::kOutOfRange,
                    Concat("shared memory ", key, " has ", there, " bytes; expected ", size,
                           " (at least 1) from ", offset, " on"));
    }
    // Only whole pages can be mapped.
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    const size_t lead = offset % page;
    void* start = mmap(nullptr, lead + size, PROT_READ | PROT_WRITE, MAP_SHARED, object.get(),
                       static_cast<off_t>(offset - lead));
    if (start == MAP_FAILED) return Status::FromErrno(errno, "mapping shared memory " + key);
    return std::unique_ptr<env::SharedMapping>(
        std::make_unique<Mapping>(start, lead + size, lead, size));
  }

  Result<std::unique_ptr<env::SharedMapping>> Create(const std::string& key,
                                                     uint64_t size) override {
    const UniqueFd object(shm_open(key.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!object.valid()) return Status::FromErrno(errno, "making shared memory " + key);
    auto own = std::make_unique<OwnMapping>(key);
    // Not ftruncate: without the memory, writing later would end this process.
    if (const int error = posix_fallocate(object.get(), 0, static_cast<off_t>(size)); error != 0) {
      return Status::FromErrno(error, Concat("making shared memory ", key, " of ", size, " bytes"));
    }
    ASSIGN_OR_RETURN(auto mapping, Map(key, 0, size));
    own->Own(std::move(mapping));
    return std::unique_ptr<env::SharedMapping>(std::move(own));
  }
};

}  // namespace

env::SharedMemoryFiles& SystemSharedMemory() {
  static PosixSharedMemory files;
  return files;
}

}  // namespace tepal::runtime
