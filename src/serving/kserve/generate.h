// The generate extension: a flat JSON object in, a flat JSON object out.
//
// A member with the name of an input is that input: one element, or a list of them. "id" is the
// request's id; every other member is a parameter, and the members of "parameters" are too. Errors
// are kInvalidArgument in Triton's words (test/conformance).

#pragma once

#include <string_view>

#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/model_config/model_config.h"

namespace tepal::kserve {

// Fills id, inputs and parameters of `request`. An input's shape follows from its configuration and
// the number of elements: a batch of one, and all that is variable but the last dimension is 1.
Status ReadGenerateRequest(std::string_view body, const ModelConfig& model,
                           InferenceRequest& request);

// {"OUTPUT0":[1.0,2.5],"model_name":"m","model_version":"1"}: members in order of name, an output
// of one element without the brackets. Only for a response that is ok.
Result<Buffer> WriteGenerateResponse(const InferenceResponse& response);

}  // namespace tepal::kserve
