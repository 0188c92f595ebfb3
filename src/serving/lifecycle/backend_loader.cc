#include "serving/lifecycle/backend_loader.h"

#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "serving/backend/backend_instance.h"
#include "serving/backend/backend_model.h"
#include "serving/model_config/normalise.h"
#include "serving/model_config/validate.h"

namespace tepal {
namespace {

Status RefuseUnsupported(const ModelConfig& config) {
  const auto refuse = [&](std::string_view what) {
    return Unimplemented(Concat(what, " is not supported yet (model '", config.name, "')"));
  };
  if (config.sequence_batching) return refuse("sequence batching ('sequence_batching')");
  if (config.ensemble_scheduling) return refuse("an ensemble ('ensemble_scheduling')");
  if (config.decoupled) {
    return refuse("a decoupled model ('model_transaction_policy { decoupled: true }')");
  }
  return {};
}

// What the configuration is before its backend has been asked.
Result<ConfigDraft> Draft(const OpenedModel& model) {
  ConfigDraft draft = model.draft;
  RETURN_IF_ERROR(CompleteBackend(draft, model.name, model.version_files));
  Normalise(draft);
  RETURN_IF_ERROR(Validate(draft, model.name));
  return draft;
}

// What a backend has completed, checked again.
Result<ModelConfigPtr> ReadCompleted(const std::string& model, std::string_view json) {
  ASSIGN_OR_RETURN(ConfigDraft draft,
                   ParseConfigJson(json).WithContext("configuration completed by the backend"));
  Normalise(draft);
  RETURN_IF_ERROR(Validate(draft, model));
  return FinishConfig(draft);
}

Status CheckComplete(const ModelConfig& config) {
  ASSIGN_OR_RETURN(const ConfigDraft draft, ParseConfigJson(config.json));
  return ValidateComplete(draft);
}

class BackendResources final : public VersionResources {
 public:
  static Result<std::unique_ptr<VersionResources>> Create(std::shared_ptr<BackendModel> model,
                                                          gpu::Gpus* gpus) {
    auto resources = std::make_unique<BackendResources>(std::move(model), gpus);
    RETURN_IF_ERROR(resources->CreateInstances());
    return std::unique_ptr<VersionResources>(std::move(resources));
  }

  BackendResources(std::shared_ptr<BackendModel> model, gpu::Gpus* gpus)
      : model_(std::move(model)), gpus_(gpus) {}

  const ModelConfigPtr& config() const override { return model_->config(); }
  std::vector<BatchExecutor*> executors() const override { return executors_; }

 private:
  Status CreateInstances() {
    const ModelConfig& config = *model_->config();
    for (size_t group = 0; group < config.instance_groups.size(); ++group) {
      RETURN_IF_ERROR(CreateGroup(config.instance_groups[group], Concat(config.name, "_", group)));
    }
    if (executors_.empty()) {
      return InvalidArgument(
          Concat("model '", config.name, "' has no instance that takes requests"));
    }
    return {};
  }

  Status CreateGroup(const InstanceGroup& group, const std::string& prefix) {
    if (group.kind == InstanceGroup::Kind::kGpu && gpus_ != nullptr) gpus_->Use();
    // A group with devices has `count` instances on each of them.
    const std::vector<int32_t> devices = group.gpus.empty() ? std::vector<int32_t>{0} : group.gpus;
    int number = 0;
    for (const int32_t device : devices) {
      for (int32_t i = 0; i < group.count; ++i) {
        BackendInstance::Options options;
        options.name = Concat(prefix, "_", number++);
        options.kind = group.kind;
        options.device = device;
        options.passive = group.passive;
        options.profiles = group.profile;
        if (!group.host_policy.empty()) options.host_policy = group.host_policy;
        ASSIGN_OR_RETURN(auto instance, BackendInstance::Create(model_, std::move(options)));
        if (!group.passive) executors_.push_back(instance.get());
        instances_.push_back(std::move(instance));
      }
    }
    return {};
  }

  const std::shared_ptr<BackendModel> model_;  // Outlives its instances.
  gpu::Gpus* const gpus_;
  std::vector<std::unique_ptr<BackendInstance>> instances_;
  std::vector<BatchExecutor*> executors_;
};

class BackendLoader final : public VersionLoader {
 public:
  BackendLoader(BackendManager::Options options, const env::Clock& clock, gpu::Gpus* gpus,
                SlabSource* results)
      : auto_complete_(options.auto_complete_config),
        backends_(std::move(options)),
        clock_(clock),
        gpus_(gpus),
        results_(results) {}

  Result<ModelConfigPtr> Prepare(const OpenedModel& model) override {
    ASSIGN_OR_RETURN(const ConfigDraft draft, Draft(model));
    if (!auto_complete_) RETURN_IF_ERROR(ValidateComplete(draft));
    ModelConfigPtr config = FinishConfig(draft);
    RETURN_IF_ERROR(RefuseUnsupported(*config));
    return config;
  }

  Result<std::unique_ptr<VersionResources>> Load(
      const OpenedModel& model, int64_t version,
      std::shared_ptr<ModelStatistics> statistics) override {
    ASSIGN_OR_RETURN(ConfigDraft draft, Draft(model));
    const ModelConfigPtr asked = FinishConfig(draft);
    ASSIGN_OR_RETURN(auto library, backends_.Get(asked->backend,
                                                 {model.VersionDirectory(version), model.directory},
                                                 asked->runtime));
    const std::vector<int32_t> gpus = UsableGpus();
    NormaliseInstanceGroups(draft, {gpus, library->preferred_groups()});
    RETURN_IF_ERROR(ExplainNoGpu(ValidateInstanceGroups(draft, gpus)));

    BackendModel::Options options;
    options.library = std::move(library);
    options.config = FinishConfig(draft);
    options.version = version;
    options.directory = model.directory;
    options.auto_complete = auto_complete_;
    options.complete = [name = model.name](std::string_view json) {
      return ReadCompleted(name, json);
    };
    options.clock = &clock_;
    options.results = results_;
    options.statistics = std::move(statistics);
    ASSIGN_OR_RETURN(auto loaded, BackendModel::Load(std::move(options)));
    RETURN_IF_ERROR(CheckComplete(*loaded->config()));
    RETURN_IF_ERROR(RefuseUnsupported(*loaded->config()));
    return BackendResources::Create(std::move(loaded), gpus_);
  }

 private:
  std::vector<int32_t> UsableGpus() {
    std::vector<int32_t> ordinals;
    if (gpus_ == nullptr) return ordinals;
    for (const gpu::GpuDevice& device : gpus_->devices()) ordinals.push_back(device.ordinal);
    return ordinals;
  }

  // Adds why there are none to Triton's words for a group that asks for GPUs in vain.
  Status ExplainNoGpu(Status status) {
    if (gpus_ == nullptr || !status.message().ends_with("no GPUs are available")) return status;
    return {status.code(), Concat(status.message(), ": ", gpus_->why_none())};
  }

  const bool auto_complete_;
  BackendManager backends_;
  const env::Clock& clock_;
  gpu::Gpus* const gpus_;
  SlabSource* const results_;
};

}  // namespace

std::unique_ptr<VersionLoader> NewBackendLoader(BackendManager::Options options,
                                                const env::Clock& clock, gpu::Gpus* gpus,
                                                SlabSource* results) {
  return std::make_unique<BackendLoader>(std::move(options), clock, gpus, results);
}

}  // namespace tepal
