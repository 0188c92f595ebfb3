// Loads and unloads models and knows which version serves.
//
// Loading is done on the caller's thread (and at start on a few more), one operation at a time for
// a model, many models at once. A reload brings the new versions up beside the old ones, swaps them
// in one step, then retires the old ones when their last request has been answered; when it fails
// nothing has changed. Lookups take one short lock that no load holds.
// What can be loaded is the VersionLoader's business, what there is the ModelRepository's.

#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/guarded.h"
#include "core/env/clock.h"
#include "core/env/worker.h"
#include "serving/lifecycle/control_mode.h"
#include "serving/lifecycle/model_table.h"
#include "serving/lifecycle/version_loader.h"
#include "serving/repository/model_repository.h"

namespace tepal {

// Thread-safe.
class ModelManager {
 public:
  struct Options {
    ModelControlMode control_mode = ModelControlMode::kNone;
    std::vector<std::string> startup_models;  // With kExplicit; {"*"}: all.
    bool exit_on_error = true;
    int load_threads = 4;
    int load_retries = 0;  // Further tries of a version that fails to load.
    Duration poll_interval = 15s;
    bool keeps_latencies = false;  // As ModelStatistics has it.
  };
  // Each outlives the manager.
  struct World {
    const env::Clock& clock;
    env::WorkerThreads& threads;
  };

  // Loads what is to be loaded at start. With exit_on_error a model that cannot be is an error that
  // names each such model and why; without, the index says why.
  static Result<std::unique_ptr<ModelManager>> Start(Options options,
                                                     std::unique_ptr<ModelRepository> repository,
                                                     std::unique_ptr<VersionLoader> loader,
                                                     const World& world);
  // Stops, however long it takes.
  ~ModelManager();

  Result<std::shared_ptr<LoadedVersion>> Find(std::string_view model, int64_t version) const;
  std::vector<std::shared_ptr<LoadedVersion>> Served(std::string_view model, int64_t version) const;
  bool AllReady() const;

  // With the models that are only in the repository, without those that were unloaded and are not
  // in it. Reads it, so it may block.
  Result<std::vector<ModelIndexEntry>> Index(bool ready_only);

  // Both return when the work is done, old versions drained included. kUnavailable unless explicit.
  // `config_json` takes the place of the repository's configuration; empty: it does not. `files`
  // take the place of all of the model's, by path in its directory, and need the former.
  Status Load(const std::string& model, std::string_view config_json,
              const std::map<std::string, std::string>& files = {});
  // An unknown model is not an error: it is not loaded.
  Status Unload(const std::string& model);

  // Requests that loaded versions, retiring ones included, have accepted and not finished.
  int64_t in_flight() const;

  // Unloads everything. kDeadlineExceeded when that takes longer than `limit`; it then goes on, and
  // the process had better end without destroying the manager.
  Status Stop(Duration limit);

 private:
  class Turn;
  struct Failure {
    std::string model;
    Status status;
  };

  ModelManager(Options options, std::unique_ptr<ModelRepository> repository,
               std::unique_ptr<VersionLoader> loader, const World& world);

  Status LoadAtStart();
  Result<std::vector<std::string>> ModelsAtStart(std::vector<Failure>& failures);
  std::vector<Failure> LoadEach(const std::vector<std::string>& models);

  // kNotFound: not in the repository; kUnavailable: stopping; kInternal: why it cannot be loaded.
  Status LoadModel(const std::string& model, std::string_view config_json,
                   const std::map<std::string, std::string>& files = {});
  Status LoadVersions(const OpenedModel& opened);
  Result<std::vector<std::shared_ptr<LoadedVersion>>> BringUp(const OpenedModel& opened,
                                                              const ModelConfig& config,
                                                              const std::vector<int64_t>& versions);
  Result<std::shared_ptr<LoadedVersion>> BringUpOne(const OpenedModel& opened, int64_t version,
                                                    const ModelLabels& labels);
  void Swap(const std::string& model, std::vector<std::shared_ptr<LoadedVersion>> loaded);
  void UnloadModel(const std::string& model);
  void Retire(std::vector<std::shared_ptr<LoadedVersion>> versions);
  void UnloadAll();

  Status StartPolling();
  void Poll();
  void PollOnce();

  const Options options_;
  const std::unique_ptr<ModelRepository> repository_;
  const std::unique_ptr<VersionLoader> loader_;
  const World world_;
  std::unique_ptr<Timekeeper> timekeeper_;

  mutable Guarded<ModelTable> table_;
  mutable Guarded<std::vector<std::shared_ptr<LoadedVersion>>> retiring_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> busy_;  // Models that are being loaded or unloaded.
  bool stopping_ = false;
  bool stopped_ = false;
  std::map<std::string, uint64_t> fingerprints_;  // The polling thread's, once it runs.
  std::unique_ptr<env::WorkerThread> poller_;
  std::unique_ptr<env::WorkerThread> stopper_;
};

}  // namespace tepal
