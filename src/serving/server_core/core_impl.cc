#include "serving/server_core/core_impl.h"

#include <atomic>
#include <utility>

#include "core/base/text.h"
#include "serving/lifecycle/model_manager.h"
#include "serving/server_core/request_check.h"

namespace tepal {
namespace {

// A request may meet a version that is being replaced; the next lookup finds its successor. More
// than a few times in a row means reloads faster than a request, which is worth an answer.
constexpr int kLookupsMax = 8;

ModelMetadata::Tensor MetadataOf(const ModelConfig& config, const std::string& name, DataType type,
                                 const Shape& dims) {
  ModelMetadata::Tensor tensor{name, type, {}};
  if (config.max_batch_size > 0) tensor.shape.push_back(-1);
  tensor.shape.insert(tensor.shape.end(), dims.begin(), dims.end());
  return tensor;
}

class ServerCoreImpl final : public ServerCore {
 public:
  ServerCoreImpl(bool strict_readiness, std::unique_ptr<ModelManager> models)
      : strict_readiness_(strict_readiness), models_(std::move(models)) {}

  bool Live() const override { return !stopping_.load(); }

  bool Ready() const override {
    if (stopping_.load() || lame_duck_.load()) return false;
    return !strict_readiness_ || models_->AllReady();
  }

  void SetLameDuck() override { lame_duck_.store(true); }

  Result<std::shared_ptr<ServedModel>> Find(std::string_view model, int64_t version) override {
    ASSIGN_OR_RETURN(auto found, models_->Find(model, version));
    return std::shared_ptr<ServedModel>(std::move(found));
  }

  Result<ModelMetadata> Metadata(std::string_view model, int64_t version) override {
    ASSIGN_OR_RETURN(const auto found, models_->Find(model, version));
    const ModelConfig& config = found->config();
    ModelMetadata metadata;
    metadata.name = found->name();
    metadata.platform = config.platform.empty() ? config.backend : config.platform;
    // Asked for one version, that one; else every one that serves.
    for (const auto& served : models_->Served(model, version)) {
      metadata.versions.push_back(served->version());
    }
    for (const ModelInput& input : config.inputs) {
      metadata.inputs.push_back(MetadataOf(config, input.name, input.type, input.dims));
    }
    for (const ModelOutput& output : config.outputs) {
      metadata.outputs.push_back(MetadataOf(config, output.name, output.type, output.dims));
    }
    return metadata;
  }

  Status Infer(std::unique_ptr<InferenceRequest>&& request) override {
    Status status;
    for (int lookup = 0; lookup < kLookupsMax; ++lookup) {
      if (stopping_.load()) {
        // What a scheduler refuses stays ours. NOLINTNEXTLINE(bugprone-use-after-move)
        return Unavailable(RequestIdPrefix(*request) + "Server is stopping");
      }
      ASSIGN_OR_RETURN(const auto model,
                       models_->Find(request->model_name, request->requested_version));
      // A client's mistake is no failure of the model: it is not counted there.
      RETURN_IF_ERROR(CheckRequest(model->config(), *request));
      status = model->scheduler().Enqueue(std::move(request));
      if (status.ok() || !model->scheduler().stopping()) return status;
    }
    return status;
  }

  std::vector<std::shared_ptr<ServedModel>> Served(std::string_view model,
                                                   int64_t version) override {
    const auto versions = models_->Served(model, version);
    return {versions.begin(), versions.end()};
  }

  Result<std::vector<ModelIndexEntry>> Index(bool ready_only) override {
    return models_->Index(ready_only);
  }

  Status Load(const std::string& model, const LoadOverride& overrides) override {
    return models_->Load(model, overrides.config_json, overrides.files);
  }

  // There are no ensembles yet, so nothing depends on another model.
  Status Unload(const std::string& model, bool /*unload_dependents*/) override {
    return models_->Unload(model);
  }

  int64_t in_flight() const override { return models_->in_flight(); }

  Status Stop(Duration limit) override {
    stopping_.store(true);
    return models_->Stop(limit);
  }

 private:
  const bool strict_readiness_;
  const std::unique_ptr<ModelManager> models_;
  std::atomic<bool> lame_duck_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace

Result<std::unique_ptr<ServerCore>> NewServerCoreOver(const ServerCoreOptions& options,
                                                      std::unique_ptr<ModelRepository> repository,
                                                      std::unique_ptr<VersionLoader> loader,
                                                      const ServerCoreWorld& world) {
  ModelManager::Options managing;
  managing.control_mode = options.control_mode;
  managing.startup_models = options.startup_models;
  managing.exit_on_error = options.exit_on_error;
  managing.load_threads = options.load_threads;
  managing.load_retries = options.load_retries;
  managing.keeps_latencies = options.keeps_latencies;
  managing.poll_interval = options.poll_interval;
  ASSIGN_OR_RETURN(auto models,
                   ModelManager::Start(std::move(managing), std::move(repository),
                                       std::move(loader), {world.clock, world.threads}));
  return std::unique_ptr<ServerCore>(
      std::make_unique<ServerCoreImpl>(options.strict_readiness, std::move(models)));
}

}  // namespace tepal
