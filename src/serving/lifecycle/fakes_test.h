// Stand-ins for tests of what loads models: a repository in memory and a loader of fake instances.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/text.h"
#include "serving/lifecycle/version_loader.h"
#include "serving/repository/model_repository.h"
#include "serving/scheduling/fakes_test.h"

namespace tepal {

struct FakeModel {
  std::string config;  // Protobuf text.
  std::vector<int64_t> versions = {1};
  uint64_t fingerprint = 1;
  Status error;
};

// Shared by the test and the repository that the manager owns.
struct FakeRepositoryState {
  Guarded<std::map<std::string, FakeModel>> models;
  std::atomic<bool> broken{false};
  std::atomic<int> listings{0};
};

class FakeRepository final : public ModelRepository {
 public:
  explicit FakeRepository(std::shared_ptr<FakeRepositoryState> state) : state_(std::move(state)) {}

  Result<std::vector<ListedModel>> List() override {
    ++state_->listings;
    if (state_->broken) return Unavailable("the disk is gone");
    std::vector<ListedModel> listed;
    for (const auto& [name, model] : *state_->models.Lock()) {
      ListedModel& entry = listed.emplace_back();
      entry.name = name;
      entry.versions = model.versions;
      entry.fingerprint = model.fingerprint;
      entry.error = model.error;
    }
    return listed;
  }

  Result<OpenedModel> Open(std::string_view name) override {
    auto models = state_->models.Lock();
    const auto found = models->find(std::string(name));
    if (found == models->end()) return NotFound("no such model");
    OpenedModel opened;
    opened.name = found->first;
    opened.versions = found->second.versions;
    ASSIGN_OR_RETURN(opened.draft, ParseConfigText(found->second.config));
    return opened;
  }

  Result<std::vector<std::string>> ReadLabels(const OpenedModel&,
                                              const std::string& file) override {
    if (file != "labels.txt") return NotFound(file + ": no such file");
    return std::vector<std::string>{"daisy", "rose"};
  }

 private:
  const std::shared_ptr<FakeRepositoryState> state_;
};

// What a fake loader does and has done.
struct FakeLoaderState {
  std::function<Status(const std::string& model, int64_t version)> on_load;
  std::function<void(Batch)> execute = AnswerAll;
  bool runs_inline = true;
  std::atomic<int> loaded{0}, alive{0};
};

class FakeResources final : public VersionResources {
 public:
  FakeResources(ModelConfigPtr config, FakeLoaderState& state)
      : config_(std::move(config)), state_(state), executor_(state.runs_inline, state.execute) {
    ++state_.loaded;
    ++state_.alive;
  }
  ~FakeResources() override { --state_.alive; }
  const ModelConfigPtr& config() const override { return config_; }
  std::vector<BatchExecutor*> executors() const override { return {&executor_}; }

 private:
  const ModelConfigPtr config_;
  FakeLoaderState& state_;
  mutable FakeExecutor executor_;
};

class FakeLoader final : public VersionLoader {
 public:
  explicit FakeLoader(FakeLoaderState& state) : state_(state) {}

  Result<ModelConfigPtr> Prepare(const OpenedModel& model) override {
    return FinishConfig(model.draft);
  }
  Result<std::unique_ptr<VersionResources>> Load(const OpenedModel& model, int64_t version,
                                                 std::shared_ptr<ModelStatistics>) override {
    if (state_.on_load) RETURN_IF_ERROR(state_.on_load(model.name, version));
    return std::unique_ptr<VersionResources>(
        std::make_unique<FakeResources>(FinishConfig(model.draft), state_));
  }

 private:
  FakeLoaderState& state_;
};

inline std::string AddSubConfig(const std::string& name, int max_batch_size = 0) {
  return Concat("name: '", name, "' backend: 'fake' max_batch_size: ", max_batch_size, R"(
      input [{ name: 'INPUT0' data_type: TYPE_FP32 dims: [4] },
             { name: 'INPUT1' data_type: TYPE_FP32 dims: [4] }]
      output [{ name: 'OUTPUT0' data_type: TYPE_FP32 dims: [4] label_filename: 'labels.txt' },
              { name: 'OUTPUT1' data_type: TYPE_FP32 dims: [4] }])");
}

}  // namespace tepal
