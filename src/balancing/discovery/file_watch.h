// A file that is read again whenever it has changed: another time of modification or another size.
//
// It is read on an executor, because a disk may be slow. A file that cannot be read now, or has
// gone, is reported once and keeps what it said. Used on the loop's thread; loop, executor and
// files outlive it.

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "core/env/file_system.h"

namespace tepal::discovery {

inline constexpr uint64_t kWatchedFileBytesMax = 4 << 20;

class FileWatch {
 public:
  struct World {
    env::EventLoop& loop;
    env::Executor& executor;
    env::FileSystem& files;
  };
  // `on_text` runs on the loop with the file's text, or why it cannot be read, whenever that is
  // another.
  FileWatch(const World& world, std::string path, Duration interval,
            Function<void(Result<std::string>)> on_text);
  ~FileWatch();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tepal::discovery
