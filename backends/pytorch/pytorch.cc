// The pytorch backend: TorchScript files (platform "pytorch_libtorch") through LibTorch, on the CPU
// and on GPUs.
//
// Each instance executes on its own: on a GPU with its own stream. Parameters: see settings.h.

#include <sys/stat.h>

#include <map>
#include <mutex>

#include "backends/pytorch/groups.h"
#include "backends/pytorch/module.h"

namespace tepal_plugin {
namespace {

class TorchModel : public Model {
 public:
  TorchModel(ModelFacts facts, std::string path, TorchSettings settings)
      : facts_(std::move(facts)), path_(std::move(path)), settings_(std::move(settings)) {}

  void Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) override;
  Error* MakeRunner(int device, std::unique_ptr<TorchRunner>& out);

 private:
  Error* Compute(TorchRunner& runner, RequestGroup& group, std::vector<HostTensor>& results) const;
  void RunGroup(TorchRunner& runner, RequestBatch& batch, RequestGroup& group) const;
  Error* FillResponse(Request request, Response& response, const std::vector<HostTensor>& results,
                      int64_t first, int64_t rows) const;

  const ModelFacts facts_;
  const std::string path_;
  const TorchSettings settings_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<LoadedModule>> shared_;  // By device.
};

TorchRunner* RunnerOf(TRITONBACKEND_ModelInstance* instance) {
  void* state = nullptr;
  TRITONSERVER_ErrorDelete(TRITONBACKEND_ModelInstanceState(instance, &state));
  return static_cast<TorchRunner*>(state);
}

Error* TorchModel::MakeRunner(int device, std::unique_ptr<TorchRunner>& out) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<LoadedModule> module;
  if (settings_.weight_sharing) module = shared_[device];
  if (module == nullptr) TEPAL_RETURN_IF_ERROR(LoadModule(path_, device, module));
  if (settings_.weight_sharing) shared_[device] = module;
  return TorchRunner::Make(std::move(module), facts_.name, settings_, out);
}

void TorchModel::Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) {
  TorchRunner& runner = *RunnerOf(instance);
  ForEachGroup(batch, facts_.name, settings_,
               [&](RequestGroup& group) { RunGroup(runner, batch, group); });
}

Error* TorchModel::Compute(TorchRunner& runner, RequestGroup& group,
                           std::vector<HostTensor>& results) const {
  for (size_t k = 0; k < group.inputs.size(); ++k) {
    const std::vector<Input>& parts = group.inputs[k];
    std::vector<int64_t> shape(parts[0].shape.begin(), parts[0].shape.end());
    size_t size = parts[0].byte_size;
    for (size_t i = 1; i < parts.size(); ++i) {
      shape[0] += parts[i].shape[0];
      size += parts[i].byte_size;
    }
    std::byte* to = nullptr;
    TEPAL_RETURN_IF_ERROR(runner.StageInput(k, shape, size, to));
    for (const Input& part : parts) {
      TEPAL_RETURN_IF_ERROR(part.CopyTo(to));
      to += part.byte_size;
    }
  }
  group.times.compute_start = NowNs();
  TEPAL_RETURN_IF_ERROR(runner.Run(results));
  group.times.compute_end = NowNs();
  for (size_t i = 0; settings_.batches && i < results.size(); ++i) {
    const std::vector<int64_t>& shape = results[i].shape;
    if (!shape.empty() && shape[0] == group.total_rows) continue;
    return Internal("output '" + settings_.outputs[i].name + "' of model '" + facts_.name +
                    "' has shape " + ShapeText(shape) + ", a batch of " +
                    std::to_string(group.total_rows) + " rows needs that number first");
  }
  return nullptr;
}

void TorchModel::RunGroup(TorchRunner& runner, RequestBatch& batch, RequestGroup& group) const {
  std::vector<HostTensor> results;
  Error* failed = Compute(runner, group, results);
  int64_t first = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    if (failed != nullptr) {
      batch.FinishWithError(
          i, Fail(TRITONSERVER_ErrorCode(failed), TRITONSERVER_ErrorMessage(failed)), group.times);
      continue;
    }
    Response response;
    Error* error = Response::To(batch[i], response);
    const int64_t rows = group.rows[i - group.begin];
    if (error == nullptr) error = FillResponse(batch[i], response, results, first, rows);
    first += rows;
    group.times.exec_end = NowNs();
    batch.Finish(i, std::move(response), error, group.times);
  }
  if (failed == nullptr) batch.ReportBatch(static_cast<uint64_t>(group.total_rows), group.times);
  TRITONSERVER_ErrorDelete(failed);
}

Error* TorchModel::FillResponse(Request request, Response& response,
                                const std::vector<HostTensor>& results, int64_t first,
                                int64_t rows) const {
  for (size_t k = 0; k < results.size(); ++k) {
    const std::string& name = settings_.outputs[k].name;
    if (!request.Wants(name)) continue;
    std::vector<int64_t> shape = results[k].shape;
    size_t from = 0;
    size_t size = results[k].byte_size;
    if (settings_.batches && shape[0] > 0) {
      const size_t row = size / static_cast<size_t>(shape[0]);
      shape[0] = rows;
      from = static_cast<size_t>(first) * row;
      size = static_cast<size_t>(rows) * row;
    }
    std::byte* to = nullptr;
    TEPAL_RETURN_IF_ERROR(response.AddOutput(name.c_str(), results[k].type, shape, size, to));
    if (size > 0) std::memcpy(to, results[k].data + from, size);
  }
  return nullptr;
}

Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  TorchSettings settings;
  TEPAL_RETURN_IF_ERROR(ReadTorchSettings(facts, settings));
  std::string name = facts.config["default_model_filename"].text();
  if (name.empty()) name = "model.pt";
  std::string path = facts.directory + "/" + std::to_string(facts.version) + "/" + name;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return Fail(TRITONSERVER_ERROR_UNAVAILABLE,
                "unable to find '" + path + "' for model '" + facts.name + "'");
  }
  made = std::make_unique<TorchModel>(std::move(facts), std::move(path), std::move(settings));
  return nullptr;
}

Error* StartInstance(TRITONBACKEND_ModelInstance* instance) {
  TRITONBACKEND_Model* model = nullptr;
  TRITONSERVER_InstanceGroupKind kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
  int32_t device = 0;
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceModel(instance, &model));
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceKind(instance, &kind));
  TEPAL_RETURN_IF_ERROR(TRITONBACKEND_ModelInstanceDeviceId(instance, &device));
  if (kind == TRITONSERVER_INSTANCEGROUPKIND_MODEL) {
    return Fail(TRITONSERVER_ERROR_UNSUPPORTED,
                "the pytorch backend does not serve instance groups of KIND_MODEL");
  }
  std::unique_ptr<TorchRunner> runner;
  const int where = kind == TRITONSERVER_INSTANCEGROUPKIND_GPU ? device : kCpuDevice;
  TEPAL_RETURN_IF_ERROR(static_cast<TorchModel*>(ModelOf(model))->MakeRunner(where, runner));
  return TRITONBACKEND_ModelInstanceSetState(instance, runner.release());
}

}  // namespace
}  // namespace tepal_plugin

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance* instance) {
  return tepal_plugin::Caught([&] { return tepal_plugin::StartInstance(instance); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance* instance) {
  return tepal_plugin::Caught([&]() -> TRITONSERVER_Error* {
    const std::unique_ptr<tepal_plugin::TorchRunner> owned(tepal_plugin::RunnerOf(instance));
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

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* /*backend*/) {
  tepal_plugin::Log(TRITONSERVER_LOG_INFO, tepal_plugin::TorchText() + ", " +
                                               std::to_string(tepal_plugin::GpuCount()) + " GPUs");
  return tepal_plugin::CheckApiVersion();
}

}  // extern "C"
