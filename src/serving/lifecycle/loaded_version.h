// One version of a model in memory: configuration, labels, statistics, scheduler, instances.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serving/lifecycle/served_model.h"
#include "serving/lifecycle/version_loader.h"
#include "serving/scheduling/model_scheduler.h"

namespace tepal {

// Labels by output, each by class index.
using ModelLabels = std::map<std::string, std::vector<std::string>, std::less<>>;

// Thread-safe. Light enough to be held by anybody and let go on any thread: what is heavy ends in
// Retire, on the thread that unloads.
class LoadedVersion final : public ServedModel {
 public:
  static Result<std::shared_ptr<LoadedVersion>> Start(std::string name, int64_t version,
                                                      std::unique_ptr<VersionResources> resources,
                                                      ModelLabels labels,
                                                      std::shared_ptr<ModelStatistics> statistics,
                                                      const ModelScheduler::World& world);

  // Takes nothing new, waits for every request it has accepted, then frees the instances. Blocks.
  // Called once, by the ModelManager.
  void Retire();

  const std::string& name() const override { return name_; }
  int64_t version() const override { return version_; }
  const ModelConfig& config() const override { return *config_; }
  const ModelStatistics& statistics() const override { return *statistics_; }
  std::string_view Label(std::string_view output, size_t index) const override;
  bool runs_inline() const override { return scheduler_->runs_inline(); }

  const ModelConfigPtr& config_ptr() const { return config_; }
  ModelScheduler& scheduler() const { return *scheduler_; }

 private:
  LoadedVersion(std::string name, int64_t version, std::unique_ptr<VersionResources> resources,
                ModelLabels labels, std::shared_ptr<ModelStatistics> statistics);

  const std::string name_;
  const int64_t version_;
  const ModelConfigPtr config_;
  const ModelLabels labels_;
  const std::shared_ptr<ModelStatistics> statistics_;
  std::unique_ptr<VersionResources> resources_;  // Until Retire.
  std::shared_ptr<ModelScheduler> scheduler_;
};

}  // namespace tepal
