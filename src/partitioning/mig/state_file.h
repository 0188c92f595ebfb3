// What Tepal remembers of the last apply, so that it can be shown, taken up again or taken back.
//
// Not the truth, which is the driver's: the file says what was wanted (by name, so that it can be
// applied again after a reboot or an interruption), whether the apply got through, and what there
// was before it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "partitioning/mig/apply.h"

namespace tepal::mig {

struct StateFile {
  std::string config;     // The configuration's name; "checkpoint" after a restore.
  bool finished = false;  // Not: interrupted, or still at work.
  std::string wanted;     // JSON, see WantedText.
  std::string before;     // A checkpoint.
};

std::string ToText(const StateFile& state);
Result<StateFile> ParseStateFile(std::string_view text);

// What is wanted, with names and UUIDs for indices.
std::string WantedText(const Wanted& wanted, const std::vector<Gpu>& gpus);
// For the GPUs that are still there.
Result<Wanted> ParseWanted(std::string_view text, const std::vector<Gpu>& gpus);

}  // namespace tepal::mig
