// A v2 inference request over HTTP: from the body's bytes to an InferenceRequest.
//
// Three forms (the protocol's binary tensor data extension): JSON alone; JSON followed by the
// binary tensors it announces; and raw, where the whole body is the data of the model's only input.
// JSON is scanned once and its tensors are converted straight into their own memory; binary tensors
// become views of the body, which they keep alive. Nothing is asked of a model but its name and,
// for the raw form, its inputs: whether the inputs suit the model is for server_core to say.
//
// Errors are kInvalidArgument with Triton's words (test/conformance). A wrong JSON text is the
// client's mistake like any other; Triton answers 500 there.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "serving/inference/request.h"
#include "serving/model_config/model_config.h"

namespace tepal::kserve {

// How the client wants its answer.
struct AnswerForm {
  struct Output {
    std::string name;
    bool binary = false;
    uint64_t classes = 0;    // Classification extension: the best so many; 0: the tensor itself.
    bool in_region = false;  // Written into `region`, the client's shared memory, not sent.
    Buffer region{};
  };
  bool binary = false;          // For outputs that are not listed.
  std::vector<Output> outputs;  // Those the client listed.

  // Null when the client did not list it.
  const Output* Find(std::string_view name) const;
};

// The bytes [offset, offset + size) of a region of shared memory that clients registered.
using RegionMemory =
    Function<Result<Buffer>(std::string_view region, uint64_t offset, uint64_t size)>;

// How much of the body is JSON; 0 for the raw form. `header` is the value of
// Inference-Header-Content-Length; like Triton we read its leading number and take none for 0.
Result<size_t> JsonSize(std::optional<std::string_view> header, size_t body_size);

// Fills `request` (id, inputs, requested outputs, parameters and the fields they set) and `form`.
// `regions` is where tensors in shared memory are; without it they are refused (kUnimplemented).
Status ReadInferRequest(const Buffer& body, size_t json_size, const ModelConfig& model,
                        InferenceRequest& request, AnswerForm& form,
                        RegionMemory* regions = nullptr);

}  // namespace tepal::kserve
