// One ONNX file, opened: what it takes and gives, and a Run that several threads may call at once.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backends/onnxruntime/ort.h"

namespace tepal_plugin {

// A tensor as the file declares it.
struct OrtTensorFacts {
  std::string name;
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  std::vector<int64_t> dims;  // -1: any length.
};

// How to open it; Triton's names and meanings (see ReadOptions).
struct SessionOptions {
  int intra_op_threads = 0;  // 0: one for each core.
  int inter_op_threads = 0;
  bool parallel = false;
  GraphOptimizationLevel optimization = ORT_ENABLE_ALL;
  bool memory_arena = true;
  bool memory_pattern = true;
};

// From the model's configuration, then from the backend's settings (--backend-config).
Error* ReadOptions(const ModelFacts& facts, const Json& settings, SessionOptions& out);

class Session {
 public:
  // Adds what runs the graph beside the CPU.
  using AddProvider = std::function<Error*(OrtSessionOptions*)>;

  // The error names the file.
  static Error* Open(const OrtRuntime& runtime, const std::string& path,
                     const SessionOptions& options, std::unique_ptr<Session>& out,
                     const AddProvider& add_provider = nullptr);

  const std::vector<OrtTensorFacts>& inputs() const { return inputs_; }
  const std::vector<OrtTensorFacts>& outputs() const { return outputs_; }
  const OrtRuntime& runtime() const { return runtime_; }
  OrtSession* handle() const { return session_.get(); }

  // Thread-safe. `values` are given in the order of `input_names`; results come in that of
  // `output_names`.
  Error* Run(const std::vector<const char*>& input_names, const std::vector<OrtValue*>& values,
             const std::vector<const char*>& output_names,
             std::vector<OrtOwned<OrtValue>>& results) const;

 private:
  explicit Session(const OrtRuntime& runtime) : runtime_(runtime) {}
  Error* ReadTensors(bool inputs, std::vector<OrtTensorFacts>& out);

  const OrtRuntime& runtime_;
  OrtOwned<OrtSession> session_;
  std::vector<OrtTensorFacts> inputs_, outputs_;
};

}  // namespace tepal_plugin
