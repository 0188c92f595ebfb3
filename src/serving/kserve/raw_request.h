// The raw form of an inference request: the body is the data of the model's only input.

#pragma once

#include "core/base/status.h"
#include "core/buffer/buffer.h"
#include "serving/inference/request.h"
#include "serving/model_config/model_config.h"

namespace tepal::kserve {

// Deduces name, type and shape from the configuration: a batch of one; at most one dimension may be
// open. A BYTES input takes the body as one element. kInvalidArgument, in Triton's words, where
// nothing can be deduced.
Status ReadRawRequest(const Buffer& body, const ModelConfig& model, InferenceRequest& request);

}  // namespace tepal::kserve
