// A photo as the input tensor that a model declares.

#pragma once

#include "serving/client/infer_call.h"
#include "serving/image/image.h"

namespace tepal::client {

// Size and layout from the declaration: FP32, three channels first or last, with or without a batch
// dimension; scale from the caller. kInvalidArgument names what a photo cannot fill.
Result<image::Preprocessing> PreprocessingFor(const TensorDeclaration& input, float subtract,
                                              float divide);

// One photo, a batch of one where the model batches.
InferInput PhotoInput(const TensorDeclaration& input, const image::Image& photo,
                      const image::Preprocessing& preprocessing);

}  // namespace tepal::client
