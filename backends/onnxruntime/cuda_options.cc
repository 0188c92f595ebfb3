#include "backends/onnxruntime/cuda_options.h"

#include <array>

namespace tepal_plugin {
namespace {

// A parameter of Triton's that counts the values which ONNX Runtime has names for.
template <size_t Count>
Error* ReadChoice(const ModelFacts& facts, const char* key,
                  const std::array<const char*, Count>& names, CudaOptions& out) {
  if (facts.Parameter(key).empty()) return nullptr;
  int64_t number = 0;
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter(key, 0, number));
  if (number >= static_cast<int64_t>(Count)) {
    return InvalidArgument("model '" + facts.name + "': parameter '" + key + "' must be 0 to " +
                           std::to_string(Count - 1) + ", got " + std::to_string(number));
  }
  out.provider.emplace_back(key, names[static_cast<size_t>(number)]);
  return nullptr;
}

// While ONNX Runtime captures a graph, no other thread of the process may use CUDA: instances
// beside each other, and the server itself, would break it and be broken.
Error* NoGraphs(const ModelFacts& facts, const std::string& what) {
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
              "model '" + facts.name + "': " + what +
                  ": the onnxruntime backend does not serve CUDA graphs; the pytorch backend does");
}

Error* ReadAccelerators(const ModelFacts& facts, CudaOptions& out) {
  const Json& accelerators =
      facts.config["optimization"]["execution_accelerators"]["gpu_execution_accelerator"];
  for (const Json& accelerator : accelerators.items()) {
    const std::string& name = accelerator["name"].text();
    if (name != "cuda") {
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  "model '" + facts.name + "': gpu_execution_accelerator '" + name +
                      "' is not served by the onnxruntime backend, 'cuda' is");
    }
    const Json& parameters = accelerator["parameters"];
    for (size_t i = 0; i < parameters.keys().size(); ++i) {
      const std::string& key = parameters.keys()[i];
      if (key == "enable_cuda_graph" && parameters.items()[i].text() != "0") {
        return NoGraphs(facts, "gpu_execution_accelerator 'cuda' with enable_cuda_graph");
      }
      out.provider.emplace_back(key, parameters.items()[i].text());
    }
  }
  return nullptr;
}

}  // namespace

Error* ReadCudaOptions(const ModelFacts& facts, CudaOptions& out) {
  constexpr std::array kSearches = {"EXHAUSTIVE", "HEURISTIC", "DEFAULT"};
  constexpr std::array kStrategies = {"kNextPowerOfTwo", "kSameAsRequested"};
  TEPAL_RETURN_IF_ERROR(ReadAccelerators(facts, out));
  TEPAL_RETURN_IF_ERROR(ReadChoice(facts, "cudnn_conv_algo_search", kSearches, out));
  TEPAL_RETURN_IF_ERROR(ReadChoice(facts, "arena_extend_strategy", kStrategies, out));
  if (!facts.Parameter("gpu_mem_limit").empty()) {
    int64_t bytes = 0;
    TEPAL_RETURN_IF_ERROR(facts.NumberParameter("gpu_mem_limit", 0, bytes));
    out.provider.emplace_back("gpu_mem_limit", std::to_string(bytes));
  }
  if (facts.Parameter("CUDA_GRAPH_BATCH_SIZES").empty()) return nullptr;
  return NoGraphs(facts, "parameter 'CUDA_GRAPH_BATCH_SIZES'");
}

}  // namespace tepal_plugin
