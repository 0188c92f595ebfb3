// An ONNX file opened on one GPU, and runs of it with tensors bound to memory there (IO binding).

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnxruntime/cuda_memory.h"
#include "backends/onnxruntime/cuda_options.h"
#include "backends/onnxruntime/session.h"
#include "backends/sugar/device_runner.h"

namespace tepal_plugin {

size_t BytesOf(const std::vector<int64_t>& shape, TRITONSERVER_DataType type);

// A session and the stream it runs on.
class CudaSession {
 public:
  // The error says what is missing: CUDA's driver, the provider's library or what that needs.
  static Error* Open(const OrtRuntime& runtime, const std::string& path,
                     const SessionOptions& options, const CudaOptions& cuda, int device,
                     const std::string& model, std::unique_ptr<CudaSession>& out);

  const OrtRuntime& runtime() const { return runtime_; }
  const std::string& model() const { return model_; }
  CudaQueue& queue() const { return *queue_; }
  OrtSession* handle() const { return session_->handle(); }
  const OrtMemoryInfo* memory() const { return memory_.get(); }
  const std::vector<OrtTensorFacts>& inputs() const { return session_->inputs(); }
  const std::vector<OrtTensorFacts>& outputs() const { return session_->outputs(); }

  // An error of ONNX Runtime's; of memory that is not there, one that tells clients to come again.
  Error* Check(OrtStatus* status) const;

 private:
  CudaSession(const OrtRuntime& runtime, std::string model)
      : runtime_(runtime), model_(std::move(model)) {}
  Error* AddProvider(const CudaOptions& cuda, int device, OrtSessionOptions* into) const;

  const OrtRuntime& runtime_;
  const std::string model_;
  std::unique_ptr<CudaQueue> queue_;  // Outlives everything on it.
  std::unique_ptr<Session> session_;
  OrtOwned<OrtMemoryInfo> memory_;
};

// Where inputs and outputs of a run lie. Used within the queue's context, like all below.
class CudaBinding {
 public:
  explicit CudaBinding(CudaSession& session) : session_(session) {}
  Error* Open();

  // Inputs in these blocks, which grow as needed; outputs where ONNX Runtime puts them.
  Error* BindInputs(const std::vector<std::vector<int64_t>>& shapes,
                    std::vector<CudaBlock>& blocks);
  // Outputs of these types and shapes in these blocks instead.
  Error* BindOutputs(const std::vector<RunnerResult>& results, std::vector<CudaBlock>& blocks);

  // Begins to execute on the stream.
  Error* Run();
  // What the run gave, and where it lies until the next BindInputs.
  Error* ReadResults(std::vector<RunnerResult>& results, std::vector<std::byte*>& places);

 private:
  Error* NewValue(const CudaBlock& block, const std::vector<int64_t>& shape,
                  TRITONSERVER_DataType type);
  Error* ReadResult(OrtValue* value, TRITONSERVER_DataType type, RunnerResult& result,
                    std::byte*& place) const;

  CudaSession& session_;
  OrtOwned<OrtIoBinding> binding_;
  OrtOwned<OrtRunOptions> options_;
  std::vector<OrtOwned<OrtValue>> values_;  // What is bound, or was given.
};

}  // namespace tepal_plugin
