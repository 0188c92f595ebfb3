// A v2 inference answer over HTTP: from an InferenceResponse to the body's bytes.

#pragma once

#include <string_view>

#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/kserve/classification.h"
#include "serving/kserve/infer_request.h"

namespace tepal::kserve {

struct InferAnswer {
  BufferList body;       // JSON first, then the binary outputs in order, each as it was made.
  size_t json_size = 0;  // What Inference-Header-Content-Length says when `binary`.
  bool binary = false;   // Binary data follows the JSON.
};

// Only for a response that is ok. `batched`: the model's first dimension counts rows. An output
// that cannot be written as asked (FP16 as JSON, classes of strings) is an error for the whole
// answer.
Result<InferAnswer> WriteInferResponse(const InferenceResponse& response, const AnswerForm& form,
                                       bool batched, ClassLabels& labels);

}  // namespace tepal::kserve
