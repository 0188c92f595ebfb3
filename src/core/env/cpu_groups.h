// The seam to CPU quotas: groups of processes that together get no more than a share of CPU.

#pragma once

#include <string>

#include "core/base/result.h"

namespace tepal::env {

// Owns the groups it makes; they go when it goes, which must be after the processes in them.
class CpuGroups {
 public:
  virtual ~CpuGroups() = default;

  // A group whose processes get at most `cores` CPUs (0.2 is a fifth of one). Returns the directory
  // for ProcessOptions::cgroup.
  virtual Result<std::string> Create(const std::string& name, double cores) = 0;

  // Puts a running process, all its threads, into a group that Create has made.
  virtual Status Move(const std::string& group, int pid) = 0;

  // For people: "cgroup v1 at /sys/fs/cgroup/cpu/tepal-4711".
  virtual std::string Describe() const = 0;
};

}  // namespace tepal::env
