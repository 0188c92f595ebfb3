// A small JSON body of a request, with the errors of Triton's parser.

#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/json/value.h"

namespace tepal {

// kInvalidArgument: "failed to parse the request JSON buffer: … at 1".
Result<json::Value> ParseBodyJson(std::string_view text);

}  // namespace tepal
