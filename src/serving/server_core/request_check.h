// Whether a request fits its model, in Triton's words; and what follows from it for the scheduler.
//
// A pure function of request and configuration. Everything a backend relies on is checked here,
// once: names, types, shapes, batch size, byte sizes, and the framing of BYTES elements.

#pragma once

#include "core/base/status.h"
#include "serving/inference/request.h"
#include "serving/model_config/model_config.h"

namespace tepal {

// On success sets request.batch_rows and puts the inputs into the configuration's order.
// kInvalidArgument says what was got and what was expected.
Status CheckRequest(const ModelConfig& config, InferenceRequest& request);

}  // namespace tepal
