// A free parameter of a request: any name, a text, a boolean or a number.

#pragma once

#include <string_view>
#include <vector>

#include "serving/inference/request.h"
#include "serving/kserve/json_scanner.h"

namespace tepal::kserve {

// Reads the value that stands next and appends the parameter. kInvalidArgument in Triton's words
// for a value of another kind, which is skipped. Malformed JSON is the scanner's to report.
Status ReadFreeParameter(JsonScanner& scanner, std::string_view name,
                         std::vector<Parameter>& parameters);

}  // namespace tepal::kserve
