// One version of a model, loaded by its backend.

#pragma once

#include <memory>
#include <string>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/buffer/slab_source.h"
#include "core/env/clock.h"
#include "serving/backend/backend.h"
#include "serving/inference/statistics.h"
#include "serving/model_config/model_config.h"

struct TRITONBACKEND_Model;

namespace tepal {

// Turns the configuration that a backend has completed (JSON, as model_config prints it) into the
// one that will serve: takes over inputs, outputs, batch size and scheduler, refuses a bad one.
using ConfigCompleter = Function<Result<ModelConfigPtr>(std::string_view json)>;

// Kept alive by its instances. Immutable once loaded.
class BackendModel {
 public:
  struct Options {
    std::shared_ptr<BackendLibrary> library;
    ModelConfigPtr config;
    int64_t version = 1;
    std::string directory;       // Of the model: it holds the version directories.
    bool auto_complete = false;  // Whether the backend may complete the configuration.
    ConfigCompleter complete;    // Needed for auto_complete.
    const env::Clock* clock = nullptr;
    SlabSource* results = nullptr;  // Of instances on a GPU; null: in ordinary memory.
    std::shared_ptr<ModelStatistics> statistics;
  };

  // Calls the backend and blocks as long as it does. The error says what the backend said.
  static Result<std::shared_ptr<BackendModel>> Load(Options options);
  ~BackendModel();

  // With what the backend has completed.
  const ModelConfigPtr& config() const;
  const std::string& name() const;
  int64_t version() const;

  // Whether instances of it execute inline (see BatchExecutor).
  bool runs_inline() const { return runs_inline_; }

  BackendLibrary& library() const { return *library_; }
  TRITONBACKEND_Model* handle() const { return handle_.get(); }

 private:
  explicit BackendModel(Options options);

  std::shared_ptr<BackendLibrary> library_;
  std::unique_ptr<TRITONBACKEND_Model> handle_;
  bool initialised_ = false;
  bool runs_inline_ = false;
};

}  // namespace tepal
