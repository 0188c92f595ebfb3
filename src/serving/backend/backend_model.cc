#include "serving/backend/backend_model.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "serving/backend/host/backend_objects.h"
#include "serving/backend/plugin_call.h"

namespace tepal {
namespace {

using backend_host::CallPlugin;

bool Reshapes(const ModelConfig& config) {
  const auto has_reshape = [](const auto& tensor) { return tensor.reshape.has_value(); };
  return std::any_of(config.inputs.begin(), config.inputs.end(), has_reshape) ||
         std::any_of(config.outputs.begin(), config.outputs.end(), has_reshape);
}

}  // namespace

BackendModel::BackendModel(Options options)
    : library_(std::move(options.library)), handle_(std::make_unique<TRITONBACKEND_Model>()) {
  TEPAL_CHECK(options.config != nullptr && options.clock != nullptr);
  TEPAL_CHECK(options.statistics != nullptr);
  handle_->backend = library_->handle();
  handle_->name = options.config->name;
  handle_->version = options.version;
  handle_->directory = std::move(options.directory);
  handle_->config = std::move(options.config);
  handle_->auto_complete = options.auto_complete;
  handle_->complete = std::move(options.complete);
  handle_->clock = options.clock;
  handle_->results = options.results;
  handle_->statistics = std::move(options.statistics);
}

Result<std::shared_ptr<BackendModel>> BackendModel::Load(Options options) {
  std::shared_ptr<BackendModel> model(new BackendModel(std::move(options)));
  TRITONBACKEND_Model* handle = model->handle_.get();
  const BackendEntryPoints& plugin = model->library_->entry_points();
  if (plugin.model_initialize != nullptr) {
    handle->initialising = true;
    const Status status = CallPlugin(model->library_->name(), "TRITONBACKEND_ModelInitialize",
                                     [&] { return plugin.model_initialize(handle); });
    handle->initialising = false;
    RETURN_IF_ERROR(status);
  }
  model->initialised_ = true;
  handle->reshapes = Reshapes(*handle->config);
  for (const ModelOutput& output : handle->config->outputs) {
    handle->all_outputs.push_back(output.name);
  }
  std::sort(handle->all_outputs.begin(), handle->all_outputs.end());
  if (plugin.traits != nullptr) {
    model->runs_inline_ = (plugin.traits(handle) & TEPAL_BACKEND_INLINE) != 0;
  }
  return model;
}

BackendModel::~BackendModel() {
  const BackendEntryPoints& plugin = library_->entry_points();
  if (!initialised_ || plugin.model_finalize == nullptr) return;
  const Status finalized = CallPlugin(library_->name(), "TRITONBACKEND_ModelFinalize",
                                      [&] { return plugin.model_finalize(handle_.get()); });
  if (!finalized.ok()) {
    telemetry::LogError(Concat("model '", name(), "': ", finalized.message()));
  }
}

const ModelConfigPtr& BackendModel::config() const { return handle_->config; }
const std::string& BackendModel::name() const { return handle_->name; }
int64_t BackendModel::version() const { return handle_->version; }

}  // namespace tepal
