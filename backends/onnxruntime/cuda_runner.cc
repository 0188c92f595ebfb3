#include "backends/onnxruntime/cuda_runner.h"

#include <algorithm>

#include "backends/onnxruntime/cuda_memory.h"

namespace tepal_plugin {
namespace {

constexpr int kWarmUps =
    3;  // ONNX Runtime captures a graph in one of the first runs of its number.
constexpr const char* kNoGraph = "-1";

size_t BytesOf(const std::vector<int64_t>& shape, TRITONSERVER_DataType type) {
  size_t size = TRITONSERVER_DataTypeByteSize(type);
  for (const int64_t length : shape) size *= static_cast<size_t>(length);
  return size;
}

// Inputs and outputs bound to fixed places on the GPU, for graphs of one batch size; or, with 0
// rows, inputs bound anew for every batch and outputs where ONNX Runtime puts them.
struct Binding {
  int64_t rows = 0;
  OrtOwned<OrtIoBinding> binding;
  OrtOwned<OrtRunOptions> options;
  std::vector<CudaBlock> inputs, outputs;
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
    TEPAL_RETURN_IF_ERROR(NewBinding(0, kNoGraph, any_));
    return CaptureGraphs(cuda.graph_batch_sizes);
  }

  Error* Load(const std::vector<RunnerInput>& inputs) override {
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    rows_ = inputs[0].shape.empty() ? 1 : inputs[0].shape[0];
    binding_ = &any_;
    for (Binding& graph : graphs_) {
      if (graph.rows < rows_) continue;
      binding_ = &graph;
      break;
    }
    if (binding_ == &any_) TEPAL_RETURN_IF_ERROR(BindInputs(any_, inputs));
    for (size_t i = 0; i < inputs.size(); ++i) TEPAL_RETURN_IF_ERROR(Upload(i, inputs[i]));
    return nullptr;
  }

  Error* Run(std::vector<RunnerResult>& results) override {
    const cuda::CudaContextScope scope(queue_->api(), queue_->context());
    TEPAL_RETURN_IF_ERROR(Execute(*binding_));
    if (binding_ == &any_) TEPAL_RETURN_IF_ERROR(ReadResults(any_));
    results = binding_->results;
    if (binding_ == &any_) return nullptr;
    for (RunnerResult& result : results) {
      if (result.shape.empty() || result.shape[0] != binding_->rows) continue;
      result.byte_size =
          result.byte_size / static_cast<size_t>(binding_->rows) * static_cast<size_t>(rows_);
      result.shape[0] = rows_;
    }
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
    if (!cuda.graph_batch_sizes.empty()) options.emplace_back("enable_cuda_graph", "1");
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

  Error* NewBinding(int64_t rows, const std::string& graph, Binding& out) {
    OrtIoBinding* binding = nullptr;
    OrtRunOptions* options = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(api_.CreateIoBinding(session_->handle(), &binding)));
    out.binding = {binding, api_.ReleaseIoBinding};
    TEPAL_RETURN_IF_ERROR(Check(api_.CreateRunOptions(&options)));
    out.options = {options, api_.ReleaseRunOptions};
    // Deliver waits for the stream, once for everything.
    TEPAL_RETURN_IF_ERROR(
        Check(api_.AddRunConfigEntry(options, "disable_synchronize_execution_providers", "1")));
    TEPAL_RETURN_IF_ERROR(Check(api_.AddRunConfigEntry(options, "gpu_graph_id", graph.c_str())));
    out.rows = rows;
    for (size_t i = 0; i < session_->inputs().size(); ++i) out.inputs.emplace_back(*queue_, false);
    return nullptr;
  }

  Error* NewValue(const CudaBlock& block, const std::vector<int64_t>& shape,
                  TRITONSERVER_DataType type, Binding& binding) {
    OrtValue* value = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(
        api_.CreateTensorWithDataAsOrtValue(memory_.get(), block.data(), BytesOf(shape, type),
                                            shape.data(), shape.size(), OrtTypeOf(type), &value)));
    binding.values.emplace_back(value, api_.ReleaseValue);
    return nullptr;
  }

  // Inputs in the binding's own blocks; outputs where ONNX Runtime puts them.
  Error* BindInputs(Binding& binding, const std::vector<RunnerInput>& inputs) {
    api_.ClearBoundInputs(binding.binding.get());
    api_.ClearBoundOutputs(binding.binding.get());
    binding.values.clear();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const OrtTensorFacts& facts = session_->inputs()[i];
      TEPAL_RETURN_IF_ERROR(binding.inputs[i].Reserve(BytesOf(inputs[i].shape, facts.type)));
      TEPAL_RETURN_IF_ERROR(NewValue(binding.inputs[i], inputs[i].shape, facts.type, binding));
      TEPAL_RETURN_IF_ERROR(Check(
          api_.BindInput(binding.binding.get(), facts.name.c_str(), binding.values.back().get())));
    }
    for (const OrtTensorFacts& facts : session_->outputs()) {
      TEPAL_RETURN_IF_ERROR(
          Check(api_.BindOutputToDevice(binding.binding.get(), facts.name.c_str(), memory_.get())));
    }
    return nullptr;
  }

  Error* Execute(const Binding& binding) {
    return Check(
        api_.RunWithBinding(session_->handle(), binding.options.get(), binding.binding.get()));
  }

  // What a run without fixed outputs gave.
  Error* ReadResults(Binding& binding) {
    OrtValue** raw = nullptr;
    size_t count = 0;
    TEPAL_RETURN_IF_ERROR(
        Check(api_.GetBoundOutputValues(binding.binding.get(), runtime_.allocator, &raw, &count)));
    binding.results.clear();
    binding.places.clear();
    for (size_t i = 0; i < count; ++i) binding.values.emplace_back(raw[i], api_.ReleaseValue);
    for (size_t i = 0; i < count; ++i) TEPAL_RETURN_IF_ERROR(ReadResult(raw[i], i, binding));
    runtime_.allocator->Free(runtime_.allocator, raw);
    return nullptr;
  }

  Error* ReadResult(OrtValue* value, size_t index, Binding& binding) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    TEPAL_RETURN_IF_ERROR(Check(api_.GetTensorTypeAndShape(value, &info)));
    const OrtOwned<OrtTensorTypeAndShapeInfo> owned(info, api_.ReleaseTensorTypeAndShapeInfo);
    size_t rank = 0;
    void* data = nullptr;
    RunnerResult& result = binding.results.emplace_back();
    result.type = session_->outputs()[index].type;
    TEPAL_RETURN_IF_ERROR(Check(api_.GetDimensionsCount(info, &rank)));
    result.shape.resize(rank);
    TEPAL_RETURN_IF_ERROR(Check(api_.GetDimensions(info, result.shape.data(), rank)));
    TEPAL_RETURN_IF_ERROR(Check(api_.GetTensorMutableData(value, &data)));
    result.byte_size = BytesOf(result.shape, result.type);
    binding.places.push_back(static_cast<std::byte*>(data));
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
    return UploadParts(*queue_, input.parts, staging_[index], binding_->inputs[index].data(),
                       needed);
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
    const std::byte* from = binding_->places[delivery.result];
    if (delivery.to.gpu_reaches()) {
      return queue_->Copy(delivery.to.data, from + delivery.from, delivery.to.size);
    }
    if (host != nullptr) return nullptr;
    const size_t size = binding_->results[delivery.result].byte_size;
    TEPAL_RETURN_IF_ERROR(returning_[delivery.result].Reserve(size));
    host = returning_[delivery.result].data();
    return queue_->Copy(host, from, size);
  }

  // The largest first, so that ONNX Runtime's arena need not grow for the others.
  Error* CaptureGraphs(const std::vector<int64_t>& sizes) {
    for (size_t i = sizes.size(); i-- > 0;) {
      Binding graph;
      TEPAL_RETURN_IF_ERROR(NewBinding(sizes[i], std::to_string(i + 1), graph));
      TEPAL_RETURN_IF_ERROR(Capture(graph));
      graphs_.insert(graphs_.begin(), std::move(graph));
    }
    return nullptr;
  }

  Error* Capture(Binding& graph) {
    std::vector<RunnerInput> inputs;
    for (const OrtTensorFacts& facts : session_->inputs()) {
      RunnerInput& input = inputs.emplace_back();
      input.shape = facts.dims;
      if (!input.shape.empty() && input.shape[0] == -1) input.shape[0] = graph.rows;
      if (std::count(input.shape.begin(), input.shape.end(), -1) == 0) continue;
      return InvalidArgument("model '" + model_ +
                             "': parameter 'CUDA_GRAPH_BATCH_SIZES' needs "
                             "inputs of fixed dims, '" +
                             facts.name + "' has " + ShapeText(facts.dims));
    }
    // Once without a graph, to learn the shapes of the outputs.
    TEPAL_RETURN_IF_ERROR(BindInputs(any_, inputs));
    TEPAL_RETURN_IF_ERROR(Execute(any_));
    TEPAL_RETURN_IF_ERROR(ReadResults(any_));
    TEPAL_RETURN_IF_ERROR(queue_->Wait());
    graph.results = any_.results;
    TEPAL_RETURN_IF_ERROR(BindInputs(graph, inputs));
    api_.ClearBoundOutputs(graph.binding.get());
    for (size_t i = 0; i < graph.results.size(); ++i) {
      const RunnerResult& result = graph.results[i];
      CudaBlock& block = graph.outputs.emplace_back(*queue_, false);
      TEPAL_RETURN_IF_ERROR(block.Reserve(std::max<size_t>(result.byte_size, 1)));
      TEPAL_RETURN_IF_ERROR(NewValue(block, result.shape, result.type, graph));
      TEPAL_RETURN_IF_ERROR(Check(api_.BindOutput(
          graph.binding.get(), session_->outputs()[i].name.c_str(), graph.values.back().get())));
      graph.places.push_back(block.data());
    }
    for (int run = 0; run < kWarmUps; ++run) TEPAL_RETURN_IF_ERROR(Execute(graph));
    return queue_->Wait();
  }

  const OrtRuntime& runtime_;
  const OrtApi& api_;
  const std::string model_;
  std::unique_ptr<CudaQueue> queue_;  // Outlives everything on it.
  std::unique_ptr<Session> session_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<CudaBlock> staging_, returning_;
  Binding any_;
  std::vector<Binding> graphs_;  // Ascending in rows.

  // Of the batch at hand.
  int64_t rows_ = 0;
  Binding* binding_ = nullptr;
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
