// What happens in a child between fork and exec.
//
// Everything that allocates is done before the fork: other threads of the parent may hold the
// allocator's lock at that moment, and the child would wait for it forever (fork(2)).

#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/env/process.h"
#include "core/runtime/unique_fd.h"

namespace tepal::runtime {

class ChildPlan {
 public:
  static Result<ChildPlan> Make(const env::ProcessOptions& options);

  // Starts the child and answers once it has executed the program or failed to.
  Result<int> Start();

 private:
  // Where the child failed, sent to the parent over a pipe that exec closes.
  enum class Step : int { kParentGone, kCgroup, kDirectory, kDescriptors, kExec };
  struct Failure {
    Step step;
    int error;
  };

  [[noreturn]] void RunChild(int report, int parent);
  [[noreturn]] static void Fail(int report, Step step);
  Status Explain(const Failure& failure) const;

  std::string program_;
  std::string cgroup_;
  std::string directory_;
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  char* listen_pid_ = nullptr;  // The digits within environment_.
  std::vector<int> listen_descriptors_;
  UniqueFd input_;
  UniqueFd log_;
  UniqueFd cgroup_procs_;
};

}  // namespace tepal::runtime
