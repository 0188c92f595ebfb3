// The model configuration and the ONNX file: fill in what the first leaves out, and refuse what
// does not fit the second. Pure: JSON and facts in, JSON or an error out. Rules are Triton's.

#pragma once

#include <vector>

#include "backends/onnxruntime/session.h"

namespace tepal_plugin {

// Adds inputs, outputs, max_batch_size and dynamic batching to `config` where they are missing.
//
// Batching is possible when every tensor of the file has a free first dimension; then
// max_batch_size becomes `default_max_batch_size` unless it is set, and above 1 dynamic batching is
// switched on unless a scheduler is chosen. A max_batch_size for a model that cannot batch is an
// error.
Error* CompleteConfig(const std::string& model, const std::vector<OrtTensorFacts>& inputs,
                      const std::vector<OrtTensorFacts>& outputs, int64_t default_max_batch_size,
                      Json& config);

// An error that names the tensor and both sides when the configuration does not fit the file.
Error* CheckConfig(const std::string& model, const std::vector<OrtTensorFacts>& inputs,
                   const std::vector<OrtTensorFacts>& outputs, const Json& config);

}  // namespace tepal_plugin
