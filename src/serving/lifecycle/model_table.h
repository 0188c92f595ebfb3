// What is known of every model: its versions, their states, and which of them serve.
//
// Plain data with rules; no lock, no thread. ModelManager guards it and does the work.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "serving/lifecycle/loaded_version.h"

namespace tepal {

enum class VersionState { kLoading, kReady, kUnloading, kUnavailable };

// "LOADING" and so on, as the index prints it.
std::string_view VersionStateName(VersionState state);

// Why a version is unavailable that was unloaded on purpose; such a one does not spoil readiness.
inline constexpr std::string_view kUnloadedReason = "unloaded";

class ModelTable {
 public:
  // What to serve a request with; `version` -1: the newest that is ready. kNotFound for an unknown
  // model or version and when none is ready, kUnavailable for a version that is not ready now.
  Result<std::shared_ptr<LoadedVersion>> Find(std::string_view model, int64_t version) const;

  // All that are ready, by name and version; of one model; or one of it.
  std::vector<std::shared_ptr<LoadedVersion>> Served(std::string_view model, int64_t version) const;

  bool Knows(std::string_view model) const { return models_.find(model) != models_.end(); }
  std::vector<ModelIndexEntry> Index() const;

  // Whether everything known is ready or was unloaded on purpose.
  bool AllReady() const;

  // A version that serves goes on doing so.
  void SetLoading(const std::string& model, int64_t version);
  // From now on it is found. Returns what served in its place, to be retired; null when none did.
  std::shared_ptr<LoadedVersion> SetReady(std::shared_ptr<LoadedVersion> loaded);
  // It is no longer found; returned so that it can be retired. Null when it did not serve.
  std::shared_ptr<LoadedVersion> SetUnloading(const std::string& model, int64_t version);
  void SetUnavailable(const std::string& model, int64_t version, std::string reason);
  // The model as a whole failed before any version was known.
  void SetModelFailed(const std::string& model, std::string reason);

  // The versions that have a state now.
  std::vector<int64_t> Versions(std::string_view model) const;
  bool IsLoading(std::string_view model, int64_t version) const;

 private:
  struct Version {
    VersionState state = VersionState::kUnavailable;
    std::string reason;
    std::shared_ptr<LoadedVersion> loaded;  // While ready.
  };
  struct Model {
    std::map<int64_t, Version> versions;
    std::string failure;  // Of the model as a whole; empty: none.
  };

  std::map<std::string, Model, std::less<>> models_;
};

}  // namespace tepal
