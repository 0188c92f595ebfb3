// A model version as requests name it.

#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/result.h"

namespace tepal {

// -1, the newest that serves, for the empty text. kInvalidArgument, as Triton words it, for what is
// no number that fits.
Result<int64_t> ParseModelVersion(std::string_view text);

}  // namespace tepal
