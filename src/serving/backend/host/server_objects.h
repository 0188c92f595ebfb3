// What stands behind the opaque TRITONSERVER_* handles, and errors on their way between the two
// worlds. Internal to this room.

#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "core/base/status.h"
#include "serving/backend/abi/tritonserver.h"

struct TRITONSERVER_Error {
  TRITONSERVER_Error_Code code;
  std::string message;
};

struct TRITONSERVER_Message {
  std::string json;
};

struct TRITONSERVER_Parameter {
  std::string name;
  TRITONSERVER_ParameterType type;
  std::variant<std::string, int64_t, bool, double, std::string_view> value;
};

struct TRITONSERVER_BufferAttributes {
  TRITONSERVER_MemoryType memory_type = TRITONSERVER_MEMORY_CPU;
  int64_t memory_type_id = 0;
  size_t byte_size = 0;
  void* cuda_ipc_handle = nullptr;
};

struct TRITONSERVER_ResponseAllocator {
  TRITONSERVER_ResponseAllocatorAllocFn_t allocate = nullptr;
  TRITONSERVER_ResponseAllocatorReleaseFn_t release = nullptr;
  TRITONSERVER_ResponseAllocatorStartFn_t start = nullptr;
  TRITONSERVER_ResponseAllocatorQueryFn_t query = nullptr;
};

// Only an identity: what a backend may ask of its server it asks through other functions.
struct TRITONSERVER_Server {};

namespace tepal::backend_host {

// A new error for a backend, which deletes it.
TRITONSERVER_Error* NewError(TRITONSERVER_Error_Code code, std::string message);

// An error's code and text; OK for null. The error stays the caller's.
Status ToStatus(const TRITONSERVER_Error* error);

// The same, and deletes the error.
Status TakeStatus(TRITONSERVER_Error* error);

TRITONSERVER_Error* FromStatus(const Status& status);

}  // namespace tepal::backend_host
