#include "backends/onnxruntime/ort.h"

#include <dlfcn.h>

#include <iterator>

namespace tepal_plugin {
namespace {

constexpr const char* kLibrary = "libonnxruntime.so.1";

struct TypePair {
  ONNXTensorElementDataType ort;
  TRITONSERVER_DataType ours;
};

constexpr TypePair kTypes[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, TRITONSERVER_TYPE_FP32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, TRITONSERVER_TYPE_UINT8},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, TRITONSERVER_TYPE_INT8},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, TRITONSERVER_TYPE_UINT16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, TRITONSERVER_TYPE_INT16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, TRITONSERVER_TYPE_INT32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, TRITONSERVER_TYPE_INT64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, TRITONSERVER_TYPE_BYTES},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, TRITONSERVER_TYPE_BOOL},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, TRITONSERVER_TYPE_FP16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, TRITONSERVER_TYPE_FP64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, TRITONSERVER_TYPE_UINT32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, TRITONSERVER_TYPE_UINT64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, TRITONSERVER_TYPE_BF16},
};

void ORT_API_CALL LogFromOrt(void* /*param*/, OrtLoggingLevel severity, const char* /*category*/,
                             const char* /*logid*/, const char* location, const char* message) {
  const TRITONSERVER_LogLevel level = severity >= ORT_LOGGING_LEVEL_ERROR ? TRITONSERVER_LOG_ERROR
                                      : severity == ORT_LOGGING_LEVEL_WARNING
                                          ? TRITONSERVER_LOG_WARN
                                          : TRITONSERVER_LOG_VERBOSE;
  Log(level, std::string("ONNX Runtime: ") + message, location, 0);
}

TRITONSERVER_Error_Code CodeOf(OrtErrorCode code) {
  switch (code) {
    case ORT_INVALID_ARGUMENT:
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH:
      return TRITONSERVER_ERROR_INVALID_ARG;
    case ORT_NO_SUCHFILE:
    case ORT_NO_MODEL:
      return TRITONSERVER_ERROR_NOT_FOUND;
    case ORT_NOT_IMPLEMENTED:
      return TRITONSERVER_ERROR_UNSUPPORTED;
    default:
      return TRITONSERVER_ERROR_INTERNAL;
  }
}

}  // namespace

TRITONSERVER_DataType DataTypeOf(ONNXTensorElementDataType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.ort == type) return pair.ours;
  }
  return TRITONSERVER_TYPE_INVALID;
}

ONNXTensorElementDataType OrtTypeOf(TRITONSERVER_DataType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.ours == type) return pair.ort;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

Error* OrtRuntime::Check(OrtStatus* status, const std::string& doing) const {
  if (status == nullptr) return nullptr;
  Error* error =
      Fail(CodeOf(api->GetErrorCode(status)), doing + ": " + api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return error;
}

Error* OrtRuntime::Load(const std::string& directory, std::unique_ptr<OrtRuntime>& out) {
  const std::string beside = directory + "/" + kLibrary;
  void* library = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* problem = library == nullptr ? dlerror() : nullptr;
  const std::string first_problem = problem == nullptr ? "" : problem;
  if (library == nullptr) library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Fail(TRITONSERVER_ERROR_NOT_FOUND,
                "ONNX Runtime cannot be loaded, neither from beside the plugin (" + first_problem +
                    ") nor from where the system looks for " + kLibrary);
  }
  using GetBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) return Internal(std::string(kLibrary) + " has no OrtGetApiBase");
  auto runtime = std::make_unique<OrtRuntime>();
  runtime->api = get_base()->GetApi(ORT_API_VERSION);
  if (runtime->api == nullptr) {
    return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                std::string("ONNX Runtime ") + get_base()->GetVersionString() +
                    " is too old: API version " + std::to_string(ORT_API_VERSION) + " is needed");
  }
  const OrtApi& api = *runtime->api;
  OrtEnv* environment = nullptr;
  TEPAL_RETURN_IF_ERROR(
      runtime->Check(api.CreateEnvWithCustomLogger(LogFromOrt, nullptr, ORT_LOGGING_LEVEL_WARNING,
                                                   "tepal", &environment),
                     "starting ONNX Runtime"));
  runtime->environment = {environment, api.ReleaseEnv};
  // Nothing about what is run here is told to anyone.
  TEPAL_RETURN_IF_ERROR(
      runtime->Check(api.DisableTelemetryEvents(environment), "switching telemetry off"));
  OrtMemoryInfo* memory = nullptr;
  TEPAL_RETURN_IF_ERROR(
      runtime->Check(api.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory),
                     "describing memory"));
  runtime->cpu_memory = {memory, api.ReleaseMemoryInfo};
  TEPAL_RETURN_IF_ERROR(runtime->Check(api.GetAllocatorWithDefaultOptions(&runtime->allocator),
                                       "finding the allocator"));
  Log(TRITONSERVER_LOG_INFO, std::string("ONNX Runtime ") + get_base()->GetVersionString());
  out = std::move(runtime);
  return nullptr;
}

}  // namespace tepal_plugin
