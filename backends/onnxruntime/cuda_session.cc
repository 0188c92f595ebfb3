#include "backends/onnxruntime/cuda_session.h"

#include <algorithm>

namespace tepal_plugin {

size_t BytesOf(const std::vector<int64_t>& shape, TRITONSERVER_DataType type) {
  size_t size = TRITONSERVER_DataTypeByteSize(type);
  for (const int64_t length : shape) size *= static_cast<size_t>(length);
  return size;
}

Error* CudaSession::Open(const OrtRuntime& runtime, const std::string& path,
                         const SessionOptions& options, const CudaOptions& cuda, int device,
                         const std::string& model, std::unique_ptr<CudaSession>& out) {
  std::unique_ptr<CudaSession> opened(new CudaSession(runtime, model));
  CudaSession& session = *opened;
  TEPAL_RETURN_IF_ERROR(CudaQueue::Open(device, session.queue_));
  TEPAL_RETURN_IF_ERROR(Session::Open(
      runtime, path, options, session.session_,
      [&](OrtSessionOptions* into) { return session.AddProvider(cuda, device, into); }));
  OrtMemoryInfo* memory = nullptr;
  TEPAL_RETURN_IF_ERROR(session.Check(runtime.api->CreateMemoryInfo(
      "Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault, &memory)));
  session.memory_ = {memory, runtime.api->ReleaseMemoryInfo};
  for (const auto* tensors : {&session.inputs(), &session.outputs()}) {
    for (const OrtTensorFacts& tensor : *tensors) {
      if (tensor.type != TRITONSERVER_TYPE_BYTES) continue;
      return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                  "model '" + model + "': '" + tensor.name +
                      "' holds strings, which instances of KIND_GPU do not serve");
    }
  }
  out = std::move(opened);
  return nullptr;
}

Error* CudaSession::Check(OrtStatus* status) const {
  Error* error = runtime_.Check(status, "model '" + model_ + "' on the GPU");
  if (error == nullptr) return nullptr;
  const std::string what = TRITONSERVER_ErrorMessage(error);
  constexpr const char* kSigns[] = {"out of memory", "Failed to allocate memory",
                                    "is smaller than requested bytes"};
  const bool memory = std::any_of(std::begin(kSigns), std::end(kSigns), [&](const char* sign) {
    return what.find(sign) != std::string::npos;
  });
  if (!memory) return error;
  TRITONSERVER_ErrorDelete(error);
  return Fail(TRITONSERVER_ERROR_UNAVAILABLE, what);
}

Error* CudaSession::AddProvider(const CudaOptions& cuda, int device,
                                OrtSessionOptions* into) const {
  const OrtApi& api = *runtime_.api;
  OrtCUDAProviderOptionsV2* raw = nullptr;
  const auto explain = [&](OrtStatus* status) {
    return runtime_.Check(
        status,
        "instance group of KIND_GPU: ONNX Runtime's CUDA provider cannot be used (it needs "
        "libonnxruntime_providers_cuda.so and libonnxruntime_providers_shared.so beside "
        "libonnxruntime.so.1, all of one package built for CUDA, and CUDA's and cuDNN's "
        "libraries where the system looks)");
  };
  TEPAL_RETURN_IF_ERROR(explain(api.CreateCUDAProviderOptions(&raw)));
  const OrtOwned<OrtCUDAProviderOptionsV2> owned(raw, api.ReleaseCUDAProviderOptions);
  std::vector<std::pair<std::string, std::string>> options = cuda.provider;
  options.emplace_back("device_id", std::to_string(device));
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  TEPAL_RETURN_IF_ERROR(
      explain(api.UpdateCUDAProviderOptions(raw, keys.data(), values.data(), keys.size())));
  TEPAL_RETURN_IF_ERROR(explain(
      api.UpdateCUDAProviderOptionsWithValue(raw, "user_compute_stream", queue_->stream())));
  return explain(api.SessionOptionsAppendExecutionProvider_CUDA_V2(into, raw));
}

Error* CudaBinding::Open() {
  const OrtApi& api = *session_.runtime().api;
  OrtIoBinding* binding = nullptr;
  OrtRunOptions* options = nullptr;
  TEPAL_RETURN_IF_ERROR(session_.Check(api.CreateIoBinding(session_.handle(), &binding)));
  binding_ = {binding, api.ReleaseIoBinding};
  TEPAL_RETURN_IF_ERROR(session_.Check(api.CreateRunOptions(&options)));
  options_ = {options, api.ReleaseRunOptions};
  // Who wants the results waits for the stream, once for everything.
  return session_.Check(
      api.AddRunConfigEntry(options, "disable_synchronize_execution_providers", "1"));
}

Error* CudaBinding::NewValue(const CudaBlock& block, const std::vector<int64_t>& shape,
                             TRITONSERVER_DataType type) {
  const OrtApi& api = *session_.runtime().api;
  OrtValue* value = nullptr;
  TEPAL_RETURN_IF_ERROR(session_.Check(
      api.CreateTensorWithDataAsOrtValue(session_.memory(), block.data(), BytesOf(shape, type),
                                         shape.data(), shape.size(), OrtTypeOf(type), &value)));
  values_.emplace_back(value, api.ReleaseValue);
  return nullptr;
}

Error* CudaBinding::BindInputs(const std::vector<std::vector<int64_t>>& shapes,
                               std::vector<CudaBlock>& blocks) {
  const OrtApi& api = *session_.runtime().api;
  api.ClearBoundInputs(binding_.get());
  api.ClearBoundOutputs(binding_.get());
  values_.clear();
  for (size_t i = 0; i < shapes.size(); ++i) {
    const OrtTensorFacts& facts = session_.inputs()[i];
    TEPAL_RETURN_IF_ERROR(blocks[i].Reserve(BytesOf(shapes[i], facts.type)));
    TEPAL_RETURN_IF_ERROR(NewValue(blocks[i], shapes[i], facts.type));
    TEPAL_RETURN_IF_ERROR(
        session_.Check(api.BindInput(binding_.get(), facts.name.c_str(), values_.back().get())));
  }
  for (const OrtTensorFacts& facts : session_.outputs()) {
    TEPAL_RETURN_IF_ERROR(session_.Check(
        api.BindOutputToDevice(binding_.get(), facts.name.c_str(), session_.memory())));
  }
  return nullptr;
}

Error* CudaBinding::BindOutputs(const std::vector<RunnerResult>& results,
                                std::vector<CudaBlock>& blocks) {
  const OrtApi& api = *session_.runtime().api;
  api.ClearBoundOutputs(binding_.get());
  for (size_t i = 0; i < results.size(); ++i) {
    TEPAL_RETURN_IF_ERROR(blocks[i].Reserve(results[i].byte_size));
    TEPAL_RETURN_IF_ERROR(NewValue(blocks[i], results[i].shape, results[i].type));
    TEPAL_RETURN_IF_ERROR(session_.Check(
        api.BindOutput(binding_.get(), session_.outputs()[i].name.c_str(), values_.back().get())));
  }
  return nullptr;
}

Error* CudaBinding::Run() {
  return session_.Check(
      session_.runtime().api->RunWithBinding(session_.handle(), options_.get(), binding_.get()));
}

Error* CudaBinding::ReadResults(std::vector<RunnerResult>& results,
                                std::vector<std::byte*>& places) {
  const OrtRuntime& runtime = session_.runtime();
  OrtValue** raw = nullptr;
  size_t count = 0;
  TEPAL_RETURN_IF_ERROR(session_.Check(
      runtime.api->GetBoundOutputValues(binding_.get(), runtime.allocator, &raw, &count)));
  const std::vector<OrtValue*> given(raw, raw + count);
  runtime.allocator->Free(runtime.allocator, raw);
  for (OrtValue* value : given) values_.emplace_back(value, runtime.api->ReleaseValue);
  results.resize(count);
  places.resize(count);
  for (size_t i = 0; i < count; ++i) {
    TEPAL_RETURN_IF_ERROR(ReadResult(given[i], session_.outputs()[i].type, results[i], places[i]));
  }
  return nullptr;
}

Error* CudaBinding::ReadResult(OrtValue* value, TRITONSERVER_DataType type, RunnerResult& result,
                               std::byte*& place) const {
  const OrtApi& api = *session_.runtime().api;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  TEPAL_RETURN_IF_ERROR(session_.Check(api.GetTensorTypeAndShape(value, &info)));
  const OrtOwned<OrtTensorTypeAndShapeInfo> owned(info, api.ReleaseTensorTypeAndShapeInfo);
  size_t rank = 0;
  void* data = nullptr;
  TEPAL_RETURN_IF_ERROR(session_.Check(api.GetDimensionsCount(info, &rank)));
  result.type = type;
  result.shape.resize(rank);
  TEPAL_RETURN_IF_ERROR(session_.Check(api.GetDimensions(info, result.shape.data(), rank)));
  TEPAL_RETURN_IF_ERROR(session_.Check(api.GetTensorMutableData(value, &data)));
  result.byte_size = BytesOf(result.shape, type);
  place = static_cast<std::byte*>(data);
  return nullptr;
}

}  // namespace tepal_plugin
