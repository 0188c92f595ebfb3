// Executes an ONNX model on a GPU through ONNX Runtime's CUDA provider.
//
// One session and one stream of its own for each instance, so that one copies while another
// computes. Tensors are bound to memory on the GPU (IO binding): what lies there or in pinned
// memory goes in by itself, the rest through pinned memory of the runner. With graph sizes, a batch
// is padded up to the next one and replayed as a CUDA graph; the rest of its rows hold what an
// earlier batch left. Strings are refused. A GPU without memory is an UNAVAILABLE answer.

#pragma once

#include <memory>
#include <string>

#include "backends/onnxruntime/cuda_options.h"
#include "backends/onnxruntime/session.h"
#include "backends/sugar/device_runner.h"

namespace tepal_plugin {

class CudaRunner : public DeviceRunner {
 public:
  // Opens the file on GPU `device`. The error says what is missing: CUDA's driver, the provider's
  // library or what that needs.
  static Error* Make(const OrtRuntime& runtime, const std::string& path,
                     const SessionOptions& options, const CudaOptions& cuda, int device,
                     const std::string& model, std::unique_ptr<CudaRunner>& out);
};

}  // namespace tepal_plugin
