// Feeds two answers, split at the first newline, to the mergers: what comes out merges again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "serving/kserve_wire/replica_answers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t middle = std::min(bytes.find('\n'), bytes.size());
  const std::string_view second = middle < bytes.size() ? bytes.substr(middle + 1) : bytes;
  const std::vector<std::string_view> answers = {bytes.substr(0, middle), second};
  const auto statistics = tepal::MergeStatistics(answers);
  if (statistics.ok() && !tepal::MergeStatistics({*statistics}).ok()) __builtin_trap();
  for (const bool ready_only : {false, true}) {
    const auto index = tepal::MergeIndexes(answers, ready_only);
    if (index.ok() && !tepal::MergeIndexes({*index}, ready_only).ok()) __builtin_trap();
  }
  return 0;
}
