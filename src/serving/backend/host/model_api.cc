// Models and model instances.

#include <memory>

#include "core/base/text.h"
#include "serving/backend/host/backend_objects.h"

namespace {

using tepal::backend_host::NewError;

constexpr uint32_t kConfigVersion = 1;

TRITONSERVER_Error* WrongConfigVersion(uint32_t version) {
  return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                  tepal::Concat("model configuration version ", version,
                                " is not supported, supported versions are: 1"));
}

}  // namespace

extern "C" {

// ---- Models -------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_ModelName(TRITONBACKEND_Model* model, const char** name) {
  *name = model->name.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelVersion(TRITONBACKEND_Model* model, uint64_t* version) {
  *version = static_cast<uint64_t>(model->version);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelRepository(TRITONBACKEND_Model* model,
                                                  TRITONBACKEND_ArtifactType* artifact_type,
                                                  const char** location) {
  *artifact_type = TRITONBACKEND_ARTIFACT_FILESYSTEM;
  *location = model->directory.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelConfig(TRITONBACKEND_Model* model,
                                              const uint32_t config_version,
                                              TRITONSERVER_Message** model_config) {
  if (config_version != kConfigVersion) return WrongConfigVersion(config_version);
  auto message = std::make_unique<TRITONSERVER_Message>();
  message->json = model->config->json;
  *model_config = message.release();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelAutoCompleteConfig(TRITONBACKEND_Model* model,
                                                          bool* auto_complete_config) {
  *auto_complete_config = model->auto_complete;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelSetConfig(TRITONBACKEND_Model* model,
                                                 const uint32_t config_version,
                                                 TRITONSERVER_Message* model_config) {
  if (config_version != kConfigVersion) return WrongConfigVersion(config_version);
  if (!model->initialising || !model->auto_complete || !model->complete) {
    return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                    "the model configuration can be set only in TRITONBACKEND_ModelInitialize and "
                    "while auto-complete is on");
  }
  tepal::Result<tepal::ModelConfigPtr> completed = model->complete(model_config->json);
  if (!completed.ok()) return tepal::backend_host::FromStatus(completed.status());
  model->config = *std::move(completed);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelServer(TRITONBACKEND_Model* model,
                                              TRITONSERVER_Server** server) {
  *server = &model->backend->server;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelBackend(TRITONBACKEND_Model* model,
                                               TRITONBACKEND_Backend** backend) {
  *backend = model->backend;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelState(TRITONBACKEND_Model* model, void** state) {
  *state = model->state;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelSetState(TRITONBACKEND_Model* model, void* state) {
  model->state = state;
  return nullptr;
}

// Memory usage is taken note of by nobody yet: no limit of ours depends on it.
TRITONSERVER_Error* TRITONBACKEND_ModelReportMemoryUsage(TRITONBACKEND_Model* /*model*/,
                                                         TRITONSERVER_BufferAttributes** /*usage*/,
                                                         uint32_t /*usage_size*/) {
  return nullptr;
}

// ---- Model instances ----------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceName(TRITONBACKEND_ModelInstance* instance,
                                                    const char** name) {
  *name = instance->name.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceKind(TRITONBACKEND_ModelInstance* instance,
                                                    TRITONSERVER_InstanceGroupKind* kind) {
  *kind = instance->kind;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceDeviceId(TRITONBACKEND_ModelInstance* instance,
                                                        int32_t* device_id) {
  *device_id = instance->device_id;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceHostPolicy(TRITONBACKEND_ModelInstance* instance,
                                                          TRITONSERVER_Message** host_policy) {
  *host_policy = &instance->host_policy;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceIsPassive(TRITONBACKEND_ModelInstance* instance,
                                                         bool* is_passive) {
  *is_passive = instance->passive;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceProfileCount(TRITONBACKEND_ModelInstance* instance,
                                                            uint32_t* count) {
  *count = static_cast<uint32_t>(instance->profiles.size());
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceProfileName(TRITONBACKEND_ModelInstance* instance,
                                                           const uint32_t index,
                                                           const char** profile_name) {
  if (index >= instance->profiles.size()) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    tepal::Concat("out of bounds index ", index, ": the instance has ",
                                  instance->profiles.size(), " profiles"));
  }
  *profile_name = instance->profiles[index].c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceSecondaryDeviceCount(
    TRITONBACKEND_ModelInstance* /*instance*/, uint32_t* count) {
  *count = 0;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceSecondaryDeviceProperties(
    TRITONBACKEND_ModelInstance* /*instance*/, uint32_t index, const char** /*kind*/,
    int64_t* /*id*/) {
  return NewError(
      TRITONSERVER_ERROR_INVALID_ARG,
      tepal::Concat("out of bounds index ", index, ": the instance has 0 secondary devices"));
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance* instance,
                                                     TRITONBACKEND_Model** model) {
  *model = instance->model;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance* instance,
                                                     void** state) {
  *state = instance->state;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance* instance,
                                                        void* state) {
  instance->state = state;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceReportMemoryUsage(
    TRITONBACKEND_ModelInstance* /*instance*/, TRITONSERVER_BufferAttributes** /*usage*/,
    uint32_t /*usage_size*/) {
  return nullptr;
}

}  // extern "C"
