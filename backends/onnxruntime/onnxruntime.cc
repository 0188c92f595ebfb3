// The onnxruntime backend: ONNX models through ONNX Runtime, on the CPU and on GPUs.
//
// One session a model version, which its instances on the CPU share: ONNX Runtime's Run is
// thread-safe. An instance on a GPU has its own (cuda_runner.h). The requests of a batch whose
// tensors fit together are concatenated, run at once and cut apart again. Model parameters
// (Triton's): intra_op_thread_count, inter_op_thread_count, execution_mode, enable_mem_arena,
// enable_mem_pattern; each may be given for all models as a backend setting. Those of the GPU:
// cuda_options.h.

#include <sys/stat.h>

#include <algorithm>

#include "backends/onnxruntime/complete.h"
#include "backends/onnxruntime/cuda_runner.h"
#include "backends/onnxruntime/tensors.h"

namespace tepal_plugin {
namespace {

constexpr int64_t kDefaultMaxBatchSize = 4;
constexpr uint64_t kDefaultInstances = 2;  // Of a group on the CPU, as Triton has it.

// What all models share.
struct BackendState {
  std::unique_ptr<OrtRuntime> runtime;
  Json settings;  // The "cmdline" object.
};

class OnnxModel : public Model {
 public:
  OnnxModel(ModelFacts facts, std::string path, const SessionOptions& options, CudaOptions cuda,
            std::unique_ptr<Session> session)
      : facts_(std::move(facts)),
        path_(std::move(path)),
        options_(options),
        cuda_(std::move(cuda)),
        session_(std::move(session)) {
    device_model_ = {facts_.name, {}, facts_.batches()};
    for (const OrtTensorFacts& output : session_->outputs()) {
      device_model_.outputs.push_back(output.name);
    }
  }

  void Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) override;

  // For an instance on GPU `device`.
  Error* MakeRunner(int device, std::unique_ptr<CudaRunner>& out) const {
    return CudaRunner::Make(session_->runtime(), path_, options_, cuda_, device, facts_.name, out);
  }

 private:
  Error* ReadInputs(Request request, std::vector<Input>& out) const;
  bool Joins(const RequestGroup& group, const std::vector<Input>& inputs) const;
  void RunGroup(RequestBatch& batch, RequestGroup& group) const;
  Error* Compute(RequestBatch& batch, RequestGroup& group, std::vector<std::string>& names,
                 std::vector<OrtOwned<OrtValue>>& values, std::vector<ResultTensor>& results) const;
  Error* WantedOutputs(RequestBatch& batch, const RequestGroup& group,
                       std::vector<std::string>& names) const;
  Error* FillResponse(Request request, Response& response, const std::vector<std::string>& names,
                      const std::vector<ResultTensor>& results, int64_t first, int64_t rows) const;

  const ModelFacts facts_;
  const std::string path_;
  const SessionOptions options_;
  const CudaOptions cuda_;
  DeviceModel device_model_;
  const std::unique_ptr<Session> session_;
};

// Of an instance on a GPU; null on the CPU.
CudaRunner* RunnerOf(TRITONBACKEND_ModelInstance* instance) {
  void* state = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceState(instance, &state));
  return static_cast<CudaRunner*>(state);
}

void OnnxModel::Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) {
  CudaRunner* runner = RunnerOf(instance);
  RequestGroup group;
  const auto run = [&](size_t next) {
    if (group.end > group.begin && runner != nullptr) {
      RunGroupOnDevice(*runner, device_model_, batch, group);
    } else if (group.end > group.begin) {
      RunGroup(batch, group);
    }
    group = RequestGroup();
    group.begin = group.end = next;
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    std::vector<Input> inputs;
    if (Error* error = ReadInputs(batch[i], inputs)) {
      run(i + 1);
      batch.FinishWithError(i, error, Times());
      continue;
    }
    if (group.end > group.begin && !Joins(group, inputs)) run(i);
    const int64_t rows =
        facts_.batches() && !inputs.empty() && !inputs[0].shape.empty() ? inputs[0].shape[0] : 1;
    group.inputs.resize(inputs.size());
    for (size_t k = 0; k < inputs.size(); ++k) group.inputs[k].push_back(inputs[k]);
    group.rows.push_back(rows);
    group.total_rows += rows;
    group.end = i + 1;
  }
  run(batch.size());
}

// In the order of the model's inputs.
Error* OnnxModel::ReadInputs(Request request, std::vector<Input>& out) const {
  bool cancelled = false;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_RequestIsCancelled(request.handle(), &cancelled));
  if (cancelled) return Fail(TRITONSERVER_ERROR_CANCELLED, "the request was cancelled");
  for (const OrtTensorFacts& declared : session_->inputs()) {
    Input& input = out.emplace_back();
    TEPAL_RETURN_IF_ERROR(request.FindInput(declared.name.c_str(), input));
    if (input.type != declared.type) {
      return InvalidArgument("input '" + declared.name + "' is " +
                             TRITONSERVER_DataTypeString(input.type) + ", model '" + facts_.name +
                             "' takes " + TRITONSERVER_DataTypeString(declared.type));
    }
  }
  return nullptr;
}

bool OnnxModel::Joins(const RequestGroup& group, const std::vector<Input>& inputs) const {
  if (!facts_.batches()) return false;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const auto first = group.inputs[k][0].shape;
    const auto shape = inputs[k].shape;
    if (shape.empty() || shape.size() != first.size() ||
        !std::equal(shape.begin() + 1, shape.end(), first.begin() + 1)) {
      return false;
    }
  }
  return true;
}

// Every output that some request of the group wants.
Error* OnnxModel::WantedOutputs(RequestBatch& batch, const RequestGroup& group,
                                std::vector<std::string>& names) const {
  for (const OrtTensorFacts& output : session_->outputs()) {
    for (size_t i = group.begin; i < group.end; ++i) {
      if (!batch[i].Wants(output.name)) continue;
      names.push_back(output.name);
      break;
    }
  }
  if (names.empty()) return InvalidArgument("no output of model '" + facts_.name + "' is wanted");
  return nullptr;
}

Error* OnnxModel::Compute(RequestBatch& batch, RequestGroup& group, std::vector<std::string>& names,
                          std::vector<OrtOwned<OrtValue>>& values,
                          std::vector<ResultTensor>& results) const {
  TEPAL_RETURN_IF_ERROR(WantedOutputs(batch, group, names));
  std::vector<GatheredInput> gathered(group.inputs.size());
  std::vector<const char*> input_names;
  std::vector<OrtValue*> input_values;
  for (size_t k = 0; k < group.inputs.size(); ++k) {
    TEPAL_RETURN_IF_ERROR(GatheredInput::Gather(session_->runtime(), group.inputs[k], gathered[k]));
    input_names.push_back(session_->inputs()[k].name.c_str());
    input_values.push_back(gathered[k].value());
  }
  std::vector<const char*> output_names;
  for (const std::string& name : names) output_names.push_back(name.c_str());
  group.times.compute_start = NowNs();
  TEPAL_RETURN_IF_ERROR(session_->Run(input_names, input_values, output_names, values));
  group.times.compute_end = NowNs();
  results.resize(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    TEPAL_RETURN_IF_ERROR(
        ResultTensor::Read(session_->runtime(), values[i].get(), names[i], results[i]));
    const std::vector<int64_t>& shape = results[i].shape();
    if (facts_.batches() && (shape.empty() || shape[0] != group.total_rows)) {
      return Internal("output '" + names[i] + "' of model '" + facts_.name + "' has shape " +
                      ShapeText(shape) + ", a batch of " + std::to_string(group.total_rows) +
                      " rows needs that number first");
    }
  }
  return nullptr;
}

void OnnxModel::RunGroup(RequestBatch& batch, RequestGroup& group) const {
  std::vector<std::string> names;
  std::vector<OrtOwned<OrtValue>> values;  // Hold what `results` point to.
  std::vector<ResultTensor> results;
  Error* failed = Compute(batch, group, names, values, results);
  int64_t first = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    if (failed != nullptr) {
      batch.FinishWithError(
          i,
          TRITONSERVER_ErrorNew(TRITONSERVER_ErrorCode(failed), TRITONSERVER_ErrorMessage(failed)),
          group.times);
      continue;
    }
    Response response;
    Error* error = Response::To(batch[i], response);
    const int64_t rows = group.rows[i - group.begin];
    if (error == nullptr) {
      error = FillResponse(batch[i], response, names, results, first, rows);
    }
    first += rows;
    group.times.exec_end = NowNs();
    batch.Finish(i, std::move(response), error, group.times);
  }
  if (failed == nullptr) {
    batch.ReportBatch(static_cast<uint64_t>(group.total_rows), group.times);
  }
  TRITONSERVER_ErrorDelete(failed);
}

Error* OnnxModel::FillResponse(Request request, Response& response,
                               const std::vector<std::string>& names,
                               const std::vector<ResultTensor>& results, int64_t first,
                               int64_t rows) const {
  for (size_t k = 0; k < names.size(); ++k) {
    if (!request.Wants(names[k])) continue;
    TEPAL_RETURN_IF_ERROR(results[k].AddRows(response, names[k], facts_.batches(), first, rows));
  }
  return nullptr;
}

// <model>/<version>/model.onnx, or the file of that name in a folder of that name.
Error* FindFile(const ModelFacts& facts, std::string& path) {
  std::string name = facts.config["default_model_filename"].text();
  if (name.empty()) name = "model.onnx";
  path = facts.directory + "/" + std::to_string(facts.version) + "/" + name;
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) path += "/" + name;
  if (stat(path.c_str(), &status) == 0) return nullptr;
  return Fail(TRITONSERVER_ERROR_UNAVAILABLE,
              "unable to find '" + path + "' for model '" + facts.name + "'");
}

Error* Complete(TRITONBACKEND_Model* model, ModelFacts& facts, const Session& session,
                const Json& settings) {
  bool wanted = false;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelAutoCompleteConfig(model, &wanted));
  if (!wanted) return nullptr;
  const Json& default_size = settings["default-max-batch-size"];
  Json config = facts.config;
  TEPAL_RETURN_IF_ERROR(CompleteConfig(facts.name, session.inputs(), session.outputs(),
                                       default_size.AsInt(kDefaultMaxBatchSize), config));
  const std::string text = config.Write();
  if (text == facts.config.Write()) return nullptr;
  TRITONSERVER_Message* message = nullptr;
  TEPAL_RETURN_IF_ERROR(
      TRITONSERVER_MessageNewFromSerializedJson(&message, text.data(), text.size()));
  Error* error = TRITONBACKEND_ModelSetConfig(model, 1, message);
  TRITONSERVER_ErrorDelete(TRITONSERVER_MessageDelete(message));
  TEPAL_RETURN_IF_ERROR(error);
  return facts.ReadConfig(model);
}

Error* StateOf(TRITONBACKEND_Backend* backend, BackendState*& state) {
  void* raw = nullptr;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_BackendState(backend, &raw));
  state = static_cast<BackendState*>(raw);
  return nullptr;
}

Error* Make(TRITONBACKEND_Model* model, ModelFacts facts, std::unique_ptr<Model>& made) {
  TRITONBACKEND_Backend* backend = nullptr;
  BackendState* state = nullptr;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelBackend(model, &backend));
  TEPAL_RETURN_IF_ERROR(StateOf(backend, state));
  std::string path;
  SessionOptions options;
  CudaOptions cuda;
  std::unique_ptr<Session> session;
  TEPAL_RETURN_IF_ERROR(FindFile(facts, path));
  TEPAL_RETURN_IF_ERROR(ReadOptions(facts, state->settings, options));
  TEPAL_RETURN_IF_ERROR(Session::Open(*state->runtime, path, options, session));
  TEPAL_RETURN_IF_ERROR(Complete(model, facts, *session, state->settings));
  TEPAL_RETURN_IF_ERROR(
      CheckConfig(facts.name, session->inputs(), session->outputs(), facts.config));
  TEPAL_RETURN_IF_ERROR(ReadCudaOptions(facts, cuda));
  made = std::make_unique<OnnxModel>(std::move(facts), std::move(path), options, std::move(cuda),
                                     std::move(session));
  return nullptr;
}

Error* StartInstance(TRITONBACKEND_ModelInstance* instance) {
  TRITONBACKEND_Model* model = nullptr;
  TRITONSERVER_InstanceGroupKind kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
  int32_t device = 0;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &model));
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceKind(instance, &kind));
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceDeviceId(instance, &device));
  if (kind != TRITONSERVER_INSTANCEGROUPKIND_GPU) return nullptr;
  std::unique_ptr<CudaRunner> runner;
  TEPAL_RETURN_IF_ERROR(static_cast<OnnxModel*>(ModelOf(model))->MakeRunner(device, runner));
  return TRITONBACKEND_ModelInstanceSetState(instance, runner.release());
}

Error* Start(TRITONBACKEND_Backend* backend) {
  TEPAL_RETURN_IF_ERROR(CheckApiVersion());
  auto state = std::make_unique<BackendState>();
  TRITONSERVER_Message* message = nullptr;
  const char* text = nullptr;
  size_t size = 0;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_BackendConfig(backend, &message));
  TEPAL_RETURN_IF_ERROR(TRITONSERVER_MessageSerializeToJson(message, &text, &size));
  state->settings = Json::Parse({text, size})["cmdline"];
  TRITONBACKEND_ArtifactType artifact = TRITONBACKEND_ARTIFACT_FILESYSTEM;
  const char* directory = nullptr;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_BackendArtifacts(backend, &artifact, &directory));
  TEPAL_RETURN_IF_ERROR(OrtRuntime::Load(directory, state->runtime));
  return TRITONBACKEND_BackendSetState(backend, state.release());
}

}  // namespace
}  // namespace tepal_plugin

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* backend) {
  return tepal_plugin::Caught([&] { return tepal_plugin::Start(backend); });
}

TRITONSERVER_Error* TRITONBACKEND_Finalize(TRITONBACKEND_Backend* backend) {
  return tepal_plugin::Caught([&]() -> TRITONSERVER_Error* {
    tepal_plugin::BackendState* state = nullptr;
    TEPAL_RETURN_IF_ERROR(tepal_plugin::StateOf(backend, state));
    const std::unique_ptr<tepal_plugin::BackendState> owned(state);
    return TRITONBACKEND_BackendSetState(backend, nullptr);
  });
}

// Models that say nothing stay on the CPU, also beside a GPU: the library found may have no CUDA.
TRITONSERVER_Error* TRITONBACKEND_GetBackendAttribute(TRITONBACKEND_Backend* /*backend*/,
                                                      TRITONBACKEND_BackendAttribute* attributes) {
  return TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(
      attributes, TRITONSERVER_INSTANCEGROUPKIND_CPU, tepal_plugin::kDefaultInstances, nullptr, 0);
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance* instance) {
  return tepal_plugin::Caught([&] { return tepal_plugin::StartInstance(instance); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance* instance) {
  return tepal_plugin::Caught([&]() -> TRITONSERVER_Error* {
    const std::unique_ptr<tepal_plugin::CudaRunner> owned(tepal_plugin::RunnerOf(instance));
    return TRITONBACKEND_ModelInstanceSetState(instance, nullptr);
  });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return tepal_plugin::InitializeModel(model, tepal_plugin::Make);
}

TRITONSERVER_Error* TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return tepal_plugin::FinalizeModel(model);
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                       TRITONBACKEND_Request** requests,
                                                       const uint32_t count) {
  return tepal_plugin::ExecuteModel(instance, requests, count);
}

}  // extern "C"
