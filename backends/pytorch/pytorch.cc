// The pytorch backend: TorchScript files (platform "pytorch_libtorch") through LibTorch, on the CPU
// and on GPUs.
//
// Each instance executes on its own: on a GPU with its own stream. Parameters: see settings.h.

#include <sys/stat.h>

#include <map>
#include <mutex>

#include "backends/pytorch/cpu_memory.h"
#include "backends/pytorch/gpu.h"
#include "backends/pytorch/groups.h"
#include "backends/pytorch/runner.h"

namespace tepal_plugin {
namespace {

class TorchModel : public Model {
 public:
  TorchModel(ModelFacts facts, std::string path, TorchSettings settings)
      : facts_(std::move(facts)), path_(std::move(path)), settings_(std::move(settings)) {
    device_model_ = {facts_.name, {}, settings_.batches};
    for (const TensorSettings& output : settings_.outputs) {
      device_model_.outputs.push_back(output.name);
    }
  }

  void Execute(TRITONBACKEND_ModelInstance* instance, RequestBatch batch) override;
  Error* MakeRunner(int device, std::unique_ptr<TorchRunner>& out);

 private:
  const ModelFacts facts_;
  const std::string path_;
  const TorchSettings settings_;
  DeviceModel device_model_;
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
               [&](RequestGroup& group) { RunGroupOnDevice(runner, device_model_, batch, group); });
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
  tepal_plugin::KeepCpuTensors();
  return tepal_plugin::CheckApiVersion();
}

}  // extern "C"
