// CPU quotas by Linux control groups, version 1 (cpu.cfs_quota_us) or 2 (cpu.max).
//
// The groups stand below this process's own, in a directory named after it, "tepal-<pid>". Nothing
// else in the hierarchy is moved or changed, except that version 2 needs the cpu controller turned
// on for the children of our own group; where the system does not allow that, Open says so.
// Source: cgroups(7), the kernel's cgroup-v2 and sched-bwc documents.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/env/cpu_groups.h"

namespace tepal::runtime {

// Tries it out by making a group and giving it a quota. An error says why it cannot be done here.
// Directories that killed processes of ours have left behind are removed.
Result<std::unique_ptr<env::CpuGroups>> OpenCpuGroups();

// Where this process stands in the hierarchy that has the cpu controller.
struct CpuHierarchy {
  int version = 1;
  std::string directory;  // Of this process's own group.
};

// From the texts of /proc/self/mountinfo and /proc/self/cgroup; nothing when neither version is
// mounted. Version 1 is taken when both have it: the controller belongs to one of them only.
std::optional<CpuHierarchy> FindCpuHierarchy(std::string_view mountinfo, std::string_view cgroup);

}  // namespace tepal::runtime
