// What stands behind TRITONBACKEND_Backend, _Model and _ModelInstance. Internal to this room; the
// owners are the C++ classes of backend.h, backend_model.h and backend_instance.h.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/function.h"
#include "core/base/result.h"
#include "core/buffer/slab_source.h"
#include "core/env/clock.h"
#include "serving/backend/abi/tritonbackend.h"
#include "serving/backend/host/server_objects.h"
#include "serving/inference/statistics.h"
#include "serving/model_config/model_config.h"

namespace tepal::backend_host {
class RequestPool;
}

struct TRITONBACKEND_MemoryManager {};

struct TRITONBACKEND_BackendAttribute {
  struct Group {
    TRITONSERVER_InstanceGroupKind kind;
    uint64_t count;
    std::vector<uint64_t> device_ids;
  };
  std::vector<Group> preferred_groups;
  bool parallel_instance_loading = false;
};

struct TRITONBACKEND_Backend {
  std::string name;
  std::string directory;
  TRITONSERVER_Message config;
  TRITONBACKEND_ExecutionPolicy policy = TRITONBACKEND_EXECUTION_BLOCKING;
  bool initialising = false;
  void* state = nullptr;
  TRITONBACKEND_MemoryManager memory_manager;
  TRITONSERVER_Server server;
};

struct TRITONBACKEND_Model {
  TRITONBACKEND_Backend* backend = nullptr;
  std::string name;
  int64_t version = 0;
  std::string directory;
  tepal::ModelConfigPtr config;
  bool auto_complete = false;
  bool initialising = false;
  // Reads a configuration that the backend has completed.
  tepal::Function<tepal::Result<tepal::ModelConfigPtr>(std::string_view json)> complete;
  void* state = nullptr;
  bool reshapes = false;  // Some input or output has a reshape.
  // What a request that names no outputs wants: all, by name, as Triton's set of them has it.
  std::vector<std::string> all_outputs;
  const tepal::env::Clock* clock = nullptr;
  tepal::SlabSource* results = nullptr;
  std::shared_ptr<tepal::ModelStatistics> statistics;
};

struct TRITONBACKEND_ModelInstance {
  bool on_gpu() const { return kind == TRITONSERVER_INSTANCEGROUPKIND_GPU; }

  TRITONBACKEND_Model* model = nullptr;
  std::string name;
  TRITONSERVER_InstanceGroupKind kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
  int32_t device_id = 0;
  bool passive = false;
  TRITONSERVER_Message host_policy;
  std::vector<std::string> profiles;
  void* state = nullptr;
};
