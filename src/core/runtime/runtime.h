// The real world behind the seams of core/env: epoll loops on threads, sockets, files, processes.
//
// Only apps/commands includes this room; everything else is given interfaces.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/clock.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "core/env/file_system.h"
#include "core/env/process.h"
#include "core/env/shared_memory_files.h"

namespace tepal::runtime {

const env::Clock& SystemClock();
env::FileSystem& SystemFileSystem();
env::SharedMemoryFiles& SystemSharedMemory();

// A seed from the operating system.
uint64_t RandomSeed();

// An event loop over epoll. Run occupies the calling thread until Stop.
class EpollLoop : public env::EventLoop {
 public:
  static Result<std::unique_ptr<EpollLoop>> New();
  virtual void Run() = 0;
  virtual void Stop() = 0;  // Any thread; Run returns after the current turn.

  // Calls `on_signal` on this loop for each of `signals`, which are blocked in every thread that is
  // started later. Call before any thread is started.
  virtual Status WatchSignals(std::vector<int> signals, Function<void(int)> on_signal) = 0;

  // Child processes of this loop.
  virtual env::ProcessStarter& processes() = 0;
};

// Loops on threads of their own, named "<name>/0", …; stopped and joined when destroyed.
class LoopThreads {
 public:
  static Result<std::unique_ptr<LoopThreads>> Start(const std::string& name, int count);
  virtual ~LoopThreads() = default;
  virtual std::vector<env::EventLoop*> loops() = 0;
};

// `count` threads named "<name>/0", …, for what blocks.
std::unique_ptr<env::Executor> NewThreadPool(const std::string& name, int count);

}  // namespace tepal::runtime
