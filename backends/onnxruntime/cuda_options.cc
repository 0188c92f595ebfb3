#include "backends/onnxruntime/cuda_options.h"

#include <algorithm>
#include <array>

#include "backends/sugar/batch_sizes.h"

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

Error* ReadAccelerators(const ModelFacts& facts, CudaOptions& out, bool& graphs) {
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
      const std::string& value = parameters.items()[i].text();
      if (key == "enable_cuda_graph") {
        graphs = graphs || (value != "0" && value != "false");
        continue;
      }
      out.provider.emplace_back(key, value);
    }
  }
  return nullptr;
}

// The dimensions that ONNX Runtime sees behind the rows.
Error* ReadGraphInputs(const ModelFacts& facts, CudaOptions& out) {
  for (const Json& input : facts.config["input"].items()) {
    const Json& reshape = input["reshape"]["shape"];
    const Json& dims = reshape.kind() == Json::Kind::kArray ? reshape : input["dims"];
    std::vector<int64_t>& shape = out.graph_inputs[input["name"].text()];
    for (const Json& length : dims.items()) {
      if (length.AsInt() < 1) {
        return InvalidArgument("model '" + facts.name + "': CUDA graphs need inputs of fixed " +
                               "dimensions, input '" + input["name"].text() + "' has -1");
      }
      shape.push_back(length.AsInt());
    }
  }
  return nullptr;
}

Error* ReadGraphs(const ModelFacts& facts, bool wanted, CudaOptions& out) {
  constexpr const char* kSizes = "CUDA_GRAPH_BATCH_SIZES";
  std::vector<int64_t>& sizes = out.graph_batch_sizes;
  const Json& cuda = facts.config["optimization"]["cuda"];
  TEPAL_RETURN_IF_ERROR(ReadBatchSizes(facts, kSizes, sizes));
  if (sizes.empty() && !wanted && !cuda["graphs"].AsBool()) return nullptr;
  if (!facts.batches()) {
    return InvalidArgument("model '" + facts.name +
                           "': CUDA graphs need max_batch_size of 1 or more");
  }
  if (sizes.empty()) {
    for (const Json& spec : cuda["graph_spec"].items()) {
      sizes.push_back(spec["batch_size"].AsInt());
    }
  }
  if (sizes.empty()) {
    for (int64_t rows = 1; rows < facts.max_batch_size; rows *= 2) sizes.push_back(rows);
    for (const Json& rows : facts.config["dynamic_batching"]["preferred_batch_size"].items()) {
      sizes.push_back(rows.AsInt());
    }
  }
  sizes.push_back(facts.max_batch_size);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  if (sizes.front() < 1 || sizes.back() > facts.max_batch_size || sizes.size() > kBatchSizesMax) {
    return InvalidArgument("model '" + facts.name + "': CUDA graphs are recorded for at most " +
                           std::to_string(kBatchSizesMax) + " batch sizes from 1 to " +
                           "max_batch_size " + std::to_string(facts.max_batch_size) + ", got " +
                           std::to_string(sizes.size()) + " from " + std::to_string(sizes.front()) +
                           " to " + std::to_string(sizes.back()));
  }
  return ReadGraphInputs(facts, out);
}

}  // namespace

Error* ReadCudaOptions(const ModelFacts& facts, CudaOptions& out) {
  constexpr std::array kSearches = {"EXHAUSTIVE", "HEURISTIC", "DEFAULT"};
  constexpr std::array kStrategies = {"kNextPowerOfTwo", "kSameAsRequested"};
  bool graphs = false;
  TEPAL_RETURN_IF_ERROR(ReadAccelerators(facts, out, graphs));
  TEPAL_RETURN_IF_ERROR(ReadChoice(facts, "cudnn_conv_algo_search", kSearches, out));
  TEPAL_RETURN_IF_ERROR(ReadChoice(facts, "arena_extend_strategy", kStrategies, out));
  if (!facts.Parameter("gpu_mem_limit").empty()) {
    int64_t bytes = 0;
    TEPAL_RETURN_IF_ERROR(facts.NumberParameter("gpu_mem_limit", 0, bytes));
    out.provider.emplace_back("gpu_mem_limit", std::to_string(bytes));
  }
  return ReadGraphs(facts, graphs, out);
}

}  // namespace tepal_plugin
