// Parameters of gRPC requests and of their tensors: InferParameter and the fields it sets.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/kserve/infer_request.h"

namespace tepal::kserve {

using ParameterValue = std::variant<bool, int64_t, uint64_t, double, std::string_view>;

// A map of parameters as it was sent: names and the bytes of each InferParameter.
using ParameterMap = std::vector<std::pair<std::string_view, std::string_view>>;

// Appends an entry of such a map; false when it is malformed.
bool ParseParameterEntry(std::string_view bytes, ParameterMap& map);

// Empty when the InferParameter is malformed or holds nothing.
std::optional<ParameterValue> ReadParameter(std::string_view bytes);

// The request's parameters: those with a meaning into their fields, the others as free ones.
// kInvalidArgument in Triton's words.
Status ReadRequestParameters(const ParameterMap& map, InferenceRequest& request);

// Where in shared memory the parameters say that `tensor` lies; nothing when they do not.
struct RegionPlace {
  std::string_view region;
  uint64_t offset = 0, size = 0;
};
Result<std::optional<RegionPlace>> ReadRegionPlace(const ParameterMap& map,
                                                   std::string_view tensor);

// The memory there; `regions` may be null: clients use no shared memory with this server.
Result<Buffer> MemoryAt(const RegionPlace& place, std::string_view tensor, RegionMemory* regions);

}  // namespace tepal::kserve
