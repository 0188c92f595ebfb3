// The inference server without its doors: everything a transport may ask for.
//
// One facade over model repository, lifecycle, schedulers and backends. Thread-safe. Answers about
// health and metadata take no lock that a load holds. Error texts and codes are Triton's
// (test/conformance).

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/buffer/slab_source.h"
#include "core/env/clock.h"
#include "core/env/file_system.h"
#include "core/env/worker.h"
#include "core/gpu/gpus.h"
#include "serving/inference/request.h"
#include "serving/inference/statistics.h"
#include "serving/lifecycle/control_mode.h"
#include "serving/lifecycle/served_model.h"
#include "serving/model_config/model_config.h"

namespace tepal {

struct ModelMetadata {
  std::string name;
  std::vector<int64_t> versions;
  std::string platform;
  struct Tensor {
    std::string name;
    DataType type = DataType::kInvalid;
    Shape shape;  // With -1 in front where the model batches.
  };
  std::vector<Tensor> inputs, outputs;
};

class ServerCore {
 public:
  virtual ~ServerCore() = default;

  virtual bool Live() const = 0;
  virtual bool Ready() const = 0;
  // False from now on; inference goes on. First step of a stop.
  virtual void SetLameDuck() = 0;

  // `version` -1: the newest that serves. kNotFound "Request for unknown model: 'm' is not found".
  virtual Result<std::shared_ptr<ServedModel>> Find(std::string_view model, int64_t version) = 0;
  virtual Result<ModelMetadata> Metadata(std::string_view model, int64_t version) = 0;

  // Validates the request against the model, then queues it. On success the answer comes through
  // request->sink; on an error the caller still owns the request and answers itself.
  virtual Status Infer(std::unique_ptr<InferenceRequest>&& request) = 0;

  // Every version that is loaded, or those of one model, or one.
  virtual std::vector<std::shared_ptr<ServedModel>> Served(std::string_view model = {},
                                                           int64_t version = -1) = 0;

  virtual Result<std::vector<ModelIndexEntry>> Index(bool ready_only) = 0;

  struct LoadOverride {
    std::string config_json;                   // Empty: the repository's.
    std::map<std::string, std::string> files;  // "1/model.onnx" to its bytes.
  };
  // Return once the work is done; run off the event loop. kUnavailable outside explicit mode.
  virtual Status Load(const std::string& model, const LoadOverride& overrides) = 0;
  virtual Status Unload(const std::string& model, bool unload_dependents) = 0;

  virtual int64_t in_flight() const = 0;

  // Takes nothing new, waits until nothing is in flight or `limit` has passed, unloads. Blocks.
  virtual Status Stop(Duration limit) = 0;
};

struct ServerCoreOptions {
  std::vector<std::string> repository_paths;
  std::vector<std::string> backend_directories;
  ModelControlMode control_mode = ModelControlMode::kNone;
  std::vector<std::string> startup_models;  // With kExplicit; {"*"}: all.
  bool auto_complete_config = true;
  bool strict_readiness = true;
  bool exit_on_error = true;
  int load_threads = 4;
  int load_retries = 0;  // Further tries of a version that fails to load.
  Duration poll_interval = 15s;
  bool keeps_latencies = false;  // As ModelStatistics has it.
  std::string model_config_name;
  std::string staging_directory;  // For files of models that requests bring; empty: none are taken.
  std::map<std::string, std::map<std::string, std::string>> backend_config;  // "" is global.
};

// What the core needs of the machine. Each outlives it.
struct ServerCoreWorld {
  const env::Clock& clock;
  env::FileSystem& files;
  env::WorkerThreads& threads;
  gpu::Gpus* gpus = nullptr;      // Null: no model is put on a GPU.
  SlabSource* results = nullptr;  // Of models on a GPU; null: in ordinary memory.
};

// Loads what is to be loaded at start before it returns. With exit_on_error a model that cannot be
// loaded is an error that names each such model and why.
Result<std::unique_ptr<ServerCore>> NewServerCore(const ServerCoreOptions& options,
                                                  const ServerCoreWorld& world);

}  // namespace tepal
