// How a model asks to be run on GPUs: what its configuration says, as options of ONNX Runtime's
// CUDA provider. Pure.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

struct CudaOptions {
  // ONNX Runtime's own names; it refuses those it does not know.
  std::vector<std::pair<std::string, std::string>> provider;

  // Row counts to record CUDA graphs for, ascending, the last one max_batch_size; none without
  // graphs. And each input's dimensions behind the rows.
  std::vector<int64_t> graph_batch_sizes;
  std::map<std::string, std::vector<int64_t>> graph_inputs;
};

// Reads optimization.execution_accelerators.gpu_execution_accelerator ("cuda" and its parameters,
// as they are; other accelerators are refused by name) and the parameters that Triton's onnxruntime
// backend has for CUDA: cudnn_conv_algo_search (0 exhaustive, 1 heuristic, 2 default),
// arena_extend_strategy (0 next power of two, 1 same as requested), gpu_mem_limit (bytes).
//
// CUDA graphs are asked for by enable_cuda_graph of that accelerator, by optimization.cuda.graphs
// or by parameter CUDA_GRAPH_BATCH_SIZES. Sizes are those of that parameter, else those of
// optimization.cuda.graph_spec, else powers of two and preferred_batch_size; max_batch_size is
// always one. A model that does not batch, or has inputs of free shape, cannot have them.
Error* ReadCudaOptions(const ModelFacts& facts, CudaOptions& out);

}  // namespace tepal_plugin
