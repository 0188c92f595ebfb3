#include "serving/lifecycle/model_table.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal {

std::string_view VersionStateName(VersionState state) {
  switch (state) {
    case VersionState::kLoading:
      return "LOADING";
    case VersionState::kReady:
      return "READY";
    case VersionState::kUnloading:
      return "UNLOADING";
    case VersionState::kUnavailable:
      return "UNAVAILABLE";
  }
  return "UNKNOWN";
}

Result<std::shared_ptr<LoadedVersion>> ModelTable::Find(std::string_view model,
                                                        int64_t version) const {
  const auto found = models_.find(model);
  if (found == models_.end()) {
    return NotFound(Concat("Request for unknown model: '", model, "' is not found"));
  }
  const auto& versions = found->second.versions;
  if (version >= 0) {
    const auto one = versions.find(version);
    if (one == versions.end()) {
      return NotFound(
          Concat("Request for unknown model: '", model, "' version ", version, " is not found"));
    }
    if (one->second.loaded != nullptr) return one->second.loaded;
    return Unavailable(Concat("Request for unknown model: '", model, "' version ", version,
                              " is not at ready state"));
  }
  for (auto newest = versions.rbegin(); newest != versions.rend(); ++newest) {
    if (newest->second.loaded != nullptr) return newest->second.loaded;
  }
  return NotFound(Concat("Request for unknown model: '", model, "' has no available versions"));
}

std::vector<std::shared_ptr<LoadedVersion>> ModelTable::Served(std::string_view model,
                                                               int64_t version) const {
  std::vector<std::shared_ptr<LoadedVersion>> served;
  for (const auto& [name, entry] : models_) {
    if (!model.empty() && name != model) continue;
    for (const auto& [number, one] : entry.versions) {
      if (version >= 0 && number != version) continue;
      if (one.loaded != nullptr) served.push_back(one.loaded);
    }
  }
  return served;
}

std::vector<ModelIndexEntry> ModelTable::Index() const {
  std::vector<ModelIndexEntry> index;
  for (const auto& [name, model] : models_) {
    for (const auto& [number, version] : model.versions) {
      index.push_back({name, number, std::string(VersionStateName(version.state)), version.reason});
    }
    if (model.versions.empty() && !model.failure.empty()) {
      index.push_back(
          {name, 0, std::string(VersionStateName(VersionState::kUnavailable)), model.failure});
    }
  }
  return index;
}

bool ModelTable::AllReady() const {
  for (const auto& [name, model] : models_) {
    if (!model.failure.empty()) return false;
    for (const auto& [number, version] : model.versions) {
      if (version.loaded != nullptr || version.state == VersionState::kUnloading) continue;
      if (version.reason != kUnloadedReason) return false;
    }
  }
  return true;
}

void ModelTable::SetLoading(const std::string& model, int64_t version) {
  Model& entry = models_[model];
  entry.failure.clear();
  Version& one = entry.versions[version];
  if (one.loaded != nullptr) return;
  one.state = VersionState::kLoading;
  one.reason.clear();
}

std::shared_ptr<LoadedVersion> ModelTable::SetReady(std::shared_ptr<LoadedVersion> loaded) {
  TEPAL_CHECK(loaded != nullptr);
  Model& entry = models_[loaded->name()];
  entry.failure.clear();
  Version& one = entry.versions[loaded->version()];
  one.state = VersionState::kReady;
  one.reason.clear();
  return std::exchange(one.loaded, std::move(loaded));
}

std::shared_ptr<LoadedVersion> ModelTable::SetUnloading(const std::string& model, int64_t version) {
  Version& one = models_[model].versions[version];
  if (one.loaded == nullptr) return nullptr;
  one.state = VersionState::kUnloading;
  one.reason.clear();
  return std::exchange(one.loaded, nullptr);
}

void ModelTable::SetUnavailable(const std::string& model, int64_t version, std::string reason) {
  Version& one = models_[model].versions[version];
  one = {VersionState::kUnavailable, std::move(reason), nullptr};
}

void ModelTable::SetModelFailed(const std::string& model, std::string reason) {
  models_[model].failure = std::move(reason);
}

std::vector<int64_t> ModelTable::Versions(std::string_view model) const {
  std::vector<int64_t> numbers;
  const auto found = models_.find(model);
  if (found == models_.end()) return numbers;
  for (const auto& [number, version] : found->second.versions) numbers.push_back(number);
  return numbers;
}

bool ModelTable::IsLoading(std::string_view model, int64_t version) const {
  const auto found = models_.find(model);
  if (found == models_.end()) return false;
  const auto one = found->second.versions.find(version);
  return one != found->second.versions.end() && one->second.state == VersionState::kLoading;
}

}  // namespace tepal
