#include "serving/lifecycle/model_manager.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "serving/lifecycle/version_policy.h"

namespace tepal {
namespace {

constexpr std::string_view kAllModels = "*";

Status Stopping() { return Unavailable("Server is stopping, scheduler for model has stopped"); }

Status NotExplicit() {
  return Unavailable("explicit model load / unload is not allowed if polling is enabled");
}

// Keeps the files that a version was loaded from as long as it is loaded: backends may open them
// again.
class StagedResources final : public VersionResources {
 public:
  StagedResources(std::shared_ptr<const StagedFiles> files, std::unique_ptr<VersionResources> of)
      : files_(std::move(files)), resources_(std::move(of)) {}
  const ModelConfigPtr& config() const override { return resources_->config(); }
  std::vector<BatchExecutor*> executors() const override { return resources_->executors(); }

 private:
  const std::shared_ptr<const StagedFiles> files_;  // First, so that it goes last.
  const std::unique_ptr<VersionResources> resources_;
};

}  // namespace

// One operation on a model at a time: waits for the others.
class ModelManager::Turn {
 public:
  Turn(ModelManager& manager, const std::string& model) : manager_(manager), model_(model) {
    std::unique_lock lock(manager_.mutex_);
    manager_.changed_.wait(lock, [&] { return manager_.busy_.insert(model_).second; });
  }
  ~Turn() {
    {
      const std::lock_guard lock(manager_.mutex_);
      manager_.busy_.erase(model_);
    }
    manager_.changed_.notify_all();
  }

 private:
  ModelManager& manager_;
  const std::string model_;
};

ModelManager::ModelManager(Options options, std::unique_ptr<ModelRepository> repository,
                           std::unique_ptr<VersionLoader> loader, const World& world)
    : options_(std::move(options)),
      repository_(std::move(repository)),
      loader_(std::move(loader)),
      world_(world) {}

Result<std::unique_ptr<ModelManager>> ModelManager::Start(
    Options options, std::unique_ptr<ModelRepository> repository,
    std::unique_ptr<VersionLoader> loader, const World& world) {
  std::unique_ptr<ModelManager> manager(
      new ModelManager(std::move(options), std::move(repository), std::move(loader), world));
  ASSIGN_OR_RETURN(manager->timekeeper_, Timekeeper::Start(world.clock, world.threads));
  RETURN_IF_ERROR(manager->LoadAtStart());
  if (manager->options_.control_mode == ModelControlMode::kPoll) {
    RETURN_IF_ERROR(manager->StartPolling());
  }
  return manager;
}

ModelManager::~ModelManager() { (void)Stop(Duration::max()); }

Result<std::shared_ptr<LoadedVersion>> ModelManager::Find(std::string_view model,
                                                          int64_t version) const {
  return table_.Lock()->Find(model, version);
}

std::vector<std::shared_ptr<LoadedVersion>> ModelManager::Served(std::string_view model,
                                                                 int64_t version) const {
  return table_.Lock()->Served(model, version);
}

bool ModelManager::AllReady() const { return table_.Lock()->AllReady(); }

Result<std::vector<ModelIndexEntry>> ModelManager::Index(bool ready_only) {
  std::vector<ModelIndexEntry> index = table_.Lock()->Index();
  if (ready_only) {
    std::erase_if(index, [](const ModelIndexEntry& entry) {
      return entry.state != VersionStateName(VersionState::kReady);
    });
    return index;
  }
  ASSIGN_OR_RETURN(const std::vector<ListedModel> listed, repository_->List());
  for (const ListedModel& model : listed) {
    const bool known = std::any_of(index.begin(), index.end(), [&](const ModelIndexEntry& entry) {
      return entry.name == model.name;
    });
    if (!known) index.push_back({model.name, 0, "", model.error.message()});
  }
  // What a request brought, or the repository no longer has, is gone once it is unloaded.
  std::erase_if(index, [&](const ModelIndexEntry& entry) {
    return entry.reason == kUnloadedReason &&
           std::none_of(listed.begin(), listed.end(),
                        [&](const ListedModel& model) { return model.name == entry.name; });
  });
  std::stable_sort(index.begin(), index.end(),
                   [](const auto& a, const auto& b) { return a.name < b.name; });
  return index;
}

int64_t ModelManager::in_flight() const {
  int64_t sum = 0;
  for (const auto& version : Served({}, -1)) sum += version->scheduler().in_flight();
  auto retiring = retiring_.Lock();
  for (const auto& version : *retiring) sum += version->scheduler().in_flight();
  return sum;
}

// ---- At start ----

Status ModelManager::LoadAtStart() {
  std::vector<Failure> failures;
  ASSIGN_OR_RETURN(const std::vector<std::string> models, ModelsAtStart(failures));
  for (const Failure& failure : failures) {
    table_.Lock()->SetModelFailed(failure.model, failure.status.message());
  }
  for (Failure& failure : LoadEach(models)) failures.push_back(std::move(failure));
  if (failures.empty() || !options_.exit_on_error) return {};
  std::sort(failures.begin(), failures.end(),
            [](const Failure& a, const Failure& b) { return a.model < b.model; });
  std::string message = "failed to load all models:";
  for (const Failure& failure : failures) {
    message += Concat("\n  '", failure.model, "': ", failure.status.message());
  }
  return Internal(std::move(message));
}

Result<std::vector<std::string>> ModelManager::ModelsAtStart(std::vector<Failure>& failures) {
  const bool is_explicit = options_.control_mode == ModelControlMode::kExplicit;
  const auto& wanted = options_.startup_models;
  const bool all =
      !is_explicit || std::find(wanted.begin(), wanted.end(), kAllModels) != wanted.end();
  if (is_explicit && all && wanted.size() > 1) {
    return InvalidArgument("the startup model '*' stands for all models: no other may be named");
  }
  ASSIGN_OR_RETURN(const std::vector<ListedModel> listed, repository_->List());
  std::vector<std::string> models;
  for (const ListedModel& model : listed) {
    if (!all && std::find(wanted.begin(), wanted.end(), model.name) == wanted.end()) continue;
    fingerprints_[model.name] = model.fingerprint;
    if (model.error.ok()) {
      models.push_back(model.name);
    } else {
      telemetry::LogError(Concat("failed to load '", model.name, "': ", model.error.message()));
      failures.push_back({model.name, model.error});
    }
  }
  if (all) return models;
  for (const std::string& name : wanted) {
    if (fingerprints_.find(name) == fingerprints_.end()) {
      failures.push_back({name, NotFound("no model of this name in the model repository")});
    }
  }
  return models;
}

std::vector<ModelManager::Failure> ModelManager::LoadEach(const std::vector<std::string>& models) {
  Guarded<std::vector<Failure>> failures;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < models.size(); i = next++) {
      Status status = LoadModel(models[i], {});
      if (!status.ok()) failures.Lock()->push_back({models[i], std::move(status)});
    }
  };
  {
    const size_t limit = static_cast<size_t>(std::max(options_.load_threads, 1));
    const size_t helpers = models.empty() ? 0 : std::min(limit, models.size()) - 1;
    std::vector<std::unique_ptr<env::WorkerThread>> threads;
    for (size_t i = 0; i < helpers; ++i) {
      auto thread = world_.threads.Start("model-load", work);
      if (!thread.ok()) break;  // Fewer threads do it too.
      threads.push_back(std::move(*thread));
    }
    work();
  }
  return std::move(*failures.Lock());
}

// ---- Load and unload ----

Status ModelManager::Load(const std::string& model, std::string_view config_json,
                          const std::map<std::string, std::string>& files) {
  if (options_.control_mode != ModelControlMode::kExplicit) return NotExplicit();
  if (!files.empty() && config_json.empty()) {
    return InvalidArgument(Concat("failed to load '", model,
                                  "': files are given, so the parameter 'config' must be, too"));
  }
  const Status status = LoadModel(model, config_json, files);
  if (status.ok() || status.code() == StatusCode::kUnavailable) return status;
  if (status.code() == StatusCode::kNotFound) {
    return Internal(Concat("failed to load '", model, "', failed to poll from model repository"));
  }
  return Internal(Concat("failed to load '", model, "': ", status.message()));
}

Status ModelManager::Unload(const std::string& model) {
  if (options_.control_mode != ModelControlMode::kExplicit) return NotExplicit();
  UnloadModel(model);
  return {};
}

Status ModelManager::LoadModel(const std::string& model, std::string_view config_json,
                               const std::map<std::string, std::string>& files) {
  const Turn turn(*this, model);
  if (const std::lock_guard lock(mutex_); stopping_) return Stopping();
  Result<OpenedModel> opened =
      files.empty() ? repository_->Open(model) : repository_->OpenFiles(model, files);
  if (opened.ok() && !config_json.empty()) {
    Result<ConfigDraft> draft = ParseConfigJson(config_json);
    if (draft.ok()) {
      opened->draft = std::move(*draft);
      opened->has_config = true;
    } else {
      opened = std::move(draft).WithContext("reading the configuration given").status();
    }
  }
  if (!opened.ok() && opened.status().code() == StatusCode::kNotFound) return opened.status();
  const Status status = opened.ok() ? LoadVersions(*opened) : opened.status();
  if (status.ok()) return status;
  telemetry::LogError(Concat("failed to load '", model, "': ", status.message()));
  auto table = table_.Lock();
  if (table->Versions(model).empty()) table->SetModelFailed(model, status.message());
  return Internal(status.message());
}

Status ModelManager::LoadVersions(const OpenedModel& opened) {
  ASSIGN_OR_RETURN(const ModelConfigPtr config, loader_->Prepare(opened));
  const std::vector<int64_t> versions = ChooseVersions(config->version_policy, opened.versions);
  if (versions.empty()) {
    return InvalidArgument(
        Concat("at least one version must be available under the version policy of model '",
               opened.name, "'"));
  }
  {
    auto table = table_.Lock();
    for (const int64_t version : versions) table->SetLoading(opened.name, version);
  }
  auto loaded = BringUp(opened, *config, versions);
  if (!loaded.ok()) {
    auto table = table_.Lock();
    for (const int64_t version : table->Versions(opened.name)) {
      if (!table->IsLoading(opened.name, version)) continue;
      table->SetUnavailable(opened.name, version, "not loaded: " + loaded.status().message());
    }
    return loaded.status();
  }
  Swap(opened.name, std::move(*loaded));
  return {};
}

Result<std::vector<std::shared_ptr<LoadedVersion>>> ModelManager::BringUp(
    const OpenedModel& opened, const ModelConfig& config, const std::vector<int64_t>& versions) {
  ModelLabels labels;
  for (const ModelOutput& output : config.outputs) {
    if (output.label_filename.empty()) continue;
    ASSIGN_OR_RETURN(labels[output.name], repository_->ReadLabels(opened, output.label_filename));
  }
  std::vector<std::shared_ptr<LoadedVersion>> loaded;
  for (const int64_t version : versions) {
    telemetry::LogInfo(Concat("loading: ", opened.name, ":", version));
    auto one = BringUpOne(opened, version, labels);
    for (int retry = 1; !one.ok() && retry <= options_.load_retries; ++retry) {
      telemetry::LogWarning(Concat("loading: ", opened.name, ":", version, " again (", retry,
                                   " of ", options_.load_retries, "): ", one.status().message()));
      one = BringUpOne(opened, version, labels);
    }
    if (!one.ok()) {
      if (auto table = table_.Lock(); table->IsLoading(opened.name, version)) {
        table->SetUnavailable(opened.name, version, one.status().message());
      }
      // All or nothing, so that a reload that fails leaves what served before.
      Retire(std::move(loaded));
      return std::move(one).WithContext(Concat("version ", version)).status();
    }
    telemetry::LogInfo(Concat("successfully loaded '", opened.name, "' version ", version));
    loaded.push_back(std::move(*one));
  }
  return loaded;
}

Result<std::shared_ptr<LoadedVersion>> ModelManager::BringUpOne(const OpenedModel& opened,
                                                                int64_t version,
                                                                const ModelLabels& labels) {
  const auto statistics = std::make_shared<ModelStatistics>(options_.keeps_latencies);
  ASSIGN_OR_RETURN(auto resources, loader_->Load(opened, version, statistics));
  if (opened.staged != nullptr) {
    resources = std::make_unique<StagedResources>(opened.staged, std::move(resources));
  }
  return LoadedVersion::Start(opened.name, version, std::move(resources), labels, statistics,
                              {world_.clock, world_.threads, *timekeeper_});
}

void ModelManager::Swap(const std::string& model,
                        std::vector<std::shared_ptr<LoadedVersion>> loaded) {
  std::vector<std::shared_ptr<LoadedVersion>> old;
  std::vector<int64_t> gone;
  {
    auto table = table_.Lock();
    for (const int64_t version : table->Versions(model)) {
      const bool stays = std::any_of(loaded.begin(), loaded.end(),
                                     [&](const auto& one) { return one->version() == version; });
      if (stays) continue;
      gone.push_back(version);
      if (auto serving = table->SetUnloading(model, version)) old.push_back(std::move(serving));
    }
    for (auto& one : loaded) {
      if (auto replaced = table->SetReady(std::move(one))) old.push_back(std::move(replaced));
    }
  }
  Retire(std::move(old));
  auto table = table_.Lock();
  for (const int64_t version : gone) {
    table->SetUnavailable(model, version, std::string(kUnloadedReason));
  }
}

void ModelManager::UnloadModel(const std::string& model) {
  const Turn turn(*this, model);
  std::vector<std::shared_ptr<LoadedVersion>> serving;
  std::vector<int64_t> versions;
  {
    auto table = table_.Lock();
    if (!table->Knows(model)) return;
    versions = table->Versions(model);
    for (const int64_t version : versions) {
      if (auto loaded = table->SetUnloading(model, version)) serving.push_back(std::move(loaded));
    }
  }
  Retire(std::move(serving));
  auto table = table_.Lock();
  table->SetModelFailed(model, "");
  for (const int64_t version : versions) {
    table->SetUnavailable(model, version, std::string(kUnloadedReason));
  }
}

void ModelManager::Retire(std::vector<std::shared_ptr<LoadedVersion>> versions) {
  {
    auto retiring = retiring_.Lock();
    retiring->insert(retiring->end(), versions.begin(), versions.end());
  }
  for (const auto& version : versions) {
    version->Retire();
    std::erase(*retiring_.Lock(), version);
    telemetry::LogInfo(
        Concat("successfully unloaded '", version->name(), "' version ", version->version()));
  }
}

// ---- Stop ----

Status ModelManager::Stop(Duration limit) {
  std::unique_lock lock(mutex_);
  if (!stopping_) {
    stopping_ = true;
    changed_.notify_all();
    lock.unlock();
    poller_.reset();
    auto thread = world_.threads.Start("model-unload", [this] { UnloadAll(); });
    if (thread.ok()) {
      stopper_ = std::move(*thread);
    } else {
      UnloadAll();
    }
    lock.lock();
  }
  const auto done = [&] { return stopped_; };
  if (limit == Duration::max()) {
    changed_.wait(lock, done);
  } else if (!changed_.wait_for(lock, limit, done)) {
    lock.unlock();
    return DeadlineExceeded(Concat("stopping took longer than ", ToMilliseconds(limit), " ms; ",
                                   in_flight(), " requests are in flight"));
  }
  return {};
}

void ModelManager::UnloadAll() {
  std::vector<std::string> models;
  for (const ModelIndexEntry& entry : table_.Lock()->Index()) {
    if (models.empty() || models.back() != entry.name) models.push_back(entry.name);
  }
  for (const std::string& model : models) UnloadModel(model);
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

// ---- Poll ----

Status ModelManager::StartPolling() {
  ASSIGN_OR_RETURN(poller_, world_.threads.Start("model-poll", [this] { Poll(); }));
  return {};
}

void ModelManager::Poll() {
  std::unique_lock lock(mutex_);
  const auto stopping = [&] { return stopping_; };
  while (!changed_.wait_for(lock, options_.poll_interval, stopping)) {
    lock.unlock();
    PollOnce();
    lock.lock();
  }
}

void ModelManager::PollOnce() {
  const Result<std::vector<ListedModel>> listed = repository_->List();
  if (!listed.ok()) {
    // An outage must never look like a deletion.
    telemetry::LogWarning(Concat("polling the model repository: ", listed.status().message()));
    return;
  }
  std::map<std::string, uint64_t> now;
  for (const ListedModel& model : *listed) {
    const auto before = fingerprints_.find(model.name);
    now[model.name] = model.fingerprint;
    if (before != fingerprints_.end() && before->second == model.fingerprint) continue;
    if (model.error.ok()) {
      (void)LoadModel(model.name, {});  // Logged, and in the index.
    } else {
      telemetry::LogWarning(Concat("not loading '", model.name, "': ", model.error.message()));
    }
  }
  for (const auto& [name, fingerprint] : fingerprints_) {
    if (now.find(name) == now.end()) UnloadModel(name);
  }
  fingerprints_ = std::move(now);
}

}  // namespace tepal
