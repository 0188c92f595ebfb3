// nvidia-mig-parted's hooks file, version v1: programs that run around an apply.
//
//   version: v1
//   hooks:
//     pre-apply-mode:
//       - workdir: "/etc/tepal"
//         command: "/bin/sh"
//         args: ["-c", "systemctl stop dcgm"]
//         envs: {REASON: "mig"}
//
// An unknown field or point is an error: a hook with a typing mistake would never run.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

namespace tepal::mig {

enum class HookPoint { kApplyStart, kPreApplyMode, kPreApplyConfig, kApplyExit };
std::string_view HookPointName(HookPoint point);  // "apply-start" …

struct Hook {
  std::string command;
  std::vector<std::string> args = {};
  std::vector<std::pair<std::string, std::string>> envs = {};
  std::string workdir = {};
};

using HooksFile = std::map<HookPoint, std::vector<Hook>>;

// kInvalidArgument with a line for each mistake.
Result<HooksFile> ParseHooksFile(std::string_view text, const std::string& file);

}  // namespace tepal::mig
