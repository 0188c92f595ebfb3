// The seam to child processes.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"

namespace tepal::env {

struct ProcessOptions {
  std::string program;                 // A path; PATH is not searched.
  std::vector<std::string> arguments;  // Without argv[0].
  // Added to, or replacing, the parent's environment.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string log_path;  // stdout and stderr are appended here; empty: inherited.
  // Descriptors the child gets as 3, 4, … with LISTEN_FDS and LISTEN_PID set.
  std::vector<int> listen_descriptors;
  std::string directory;  // The working directory; empty: the parent's.
  // Only `environment`, nothing of the parent's.
  bool bare_environment = false;
  // A cgroup directory the child starts in; empty: the parent's.
  std::string cgroup;
};

struct ProcessExit {
  bool signalled = false;
  int code = 0;  // The exit code, or the signal's number.
};

// Owned by the loop it was started on.
class Process {
 public:
  // Does not kill: the owner stops the child first. The child is killed by the kernel when its
  // parent dies (PR_SET_PDEATHSIG).
  virtual ~Process() = default;
  virtual int pid() const = 0;
  virtual void Signal(int signal_number) = 0;
};

class ProcessStarter {
 public:
  virtual ~ProcessStarter() = default;
  // `on_exit` runs once on the loop, never before Start returns.
  virtual Result<std::unique_ptr<Process>> Start(ProcessOptions options,
                                                 Function<void(ProcessExit)> on_exit) = 0;
};

}  // namespace tepal::env
