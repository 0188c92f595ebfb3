// The backend itself: its name, configuration, state, memory and attributes.

#include <cstdlib>

#include "core/base/text.h"
#include "core/buffer/buffer.h"
#include "serving/backend/host/backend_objects.h"

using tepal::backend_host::NewError;

extern "C" {

TRITONSERVER_Error* TRITONBACKEND_ApiVersion(uint32_t* major, uint32_t* minor) {
  *major = TRITONBACKEND_API_VERSION_MAJOR;
  *minor = TRITONBACKEND_API_VERSION_MINOR;
  return nullptr;
}

// ---- Memory -------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_MemoryManagerAllocate(TRITONBACKEND_MemoryManager* /*manager*/,
                                                        void** buffer,
                                                        const TRITONSERVER_MemoryType memory_type,
                                                        const int64_t /*memory_type_id*/,
                                                        const uint64_t byte_size) {
  *buffer = nullptr;
  if (memory_type != TRITONSERVER_MEMORY_CPU) {
    return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                    tepal::Concat("memory of type ", TRITONSERVER_MemoryTypeString(memory_type),
                                  " is not available: this server has no GPU support"));
  }
  const size_t rounded =
      (byte_size + tepal::kSlabAlignment - 1) / tepal::kSlabAlignment * tepal::kSlabAlignment;
  if (rounded >= byte_size) *buffer = std::aligned_alloc(tepal::kSlabAlignment, rounded);
  if (*buffer == nullptr && byte_size > 0) {
    return NewError(TRITONSERVER_ERROR_UNAVAILABLE,
                    tepal::Concat("failed to allocate ", byte_size, " bytes of CPU memory"));
  }
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_MemoryManagerFree(TRITONBACKEND_MemoryManager* /*manager*/,
                                                    void* buffer,
                                                    const TRITONSERVER_MemoryType memory_type,
                                                    const int64_t /*memory_type_id*/) {
  if (memory_type != TRITONSERVER_MEMORY_CPU) {
    return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                    tepal::Concat("memory of type ", TRITONSERVER_MemoryTypeString(memory_type),
                                  " did not come from this server"));
  }
  std::free(buffer);
  return nullptr;
}

// ---- Backend ------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_BackendName(TRITONBACKEND_Backend* backend, const char** name) {
  *name = backend->name.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendConfig(TRITONBACKEND_Backend* backend,
                                                TRITONSERVER_Message** backend_config) {
  *backend_config = &backend->config;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendExecutionPolicy(TRITONBACKEND_Backend* backend,
                                                         TRITONBACKEND_ExecutionPolicy* policy) {
  *policy = backend->policy;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendSetExecutionPolicy(TRITONBACKEND_Backend* backend,
                                                            TRITONBACKEND_ExecutionPolicy policy) {
  if (!backend->initialising) {
    return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                    "the execution policy can be set only in TRITONBACKEND_Initialize");
  }
  backend->policy = policy;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendArtifacts(TRITONBACKEND_Backend* backend,
                                                   TRITONBACKEND_ArtifactType* artifact_type,
                                                   const char** location) {
  *artifact_type = TRITONBACKEND_ARTIFACT_FILESYSTEM;
  *location = backend->directory.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendMemoryManager(TRITONBACKEND_Backend* backend,
                                                       TRITONBACKEND_MemoryManager** manager) {
  *manager = &backend->memory_manager;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendState(TRITONBACKEND_Backend* backend, void** state) {
  *state = backend->state;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendSetState(TRITONBACKEND_Backend* backend, void* state) {
  backend->state = state;
  return nullptr;
}

// ---- Attributes ---------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(
    TRITONBACKEND_BackendAttribute* backend_attributes, const TRITONSERVER_InstanceGroupKind kind,
    const uint64_t count, const uint64_t* device_ids, const uint64_t id_count) {
  auto& group = backend_attributes->preferred_groups.emplace_back();
  group.kind = kind;
  group.count = count;
  if (device_ids != nullptr) group.device_ids.assign(device_ids, device_ids + id_count);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_BackendAttributeSetParallelModelInstanceLoading(
    TRITONBACKEND_BackendAttribute* backend_attributes, bool enabled) {
  backend_attributes->parallel_instance_loading = enabled;
  return nullptr;
}

}  // extern "C"
