// How a model asks to be run on GPUs: what its configuration says, as options of ONNX Runtime's
// CUDA provider. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

struct CudaOptions {
  // ONNX Runtime's own names; it refuses those it does not know.
  std::vector<std::pair<std::string, std::string>> provider;
};

// Reads optimization.execution_accelerators.gpu_execution_accelerator ("cuda" and its parameters,
// as they are; other accelerators are refused by name) and the parameters that Triton's onnxruntime
// backend has for CUDA: cudnn_conv_algo_search (0 exhaustive, 1 heuristic, 2 default),
// arena_extend_strategy (0 next power of two, 1 same as requested), gpu_mem_limit (bytes). CUDA
// graphs are refused: ONNX Runtime captures them per thread in a mode in which no other thread may
// use CUDA.
Error* ReadCudaOptions(const ModelFacts& facts, CudaOptions& out);

}  // namespace tepal_plugin
