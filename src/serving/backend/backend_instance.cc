#include "serving/backend/backend_instance.h"

#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/telemetry/log.h"
#include "serving/backend/host/request_objects.h"
#include "serving/backend/plugin_call.h"

namespace tepal {
namespace {

using backend_host::CallPlugin;

TRITONSERVER_InstanceGroupKind KindOf(InstanceGroup::Kind kind) {
  switch (kind) {
    case InstanceGroup::Kind::kAuto:
      return TRITONSERVER_INSTANCEGROUPKIND_AUTO;
    case InstanceGroup::Kind::kCpu:
      return TRITONSERVER_INSTANCEGROUPKIND_CPU;
    case InstanceGroup::Kind::kGpu:
      return TRITONSERVER_INSTANCEGROUPKIND_GPU;
    case InstanceGroup::Kind::kModel:
      return TRITONSERVER_INSTANCEGROUPKIND_MODEL;
  }
  return TRITONSERVER_INSTANCEGROUPKIND_CPU;
}

std::string HostPolicyJson(const std::string& policy, const BackendSettings& settings) {
  json::Writer writer;
  writer.BeginObject().Key(policy).BeginObject();
  for (const auto& [key, value] : settings) writer.Key(key).String(value);
  writer.EndObject().EndObject();
  return writer.Take();
}

}  // namespace

BackendInstance::BackendInstance(std::shared_ptr<BackendModel> model, Options options)
    : model_(std::move(model)),
      handle_(std::make_unique<TRITONBACKEND_ModelInstance>()),
      pool_(std::make_shared<backend_host::RequestPool>()) {
  handle_->model = model_->handle();
  handle_->name = std::move(options.name);
  handle_->kind = KindOf(options.kind);
  handle_->device_id = options.device;
  handle_->passive = options.passive;
  handle_->host_policy.json = HostPolicyJson(options.host_policy, options.host_policy_settings);
  handle_->profiles = std::move(options.profiles);
  const bool gpu = handle_->on_gpu();
  time_ = &model_->handle()->statistics->Instance(
      handle_->name, gpu ? std::optional(handle_->device_id) : std::nullopt);
}

Result<std::unique_ptr<BackendInstance>> BackendInstance::Create(
    std::shared_ptr<BackendModel> model, Options options) {
  std::unique_ptr<BackendInstance> instance(
      new BackendInstance(std::move(model), std::move(options)));
  const BackendLibrary& library = instance->model_->library();
  const BackendEntryPoints& plugin = library.entry_points();
  if (plugin.instance_initialize != nullptr) {
    RETURN_IF_ERROR(CallPlugin(library.name(), "TRITONBACKEND_ModelInstanceInitialize", [&] {
      return plugin.instance_initialize(instance->handle_.get());
    }));
  }
  instance->initialised_ = true;
  return instance;
}

BackendInstance::~BackendInstance() {
  const BackendEntryPoints& plugin = model_->library().entry_points();
  if (!initialised_ || plugin.instance_finalize == nullptr) return;
  const Status finalized =
      CallPlugin(model_->library().name(), "TRITONBACKEND_ModelInstanceFinalize",
                 [&] { return plugin.instance_finalize(handle_.get()); });
  if (!finalized.ok()) {
    telemetry::LogError(Concat("model instance '", name(), "': ", finalized.message()));
  }
}

const std::string& BackendInstance::name() const { return handle_->name; }

bool BackendInstance::ToHost(std::unique_ptr<InferenceRequest>& request) const {
  for (InputTensor& input : request->inputs) {
    for (Buffer& part : input.data) {
      if (!part.on_gpu()) continue;
      Result<Buffer> copy = HostCopy(part);
      if (!copy.ok()) {
        InferenceRequest::Fail(std::move(request), copy.status().WithContext(
                                                       Concat("reading input '", input.name, "'")));
        return false;
      }
      part = std::move(copy).value();
    }
  }
  return true;
}

void BackendInstance::Execute(Batch batch) {
  const Instant now = handle_->model->clock->Now();
  uint32_t state = 0;
  if (!runs_inline()) state = TRITONBACKEND_Request::kReturned;
  // Taken out while in use: a sink called below may bring the next batch on this very thread.
  std::vector<TRITONBACKEND_Request*> handles = std::move(spare_handles_);
  handles.clear();
  for (std::unique_ptr<InferenceRequest>& request : batch) {
    if (!handle_->on_gpu() && !ToHost(request)) continue;
    request->times.compute_start = now;
    handles.push_back(pool_->Take(handle_.get(), std::move(request), state));
  }
  if (handles.empty()) return;
  const Status status =
      CallPlugin(model_->library().name(), "TRITONBACKEND_ModelInstanceExecute", [&] {
        return model_->library().entry_points().execute(handle_.get(), handles.data(),
                                                        static_cast<uint32_t>(handles.size()));
      });
  time_->Add(handle_->model->clock->Now() - now);
  for (TRITONBACKEND_Request* handle : handles) {
    if (status.ok()) {
      handle->Advance(TRITONBACKEND_Request::kReturned);
    } else {
      Fail(handle, status);
    }
    handle->Unref();
  }
  spare_handles_ = std::move(handles);
}

// A backend that returns an error owns nothing; should it have begun to answer some requests all
// the same, those answers stand.
void BackendInstance::Fail(TRITONBACKEND_Request* handle, const Status& status) {
  using Request = TRITONBACKEND_Request;
  if ((handle->state.load(std::memory_order_acquire) & Request::kFinal) == 0) {
    handle->HoldError(status);
  }
  const uint32_t before = handle->Advance(Request::kDone);
  if ((before & Request::kReleased) == 0) handle->Unref();
}

}  // namespace tepal
