#include "backends/pytorch/settings.h"

#include <algorithm>
#include <cctype>

#include "backends/sugar/batch_sizes.h"

namespace tepal_plugin {
namespace {

constexpr int64_t kThreadsMax = 1024;
constexpr size_t kIndexDigitsMax = 4;

std::string Subject(const std::string& model) { return "model '" + model + "': "; }

// "true" and "false" in any case, as Triton has them; "1" and "0" too.
Error* ReadFlag(const ModelFacts& facts, const char* key, bool& out) {
  std::string text = facts.Parameter(key);
  if (text.empty()) return nullptr;
  const std::string given = text;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text != "true" && text != "false" && text != "1" && text != "0") {
    return InvalidArgument(Subject(facts.name) + "parameter '" + key +
                           "' must be true or false, got '" + given + "'");
  }
  out = text == "true" || text == "1";
  return nullptr;
}

// A flag whose name says the opposite.
Error* ReadOppositeFlag(const ModelFacts& facts, const char* key, bool& out) {
  bool disabled = !out;
  TEPAL_RETURN_IF_ERROR(ReadFlag(facts, key, disabled));
  out = !disabled;
  return nullptr;
}

// A flag that need not be given.
Error* ReadOptionalFlag(const ModelFacts& facts, const char* key, std::optional<bool>& out) {
  if (facts.Parameter(key).empty()) return nullptr;
  out = false;
  return ReadFlag(facts, key, *out);
}

Error* RefuseNvFuser(const ModelFacts& facts) {
  constexpr const char* kKey = "ENABLE_NVFUSER";
  bool wanted = false;
  TEPAL_RETURN_IF_ERROR(ReadFlag(facts, kKey, wanted));
  if (!wanted) return nullptr;
  return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
              Subject(facts.name) + "parameter '" + kKey +
                  "' must be false: LibTorch 2 has no nvFuser; ENABLE_TENSOR_FUSER is its own");
}

Error* ReadThreads(const ModelFacts& facts, const char* key, int64_t& out) {
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter(key, 0, out));
  if (out <= kThreadsMax) return nullptr;
  return InvalidArgument(Subject(facts.name) + "parameter '" + key + "' must be at most " +
                         std::to_string(kThreadsMax) + ", got " + std::to_string(out));
}

Error* ReadTensors(const ModelFacts& facts, const char* field, std::vector<TensorSettings>& out) {
  for (const Json& entry : facts.config[field].items()) {
    TensorSettings& tensor = out.emplace_back();
    tensor.name = entry["name"].text();
    const std::string& type = entry["data_type"].text();
    constexpr std::string_view kPrefix = "TYPE_";
    if (type.rfind(kPrefix, 0) == 0) {
      tensor.type = TRITONSERVER_StringToDataType(type.c_str() + kPrefix.size());
    }
    if (TRITONSERVER_DataTypeByteSize(tensor.type) == 0) {
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  Subject(facts.name) + field + " '" + tensor.name + "' has data_type " + type +
                      ", the pytorch backend serves numbers and booleans");
    }
    const Json& reshape = entry["reshape"]["shape"];
    const Json& dims = reshape.kind() == Json::Kind::kArray ? reshape : entry["dims"];
    for (const Json& length : dims.items()) tensor.dims.push_back(length.AsInt());
  }
  if (!out.empty()) return nullptr;
  return InvalidArgument(Subject(facts.name) + "the configuration names no " + field +
                         ", and a TorchScript file does not tell shapes and types");
}

Error* ReadGraphSizes(const ModelFacts& facts, TorchSettings& out) {
  constexpr const char* kKey = "CUDA_GRAPH_BATCH_SIZES";
  TEPAL_RETURN_IF_ERROR(ReadBatchSizes(facts, kKey, out.graph_batch_sizes));
  if (out.graph_batch_sizes.empty()) return nullptr;
  for (const TensorSettings& input : out.inputs) {
    if (std::find(input.dims.begin(), input.dims.end(), -1) == input.dims.end()) continue;
    return InvalidArgument(Subject(facts.name) + "parameter '" + kKey +
                           "' needs inputs of fixed dims, '" + input.name + "' has " +
                           ShapeText(input.dims));
  }
  return nullptr;
}

// The number behind the last "__".
std::optional<size_t> IndexIn(const std::string& name) {
  const size_t at = name.rfind("__");
  if (at == std::string::npos) return std::nullopt;
  const std::string digits = name.substr(at + 2);
  const bool number = !digits.empty() && digits.size() <= kIndexDigitsMax &&
                      std::all_of(digits.begin(), digits.end(),
                                  [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!number) return std::nullopt;
  return static_cast<size_t>(std::stoul(digits));
}

// By index when every name has one, by order when none has.
Error* PlaceByName(const std::string& model, const std::string& what,
                   const std::vector<TensorSettings>& tensors, std::vector<size_t>& place) {
  const TensorSettings* first_without = nullptr;
  size_t with = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::optional<size_t> index = IndexIn(tensors[i].name);
    if (!index && first_without == nullptr) first_without = &tensors[i];
    if (index) ++with;
    const size_t wanted = index.value_or(i);
    if (std::find(place.begin(), place.end(), wanted) != place.end() && with > 0) {
      return InvalidArgument(Subject(model) + what + " '" + tensors[i].name +
                             "' has the index of another " + what);
    }
    place.push_back(wanted);
  }
  if (with > 0 && first_without != nullptr) {
    return InvalidArgument(Subject(model) + what + " '" + first_without->name +
                           "' must be named <name>__<index> as the others are");
  }
  return nullptr;
}

}  // namespace

Error* ReadTorchSettings(const ModelFacts& facts, TorchSettings& out) {
  out.batches = facts.batches();
  TEPAL_RETURN_IF_ERROR(ReadTensors(facts, "input", out.inputs));
  TEPAL_RETURN_IF_ERROR(ReadTensors(facts, "output", out.outputs));
  TEPAL_RETURN_IF_ERROR(
      ReadOppositeFlag(facts, "DISABLE_OPTIMIZED_EXECUTION", out.optimized_execution));
  TEPAL_RETURN_IF_ERROR(ReadFlag(facts, "INFERENCE_MODE", out.inference_mode));
  TEPAL_RETURN_IF_ERROR(ReadFlag(facts, "ENABLE_WEIGHT_SHARING", out.weight_sharing));
  TEPAL_RETURN_IF_ERROR(ReadFlag(facts, "ENABLE_CACHE_CLEANING", out.cache_cleaning));
  TEPAL_RETURN_IF_ERROR(ReadOppositeFlag(facts, "DISABLE_CUDNN", out.cudnn));
  TEPAL_RETURN_IF_ERROR(ReadOptionalFlag(facts, "ENABLE_JIT_EXECUTOR", out.jit_executor));
  TEPAL_RETURN_IF_ERROR(ReadOptionalFlag(facts, "ENABLE_JIT_PROFILING", out.jit_profiling));
  TEPAL_RETURN_IF_ERROR(ReadOptionalFlag(facts, "ENABLE_TENSOR_FUSER", out.tensor_fuser));
  TEPAL_RETURN_IF_ERROR(RefuseNvFuser(facts));
  TEPAL_RETURN_IF_ERROR(ReadThreads(facts, "INTRA_OP_THREAD_COUNT", out.intra_op_threads));
  TEPAL_RETURN_IF_ERROR(ReadThreads(facts, "INTER_OP_THREAD_COUNT", out.inter_op_threads));
  return ReadGraphSizes(facts, out);
}

Error* PlaceInputs(const std::string& model, const std::vector<TensorSettings>& inputs,
                   const std::vector<std::string>& arguments, std::vector<size_t>& place) {
  place.clear();
  if (inputs.size() > arguments.size()) {
    return InvalidArgument(Subject(model) + "the configuration has " +
                           std::to_string(inputs.size()) + " inputs, forward takes " +
                           std::to_string(arguments.size()));
  }
  for (const TensorSettings& input : inputs) {
    const auto found = std::find(arguments.begin(), arguments.end(), input.name);
    if (found == arguments.end()) break;
    place.push_back(static_cast<size_t>(found - arguments.begin()));
  }
  if (place.size() < inputs.size()) {
    place.clear();
    TEPAL_RETURN_IF_ERROR(PlaceByName(model, "input", inputs, place));
  }
  std::string names;
  for (const std::string& argument : arguments) names += (names.empty() ? "" : ", ") + argument;
  for (size_t i = 0; i < place.size(); ++i) {
    if (place[i] < inputs.size()) continue;
    return InvalidArgument(Subject(model) + "input '" + inputs[i].name + "' is argument " +
                           std::to_string(place[i]) + " of forward(" + names +
                           "), but arguments before it have no input");
  }
  return nullptr;
}

Error* PlaceOutputs(const std::string& model, const std::vector<TensorSettings>& outputs,
                    std::vector<size_t>& place) {
  place.clear();
  return PlaceByName(model, "output", outputs, place);
}

}  // namespace tepal_plugin
