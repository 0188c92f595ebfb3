// A parameter that lists batch sizes, as CUDA_GRAPH_BATCH_SIZES does.

#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

inline constexpr size_t kBatchSizesMax = 32;

// Row counts from 1 to max_batch_size with commas between them, in ascending order; an error that
// names the parameter otherwise. None when the parameter is not there.
inline Error* ReadBatchSizes(const ModelFacts& facts, const char* key, std::vector<int64_t>& out) {
  const std::string text = facts.Parameter(key);
  if (text.empty()) return nullptr;
  const auto refuse = [&](const std::string& why) {
    return InvalidArgument("model '" + facts.name + "': parameter '" + key + "' " + why +
                           ", got '" + text + "'");
  };
  if (!facts.batches()) return refuse("needs max_batch_size of 1 or more");
  for (const char* at = text.c_str(); *at != '\0';) {
    char* end = nullptr;
    const int64_t rows = std::strtoll(at, &end, 10);
    if (end == at || (*end != ',' && *end != '\0') || rows < 1 || rows > facts.max_batch_size) {
      return refuse("must be numbers from 1 to max_batch_size " +
                    std::to_string(facts.max_batch_size) + ", as 1,8,32");
    }
    out.push_back(rows);
    at = *end == ',' ? end + 1 : end;
  }
  std::sort(out.begin(), out.end());
  if (out.size() > kBatchSizesMax) {
    return refuse("must be at most " + std::to_string(kBatchSizesMax) + " numbers");
  }
  return nullptr;
}

}  // namespace tepal_plugin
