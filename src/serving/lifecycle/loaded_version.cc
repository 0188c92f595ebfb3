#include "serving/lifecycle/loaded_version.h"

#include <utility>

#include "core/base/check.h"

namespace tepal {

LoadedVersion::LoadedVersion(std::string name, int64_t version,
                             std::unique_ptr<VersionResources> resources, ModelLabels labels,
                             std::shared_ptr<ModelStatistics> statistics)
    : name_(std::move(name)),
      version_(version),
      config_(resources->config()),
      labels_(std::move(labels)),
      statistics_(std::move(statistics)),
      resources_(std::move(resources)) {}

Result<std::shared_ptr<LoadedVersion>> LoadedVersion::Start(
    std::string name, int64_t version, std::unique_ptr<VersionResources> resources,
    ModelLabels labels, std::shared_ptr<ModelStatistics> statistics,
    const ModelScheduler::World& world) {
  TEPAL_CHECK(resources != nullptr && resources->config() != nullptr);
  std::vector<BatchExecutor*> executors = resources->executors();
  std::shared_ptr<LoadedVersion> loaded(new LoadedVersion(
      std::move(name), version, std::move(resources), std::move(labels), std::move(statistics)));
  ModelScheduler::Options options;
  options.name = loaded->name_;
  options.batching = BatcherOptionsFor(*loaded->config_);
  const auto& batching = loaded->config_->dynamic_batching;
  options.preserve_ordering = batching && batching->preserve_ordering;
  ASSIGN_OR_RETURN(
      loaded->scheduler_,
      ModelScheduler::Start(std::move(options), std::move(executors), loaded->statistics_, world));
  return loaded;
}

void LoadedVersion::Retire() {
  scheduler_->Stop();
  resources_.reset();
}

std::string_view LoadedVersion::Label(std::string_view output, size_t index) const {
  const auto found = labels_.find(output);
  if (found == labels_.end() || index >= found->second.size()) return {};
  return found->second[index];
}

}  // namespace tepal
