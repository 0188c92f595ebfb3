#include "backends/onnxruntime/cuda_runner.h"

#include <algorithm>

#include "backends/onnxruntime/cuda_memory.h"

namespace tepal_plugin {
namespace {

size_t BytesOf(const std::vector<int64_t>& shape, TRITONSERVER_DataType type) {
  size_t size = TRITONSERVER_DataTypeByteSize(type);
  for (const int64_t length : shape) size *= static_cast<size_t>(length);
  return size;
}

// Inputs bound to blocks of our own, and outputs where ONNX Runtime put them.
struct Binding {
  OrtOwned<OrtIoBinding> binding;
  OrtOwned<OrtRunOptions> options;
  std::vector<CudaBlock> inputs;
  std::vector<OrtOwned<OrtValue>> values;  // What is bound, or was given.
  std::vector<RunnerResult> results;
  std::vector<std::byte*> places;  // Of the results.
};

class Runner final : public CudaRunner {
 public:
  Runner(const OrtRuntime& runtime, std::string model)
      : runtime_(runtime), api_(*runtime.api), model_(std::move(model)) {}

  Error* Open(const std::string& path, const SessionOptions& options, const CudaOptions& cuda,
              int device) {
    TEPAL_RETURN_IF_ERROR(CudaQueue::Open(device, queue_));
    TEPAL_RETURN_IF_ERROR(
        Session::Open(runtime_, path, options, session_,
                      [&](OrtSessionOptions* into) { return AddProvider(cuda, device, into); }));
    OrtMemoryInfo* memory = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(
        api_.CreateMemoryInfo("Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault, &memory)));
    memory_ = {memory, api_.ReleaseMemoryInfo};
    for (const auto* tensors : {&session_->inputs(), &session_->outputs()}) {
      for (const OrtTensorFacts& tensor : *tensors) {
        if (tensor.type != TRITONSERVER_TYPE_BYTES) continue;
        return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                    "model '" + model_ + "': '" + tensor.name +
                        "' holds strings, which instances of KIND_GPU do not serve");
      }
    }
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    for (size_t i = 0; i < session_->inputs().size(); ++i) staging_.emplace_back(*queue_, true);
    for (size_t i = 0; i < session_->outputs().size(); ++i) returning_.emplace_back(*queue_, true);
    return NewBinding();
  }

  Error* Load(const std::vector<RunnerInput>& inputs) override {
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    TEPAL_RETURN_IF_ERROR(BindInputs(inputs));
    for (size_t i = 0; i < inputs.size(); ++i) TEPAL_RETURN_IF_ERROR(Upload(i, inputs[i]));
    return nullptr;
  }

  Error* Run(std::vector<RunnerResult>& results) override {
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    TEPAL_RETURN_IF_ERROR(
        Check(api_.RunWithBinding(session_->handle(), bound_.options.get(), bound_.binding.get())));
    TEPAL_RETURN_IF_ERROR(ReadResults());
    results = bound_.results;
    return nullptr;
  }

  Error* Deliver(const std::vector<Delivery>& deliveries) override {
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    // What ordinary memory wants of a result comes to pinned memory in one copy, all of it.
    std::vector<std::byte*> host(returning_.size());
    Error* error = nullptr;
    for (const Delivery& delivery : deliveries) {
      error = Fetch(delivery, host[delivery.result]);
      if (error != nullptr) break;
    }
    Error* waiting = queue_->Wait();
    if (error != nullptr) {
      TRITONSERVER_ErrorDelete(waiting);
      return error;
    }
    TEPAL_RETURN_IF_ERROR(waiting);
    for (const Delivery& delivery : deliveries) {
      if (delivery.to.gpu_reaches() || delivery.to.size == 0) continue;
      std::memcpy(delivery.to.data, host[delivery.result] + delivery.from, delivery.to.size);
    }
    return nullptr;
  }

 private:
  // An error of ONNX Runtime's; of memory that is not there, one that tells clients to come again.
  Error* Check(OrtStatus* status) const {
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

  Error* AddProvider(const CudaOptions& cuda, int device, OrtSessionOptions* into) const {
    OrtCUDAProviderOptionsV2* raw = nullptr;
    const auto explain = [&](OrtStatus* status) {
      return runtime_.Check(
          status,
          "instance group of KIND_GPU: ONNX Runtime's CUDA provider cannot be used (it needs "
          "libonnxruntime_providers_cuda.so and libonnxruntime_providers_shared.so beside "
          "libonnxruntime.so.1, all of one package built for CUDA, and CUDA's and cuDNN's "
          "libraries "
          "where the system looks)");
    };
    TEPAL_RETURN_IF_ERROR(explain(api_.CreateCUDAProviderOptions(&raw)));
    const OrtOwned<OrtCUDAProviderOptionsV2> owned(raw, api_.ReleaseCUDAProviderOptions);
    std::vector<std::pair<std::string, std::string>> options = cuda.provider;
    options.emplace_back("device_id", std::to_string(device));
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : options) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    TEPAL_RETURN_IF_ERROR(
        explain(api_.UpdateCUDAProviderOptions(raw, keys.data(), values.data(), keys.size())));
    TEPAL_RETURN_IF_ERROR(explain(
        api_.UpdateCUDAProviderOptionsWithValue(raw, "user_compute_stream", queue_->stream())));
    return explain(api_.SessionOptionsAppendExecutionProvider_CUDA_V2(into, raw));
  }

  Error* NewBinding() {
    OrtIoBinding* binding = nullptr;
    OrtRunOptions* options = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(api_.CreateIoBinding(session_->handle(), &binding)));
    bound_.binding = {binding, api_.ReleaseIoBinding};
    TEPAL_RETURN_IF_ERROR(Check(api_.CreateRunOptions(&options)));
    bound_.options = {options, api_.ReleaseRunOptions};
    for (size_t i = 0; i < session_->inputs().size(); ++i) {
      bound_.inputs.emplace_back(*queue_, false);
    }
    // Deliver waits for the stream, once for everything.
    return Check(api_.AddRunConfigEntry(options, "disable_synchronize_execution_providers", "1"));
  }

  Error* NewValue(const CudaBlock& block, const std::vector<int64_t>& shape,
                  TRITONSERVER_DataType type) {
    OrtValue* value = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(
        api_.CreateTensorWithDataAsOrtValue(memory_.get(), block.data(), BytesOf(shape, type),
                                            shape.data(), shape.size(), OrtTypeOf(type), &value)));
    bound_.values.emplace_back(value, api_.ReleaseValue);
    return nullptr;
  }

  // Inputs in the binding's own blocks; outputs where ONNX Runtime puts them.
  Error* BindInputs(const std::vector<RunnerInput>& inputs) {
    api_.ClearBoundInputs(bound_.binding.get());
    api_.ClearBoundOutputs(bound_.binding.get());
    bound_.values.clear();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const OrtTensorFacts& facts = session_->inputs()[i];
      TEPAL_RETURN_IF_ERROR(bound_.inputs[i].Reserve(BytesOf(inputs[i].shape, facts.type)));
      TEPAL_RETURN_IF_ERROR(NewValue(bound_.inputs[i], inputs[i].shape, facts.type));
      TEPAL_RETURN_IF_ERROR(Check(
          api_.BindInput(bound_.binding.get(), facts.name.c_str(), bound_.values.back().get())));
    }
    for (const OrtTensorFacts& facts : session_->outputs()) {
      TEPAL_RETURN_IF_ERROR(
          Check(api_.BindOutputToDevice(bound_.binding.get(), facts.name.c_str(), memory_.get())));
    }
    return nullptr;
  }

  // What a run gave.
  Error* ReadResults() {
    OrtValue** raw = nullptr;
    size_t count = 0;
    TEPAL_RETURN_IF_ERROR(
        Check(api_.GetBoundOutputValues(bound_.binding.get(), runtime_.allocator, &raw, &count)));
    bound_.results.clear();
    bound_.places.clear();
    for (size_t i = 0; i < count; ++i) bound_.values.emplace_back(raw[i], api_.ReleaseValue);
    for (size_t i = 0; i < count; ++i) TEPAL_RETURN_IF_ERROR(ReadResult(raw[i], i));
    runtime_.allocator->Free(runtime_.allocator, raw);
    return nullptr;
  }

  Error* ReadResult(OrtValue* value, size_t index) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(api_.GetTensorTypeAndShape(value, &info)));
    const OrtOwned<OrtTensorTypeAndShapeInfo> owned(info, api_.ReleaseTensorTypeAndShapeInfo);
    size_t rank = 0;
    void* data = nullptr;
    RunnerResult& result = bound_.results.emplace_back();
    result.type = session_->outputs()[index].type;
    TEPAL_RETURN_IF_ERROR(Check(api_.GetDimensionsCount(info, &rank)));
    result.shape.resize(rank);
    TEPAL_RETURN_IF_ERROR(Check(api_.GetDimensions(info, result.shape.data(), rank)));
    TEPAL_RETURN_IF_ERROR(Check(api_.GetTensorMutableData(value, &data)));
    result.byte_size = BytesOf(result.shape, result.type);
    bound_.places.push_back(static_cast<std::byte*>(data));
    return nullptr;
  }

  // Copies input `index` behind one another to where it is bound.
  Error* Upload(size_t index, const RunnerInput& input) {
    const OrtTensorFacts& facts = session_->inputs()[index];
    const size_t needed = BytesOf(input.shape, facts.type);
    if (input.byte_size() != needed) {
      return InvalidArgument("input '" + facts.name + "' of model '" + model_ + "' has " +
                             std::to_string(input.byte_size()) + " bytes, its shape " +
                             ShapeText(input.shape) + " needs " + std::to_string(needed));
    }
    return UploadParts(*queue_, input.parts, staging_[index], bound_.inputs[index].data(), needed);
  }

  // Neighbours that the GPU cannot reach go to pinned memory, and from there in one copy.
  static Error* UploadParts(CudaQueue& queue, const std::vector<MemoryPart>& parts,
                            CudaBlock& staging, std::byte* to, size_t size) {
    size_t staged_from = 0;
    size_t at = 0;
    const auto flush = [&]() -> Error* {
      return at == staged_from
                 ? nullptr
                 : queue.Copy(to + staged_from, staging.data() + staged_from, at - staged_from);
    };
    for (const MemoryPart& part : parts) {
      if (part.gpu_reaches()) {
        TEPAL_RETURN_IF_ERROR(flush());
        TEPAL_RETURN_IF_ERROR(queue.Copy(to + at, part.data, part.size));
        staged_from = at + part.size;
      } else if (part.size > 0) {
        TEPAL_RETURN_IF_ERROR(staging.Reserve(size));
        std::memcpy(staging.data() + at, part.data, part.size);
      }
      at += part.size;
    }
    return flush();
  }

  Error* Fetch(const Delivery& delivery, std::byte*& host) {
    const std::byte* from = bound_.places[delivery.result];
    if (delivery.to.gpu_reaches()) {
      return queue_->Copy(delivery.to.data, from + delivery.from, delivery.to.size);
    }
    if (host != nullptr) return nullptr;
    const size_t size = bound_.results[delivery.result].byte_size;
    TEPAL_RETURN_IF_ERROR(returning_[delivery.result].Reserve(size));
    host = returning_[delivery.result].data();
    return queue_->Copy(host, from, size);
  }

  const OrtRuntime& runtime_;
  const OrtApi& api_;
  const std::string model_;
  std::unique_ptr<CudaQueue> queue_;  // Outlives everything on it.
  std::unique_ptr<Session> session_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<CudaBlock> staging_, returning_;
  Binding bound_;
};

}  // namespace

Error* CudaRunner::Make(const OrtRuntime& runtime, const std::string& path,
                        const SessionOptions& options, const CudaOptions& cuda, int device,
                        const std::string& model, std::unique_ptr<CudaRunner>& out) {
  auto runner = std::make_unique<Runner>(runtime, model);
  TEPAL_RETURN_IF_ERROR(runner->Open(path, options, cuda, device));
  out = std::move(runner);
  return nullptr;
}

}  // namespace tepal_plugin
