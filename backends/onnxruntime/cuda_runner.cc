#include "backends/onnxruntime/cuda_runner.h"

#include <algorithm>

#include "backends/onnxruntime/cuda_graphs.h"
#include "backends/onnxruntime/cuda_session.h"

namespace tepal_plugin {
namespace {

class Runner final : public CudaRunner {
 public:
  explicit Runner(std::unique_ptr<CudaSession> session)
      : session_(std::move(session)), queue_(session_->queue()), plain_(*session_) {
    for (size_t i = 0; i < session_->inputs().size(); ++i) {
      inputs_.emplace_back(queue_, false);
      staging_.emplace_back(queue_, true);
    }
    for (size_t i = 0; i < session_->outputs().size(); ++i) returning_.emplace_back(queue_, true);
  }

  Error* Open() {
    const cuda::CudaContextScope scope(queue_.api(), queue_.context());
    return plain_.Open();
  }

  Error* RecordGraphs(const CudaOptions& options) {
    const cuda::CudaContextScope scope(queue_.api(), queue_.context());
    graphs_ = std::make_unique<CudaGraphs>(*session_);
    return graphs_->Record(options);
  }

  Error* Load(const std::vector<RunnerInput>& inputs) override {
    const cuda::CudaContextScope scope(queue_.api(), queue_.context());
    std::vector<std::vector<int64_t>> shapes;
    for (const RunnerInput& input : inputs) shapes.push_back(input.shape);
    if (graphs_ != nullptr) {
      graphs_->Choose(shapes[0][0]);
    } else {
      TEPAL_RETURN_IF_ERROR(plain_.BindInputs(shapes, inputs_));
    }
    for (size_t i = 0; i < inputs.size(); ++i) TEPAL_RETURN_IF_ERROR(Upload(i, inputs[i]));
    return nullptr;
  }

  Error* Run(std::vector<RunnerResult>& results) override {
    const cuda::CudaContextScope scope(queue_.api(), queue_.context());
    if (graphs_ != nullptr) {
      TEPAL_RETURN_IF_ERROR(graphs_->Launch(results_, places_));
    } else {
      TEPAL_RETURN_IF_ERROR(plain_.Run());
      TEPAL_RETURN_IF_ERROR(plain_.ReadResults(results_, places_));
    }
    results = results_;
    return nullptr;
  }

  Error* Deliver(const std::vector<Delivery>& deliveries) override {
    const cuda::CudaContextScope scope(queue_.api(), queue_.context());
    // What ordinary memory wants of a result comes to pinned memory in one copy, all of it.
    std::vector<std::byte*> host(returning_.size());
    Error* error = nullptr;
    for (const Delivery& delivery : deliveries) {
      error = Fetch(delivery, host[delivery.result]);
      if (error != nullptr) break;
    }
    Error* waiting = queue_.Wait();
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
  // Copies input `index` behind one another to where it is bound.
  Error* Upload(size_t index, const RunnerInput& input) {
    const OrtTensorFacts& facts = session_->inputs()[index];
    std::byte* to = graphs_ != nullptr ? graphs_->input(index) : inputs_[index].data();
    const size_t needed = BytesOf(input.shape, facts.type);
    if (input.byte_size() != needed) {
      return InvalidArgument("input '" + facts.name + "' of model '" + session_->model() +
                             "' has " + std::to_string(input.byte_size()) + " bytes, its shape " +
                             ShapeText(input.shape) + " needs " + std::to_string(needed));
    }
    CudaBlock& staging = staging_[index];
    return UploadParts(
        input.parts, to,
        [&](std::byte*& pinned) -> Error* {
          TEPAL_RETURN_IF_ERROR(staging.Reserve(needed));
          pinned = staging.data();
          return nullptr;
        },
        [&](std::byte* at, const std::byte* from, size_t size) {
          return queue_.Copy(at, from, size);
        });
  }

  Error* Fetch(const Delivery& delivery, std::byte*& host) {
    const std::byte* from = places_[delivery.result];
    if (delivery.to.gpu_reaches()) {
      return queue_.Copy(delivery.to.data, from + delivery.from, delivery.to.size);
    }
    if (host != nullptr) return nullptr;
    const size_t size = results_[delivery.result].byte_size;
    TEPAL_RETURN_IF_ERROR(returning_[delivery.result].Reserve(size));
    host = returning_[delivery.result].data();
    return queue_.Copy(host, from, size);
  }

  const std::unique_ptr<CudaSession> session_;
  CudaQueue& queue_;
  CudaBinding plain_;
  std::unique_ptr<CudaGraphs> graphs_;  // Instead of plain runs.
  std::vector<CudaBlock> inputs_, staging_, returning_;
  std::vector<RunnerResult> results_;  // Of the batch at hand, as `places_`.
  std::vector<std::byte*> places_;
};

Error* NewRunner(const OrtRuntime& runtime, const std::string& path, const SessionOptions& options,
                 const CudaOptions& cuda, int device, const std::string& model,
                 std::unique_ptr<Runner>& out) {
  std::unique_ptr<CudaSession> session;
  TEPAL_RETURN_IF_ERROR(CudaSession::Open(runtime, path, options, cuda, device, model, session));
  out = std::make_unique<Runner>(std::move(session));
  return out->Open();
}

}  // namespace

Error* CudaRunner::Make(const OrtRuntime& runtime, const std::string& path,
                        const SessionOptions& options, const CudaOptions& cuda, int device,
                        const std::string& model, std::unique_ptr<CudaRunner>& out) {
  std::unique_ptr<Runner> runner;
  TEPAL_RETURN_IF_ERROR(NewRunner(runtime, path, options, cuda, device, model, runner));
  if (!cuda.graph_batch_sizes.empty()) {
    const uint64_t start = NowNs();
    const std::string subject = "model '" + model + "' on GPU " + std::to_string(device) + ": ";
    if (Error* error = runner->RecordGraphs(cuda)) {
      Log(TRITONSERVER_LOG_WARN, subject + "runs without CUDA graphs, which it cannot record: " +
                                     TRITONSERVER_ErrorMessage(error));
      TRITONSERVER_ErrorDelete(error);
      runner.reset();
      TEPAL_RETURN_IF_ERROR(NewRunner(runtime, path, options, cuda, device, model, runner));
    } else {
      Log(TRITONSERVER_LOG_INFO,
          subject + "recorded " + std::to_string(cuda.graph_batch_sizes.size()) +
              " CUDA graphs in " + std::to_string((NowNs() - start) / 1'000'000) + " ms");
    }
  }
  out = std::move(runner);
  return nullptr;
}

}  // namespace tepal_plugin
