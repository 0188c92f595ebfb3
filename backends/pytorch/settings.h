// What a configuration says to the pytorch backend, read and checked before LibTorch is asked for
// anything. Pure: JSON in, facts or an error out. Names and meanings are Triton's, but for
// CUDA_GRAPH_BATCH_SIZES, which is Tepal's own.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/sugar/plugin.h"

namespace tepal_plugin {

struct TensorSettings {
  std::string name;
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  std::vector<int64_t> dims;  // Of one row of a batch; -1: any length.
};

struct TorchSettings {
  std::vector<TensorSettings> inputs, outputs;
  bool batches = false;

  bool optimized_execution = true;  // DISABLE_OPTIMIZED_EXECUTION.
  bool inference_mode = true;       // INFERENCE_MODE; else gradients are merely switched off.
  bool weight_sharing = false;      // ENABLE_WEIGHT_SHARING: one copy for each device.
  bool cache_cleaning = false;      // ENABLE_CACHE_CLEANING: free GPU memory after each execution.
  bool cudnn = true;                // DISABLE_CUDNN; holds for the whole process, as in Triton.
  int64_t intra_op_threads = 0;     // INTRA_OP_THREAD_COUNT, INTER_OP_THREAD_COUNT: of the
  int64_t inter_op_threads = 0;     // process; 0: LibTorch chooses.
  // ENABLE_JIT_EXECUTOR, ENABLE_JIT_PROFILING, ENABLE_TENSOR_FUSER: of the process too, and the
  // last model that says one decides; none: LibTorch chooses. ENABLE_NVFUSER is refused unless
  // false.
  std::optional<bool> jit_executor, jit_profiling, tensor_fuser;
  // CUDA_GRAPH_BATCH_SIZES, ascending: rows for which a CUDA graph is captured as an instance
  // starts. A batch is padded up to the next of them; a larger one runs without a graph.
  std::vector<int64_t> graph_batch_sizes;
};

// The error names the model, the field, what it got and what it expected.
Error* ReadTorchSettings(const ModelFacts& facts, TorchSettings& out);

// Where the inputs of the configuration go among the arguments of `forward` (without self).
//
// All of them may be named as the arguments; or <name>__<index>; else they are taken in the order
// of the configuration. place[i] is the argument of input i.
Error* PlaceInputs(const std::string& model, const std::vector<TensorSettings>& inputs,
                   const std::vector<std::string>& arguments, std::vector<size_t>& place);

// Which result each output is: <name>__<index> for all of them, or the order of the configuration.
Error* PlaceOutputs(const std::string& model, const std::vector<TensorSettings>& outputs,
                    std::vector<size_t>& place);

}  // namespace tepal_plugin
