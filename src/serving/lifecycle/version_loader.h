// The seam to whatever can run a model: backends in production (backend_loader.h), fakes in tests.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/result.h"
#include "serving/inference/executor.h"
#include "serving/inference/statistics.h"
#include "serving/model_config/model_config.h"
#include "serving/repository/model_repository.h"

namespace tepal {

// One loaded version: its instances and what they stand on. Destroying it unloads and may block; no
// request may be with it then.
class VersionResources {
 public:
  virtual ~VersionResources() = default;

  // With what the backend added, if it was asked to.
  virtual const ModelConfigPtr& config() const = 0;

  // Those that take requests; at least one. Owned by this object.
  virtual std::vector<BatchExecutor*> executors() const = 0;
};

// Thread-safe; may be asked for several models at once.
class VersionLoader {
 public:
  virtual ~VersionLoader() = default;

  // The configuration as far as it is known without the backend, checked: enough to choose
  // versions. kUnimplemented for what this server does not do yet.
  virtual Result<ModelConfigPtr> Prepare(const OpenedModel& model) = 0;

  // Blocks as long as the backend takes.
  virtual Result<std::unique_ptr<VersionResources>> Load(
      const OpenedModel& model, int64_t version, std::shared_ptr<ModelStatistics> statistics) = 0;
};

}  // namespace tepal
