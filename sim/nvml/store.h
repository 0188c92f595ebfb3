// The simulated machine in a file that processes share, so that it outlives each of them.
//
// A change is made to a copy, which takes the place of the old state in one store: a process that
// is killed in the middle has changed nothing. The file lock goes with the process. Safe from any
// thread and across fork.

#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "sim/nvml/machine.h"

namespace tepal::nvml_sim {

class Store {
 public:
  // The machine in `path`, made of `gpus` when there is none yet. An empty path: a machine of this
  // process and its children alone. Null when it cannot be opened or `gpus` is not understood.
  static std::unique_ptr<Store> Open(const std::string& path, std::string_view gpus);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  template <typename Function>
  auto Read(Function function) {
    const Lock lock(*this);
    return function(static_cast<const Machine&>(file_->slots[file_->active.load() & 1]));
  }

  // `function` gets the copy; it counts as soon as the function has returned.
  template <typename Function>
  auto Write(Function function) {
    const Lock lock(*this);
    const unsigned now = file_->active.load() & 1;
    Machine& next = file_->slots[now ^ 1];
    next = file_->slots[now];
    const auto result = function(next);
    file_->active.store(now ^ 1);
    return result;
  }

 private:
  struct File {
    std::atomic<uint64_t> ready;  // kMagic once a machine is in.
    std::atomic<unsigned> active;
    Machine slots[2];
  };
  class Lock {
   public:
    explicit Lock(const Store& store);
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    int fd_;
  };

  Store() = default;

  std::string path_;
  int memory_fd_ = -1;
  File* file_ = nullptr;
};

}  // namespace tepal::nvml_sim
