#include "backends/onnxruntime/session.h"

#include "third_party/onnxruntime/onnxruntime_session_options_config_keys.h"

namespace tepal_plugin {
namespace {

constexpr int64_t kThreadsMax = 1024;

// The model's parameter, else the backend's setting, else `otherwise`.
Error* ReadNumber(const ModelFacts& facts, const Json& settings, const std::string& key,
                  int64_t otherwise, int64_t& out) {
  const std::string setting = settings[key].text();
  if (!setting.empty()) {
    char* end = nullptr;
    otherwise = std::strtoll(setting.c_str(), &end, 10);
    if (*end != '\0' || otherwise < 0) {
      return InvalidArgument("backend setting '" + key +
                             "' must be a whole number of 0 or more, got '" + setting + "'");
    }
  }
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter(key, otherwise, out));
  if (out <= kThreadsMax) return nullptr;
  return InvalidArgument("model '" + facts.name + "': '" + key + "' must be at most " +
                         std::to_string(kThreadsMax) + ", got " + std::to_string(out));
}

Error* ReadLevel(const ModelFacts& facts, GraphOptimizationLevel& out) {
  const std::string level = facts.config["optimization"]["graph"]["level"].text();
  if (level.empty() || level == "0") {
    out = ORT_ENABLE_ALL;
  } else if (level == "-1") {
    out = ORT_ENABLE_BASIC;
  } else if (level == "1") {
    out = ORT_ENABLE_EXTENDED;
  } else {
    return InvalidArgument("model '" + facts.name +
                           "': optimization.graph.level must be -1, 0 or 1, got " + level);
  }
  return nullptr;
}

Error* Configure(const OrtRuntime& runtime, const SessionOptions& wanted,
                 OrtSessionOptions* options) {
  const OrtApi& api = *runtime.api;
  const auto check = [&](OrtStatus* status) {
    return runtime.Check(status, "configuring a session");
  };
  TEPAL_RETURN_IF_ERROR(check(api.SetIntraOpNumThreads(options, wanted.intra_op_threads)));
  TEPAL_RETURN_IF_ERROR(check(api.SetInterOpNumThreads(options, wanted.inter_op_threads)));
  TEPAL_RETURN_IF_ERROR(
      check(api.SetSessionExecutionMode(options, wanted.parallel ? ORT_PARALLEL : ORT_SEQUENTIAL)));
  TEPAL_RETURN_IF_ERROR(check(api.SetSessionGraphOptimizationLevel(options, wanted.optimization)));
  TEPAL_RETURN_IF_ERROR(check(wanted.memory_arena ? api.EnableCpuMemArena(options)
                                                  : api.DisableCpuMemArena(options)));
  TEPAL_RETURN_IF_ERROR(check(wanted.memory_pattern ? api.EnableMemPattern(options)
                                                    : api.DisableMemPattern(options)));
  // Waiting threads must sleep: replicas share the machine's cores.
  TEPAL_RETURN_IF_ERROR(
      check(api.AddSessionConfigEntry(options, kOrtSessionOptionsConfigAllowIntraOpSpinning, "0")));
  return check(
      api.AddSessionConfigEntry(options, kOrtSessionOptionsConfigAllowInterOpSpinning, "0"));
}

}  // namespace

Error* ReadOptions(const ModelFacts& facts, const Json& settings, SessionOptions& out) {
  int64_t number = 0;
  TEPAL_RETURN_IF_ERROR(ReadNumber(facts, settings, "intra_op_thread_count", 0, number));
  out.intra_op_threads = static_cast<int>(number);
  TEPAL_RETURN_IF_ERROR(ReadNumber(facts, settings, "inter_op_thread_count", 0, number));
  out.inter_op_threads = static_cast<int>(number);
  TEPAL_RETURN_IF_ERROR(ReadNumber(facts, settings, "execution_mode", 0, number));
  out.parallel = number == 1;
  if (number > 1) {
    return InvalidArgument("model '" + facts.name + "': execution_mode must be 0 or 1, got " +
                           std::to_string(number));
  }
  TEPAL_RETURN_IF_ERROR(ReadNumber(facts, settings, "enable_mem_arena", 1, number));
  out.memory_arena = number != 0;
  TEPAL_RETURN_IF_ERROR(ReadNumber(facts, settings, "enable_mem_pattern", 1, number));
  out.memory_pattern = number != 0;
  return ReadLevel(facts, out.optimization);
}

Error* Session::Open(const OrtRuntime& runtime, const std::string& path,
                     const SessionOptions& options, std::unique_ptr<Session>& out,
                     const AddProvider& add_provider) {
  const OrtApi& api = *runtime.api;
  OrtSessionOptions* raw_options = nullptr;
  TEPAL_RETURN_IF_ERROR(
      runtime.Check(api.CreateSessionOptions(&raw_options), "making session options"));
  const OrtOwned<OrtSessionOptions> owned_options(raw_options, api.ReleaseSessionOptions);
  TEPAL_RETURN_IF_ERROR(Configure(runtime, options, raw_options));
  if (add_provider) TEPAL_RETURN_IF_ERROR(add_provider(raw_options));
  std::unique_ptr<Session> session(new Session(runtime));
  OrtSession* raw = nullptr;
  TEPAL_RETURN_IF_ERROR(
      runtime.Check(api.CreateSession(runtime.environment.get(), path.c_str(), raw_options, &raw),
                    "unable to load '" + path + "'"));
  session->session_ = {raw, api.ReleaseSession};
  TEPAL_RETURN_IF_ERROR(session->ReadTensors(true, session->inputs_));
  TEPAL_RETURN_IF_ERROR(session->ReadTensors(false, session->outputs_));
  out = std::move(session);
  return nullptr;
}

Error* Session::ReadTensors(bool inputs, std::vector<OrtTensorFacts>& out) {
  const OrtApi& api = *runtime_.api;
  const auto check = [&](OrtStatus* status) { return runtime_.Check(status, "reading the model"); };
  const OrtSession* session = session_.get();
  size_t count = 0;
  TEPAL_RETURN_IF_ERROR(check(inputs ? api.SessionGetInputCount(session, &count)
                                     : api.SessionGetOutputCount(session, &count)));
  for (size_t i = 0; i < count; ++i) {
    OrtTensorFacts tensor;
    char* name = nullptr;
    TEPAL_RETURN_IF_ERROR(
        check(inputs ? api.SessionGetInputName(session, i, runtime_.allocator, &name)
                     : api.SessionGetOutputName(session, i, runtime_.allocator, &name)));
    tensor.name = name;
    runtime_.allocator->Free(runtime_.allocator, name);
    OrtTypeInfo* type = nullptr;
    TEPAL_RETURN_IF_ERROR(check(inputs ? api.SessionGetInputTypeInfo(session, i, &type)
                                       : api.SessionGetOutputTypeInfo(session, i, &type)));
    const OrtOwned<OrtTypeInfo> owned_type(type, api.ReleaseTypeInfo);
    const OrtTensorTypeAndShapeInfo* shape = nullptr;
    TEPAL_RETURN_IF_ERROR(check(api.CastTypeInfoToTensorInfo(type, &shape)));
    if (shape == nullptr) {
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  std::string(inputs ? "input" : "output") + " '" + tensor.name +
                      "' is not a tensor (sequences and maps are not served)");
    }
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    TEPAL_RETURN_IF_ERROR(check(api.GetTensorElementType(shape, &element)));
    tensor.type = DataTypeOf(element);
    size_t rank = 0;
    TEPAL_RETURN_IF_ERROR(check(api.GetDimensionsCount(shape, &rank)));
    tensor.dims.resize(rank);
    TEPAL_RETURN_IF_ERROR(check(api.GetDimensions(shape, tensor.dims.data(), rank)));
    out.push_back(std::move(tensor));
  }
  return nullptr;
}

Error* Session::Run(const std::vector<const char*>& input_names,
                    const std::vector<OrtValue*>& values,
                    const std::vector<const char*>& output_names,
                    std::vector<OrtOwned<OrtValue>>& results) const {
  const OrtApi& api = *runtime_.api;
  std::vector<OrtValue*> raw(output_names.size());
  TEPAL_RETURN_IF_ERROR(
      runtime_.Check(api.Run(session_.get(), nullptr, input_names.data(), values.data(),
                             values.size(), output_names.data(), output_names.size(), raw.data()),
                     "onnx runtime error"));
  results.clear();
  for (OrtValue* value : raw) results.emplace_back(value, api.ReleaseValue);
  return nullptr;
}

}  // namespace tepal_plugin
