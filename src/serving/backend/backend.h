// Backend plugins: shared libraries that run models behind the TRITONBACKEND C interface.
//
// A BackendLibrary is one loaded plugin; a BackendManager finds and keeps them. Neither knows
// models: see backend_model.h. The program that loads plugins must export the C interface to them,
// which the link options of this room do for every executable that uses it.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "serving/backend/abi/tepal_extensions.h"
#include "serving/model_config/model_config.h"

struct TRITONBACKEND_Backend;

namespace tepal {

// The functions a plugin implements; all but the last but one (Execute) may be null.
struct BackendEntryPoints {
  decltype(&TRITONBACKEND_Initialize) initialize = nullptr;
  decltype(&TRITONBACKEND_Finalize) finalize = nullptr;
  decltype(&TRITONBACKEND_GetBackendAttribute) attribute = nullptr;
  decltype(&TRITONBACKEND_ModelInitialize) model_initialize = nullptr;
  decltype(&TRITONBACKEND_ModelFinalize) model_finalize = nullptr;
  decltype(&TRITONBACKEND_ModelInstanceInitialize) instance_initialize = nullptr;
  decltype(&TRITONBACKEND_ModelInstanceFinalize) instance_finalize = nullptr;
  decltype(&TRITONBACKEND_ModelInstanceExecute) execute = nullptr;
  decltype(&TEPAL_BackendTraits) traits = nullptr;
};

using BackendSettings = std::map<std::string, std::string>;

// One loaded plugin. Thread-safe after Load; its code stays mapped until the process ends, because
// libraries with threads and thread-local destructors do not survive being unmapped.
class BackendLibrary {
 public:
  // Opens the file and initialises the backend. The error says which file, which symbol, or what
  // the backend said. `settings` is what the backend is told as its command line.
  static Result<std::shared_ptr<BackendLibrary>> Load(const std::string& name,
                                                      const std::string& path,
                                                      const BackendSettings& settings);
  ~BackendLibrary();

  const std::string& name() const;
  const std::string& path() const { return path_; }
  const BackendEntryPoints& entry_points() const { return entry_points_; }
  TRITONBACKEND_Backend* handle() const { return handle_.get(); }

  // Whether only one instance of a device may execute at a time.
  bool device_blocking() const;
  // Whether instances may be created concurrently.
  bool parallel_instance_loading() const;
  // What the backend would like where a configuration names no instance group; may be empty.
  const std::vector<InstanceGroup>& preferred_groups() const { return preferred_groups_; }

 private:
  BackendLibrary();
  Status Initialise(const BackendSettings& settings);
  Status AskAttributes();

  std::string path_;
  BackendEntryPoints entry_points_;
  std::unique_ptr<TRITONBACKEND_Backend> handle_;
  bool parallel_instance_loading_ = false;
  bool initialised_ = false;
  std::vector<InstanceGroup> preferred_groups_;
};

// Finds plugins and keeps each one it has loaded. Thread-safe.
class BackendManager {
 public:
  struct Options {
    std::vector<std::string> directories;             // Searched in order.
    std::map<std::string, BackendSettings> settings;  // By backend; "" is for all of them.
    bool auto_complete_config = true;                 // Told to the backends.
  };
  explicit BackendManager(Options options);

  // The plugin libtriton_<name>.so, or the file that `runtime` of a configuration names: see
  // backend_files.h for where. kNotFound says what was tried. Two names of one file are one
  // library.
  //
  // A plugin that ends the process as it starts cannot be caught: the log's last line then says
  // which one was being loaded from where.
  Result<std::shared_ptr<BackendLibrary>> Get(const std::string& name,
                                              const std::vector<std::string>& model_directories,
                                              const std::string& runtime = {});

  // What is told to backend `name`: its own settings over those for all.
  BackendSettings SettingsFor(const std::string& name) const;

 private:
  Options options_;
  // By backend and file. Held while loading, so that a backend is initialised once.
  Guarded<std::map<std::pair<std::string, std::string>, std::shared_ptr<BackendLibrary>>>
      libraries_;
};

}  // namespace tepal
