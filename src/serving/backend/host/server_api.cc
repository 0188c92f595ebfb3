// Errors, messages, parameters, buffer attributes, names of enumerations and the log.

#include <memory>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "serving/backend/host/server_objects.h"
#include "serving/tensor/data_type.h"

namespace tepal::backend_host {
namespace {

struct CodePair {
  TRITONSERVER_Error_Code theirs;
  StatusCode ours;
  const char* name;
};

// Indexed by their code.
constexpr CodePair kCodes[] = {
    {TRITONSERVER_ERROR_UNKNOWN, StatusCode::kUnknown, "Unknown"},
    {TRITONSERVER_ERROR_INTERNAL, StatusCode::kInternal, "Internal"},
    {TRITONSERVER_ERROR_NOT_FOUND, StatusCode::kNotFound, "Not found"},
    {TRITONSERVER_ERROR_INVALID_ARG, StatusCode::kInvalidArgument, "Invalid argument"},
    {TRITONSERVER_ERROR_UNAVAILABLE, StatusCode::kUnavailable, "Unavailable"},
    {TRITONSERVER_ERROR_UNSUPPORTED, StatusCode::kUnimplemented, "Unsupported"},
    {TRITONSERVER_ERROR_ALREADY_EXISTS, StatusCode::kAlreadyExists, "Already exists"},
    {TRITONSERVER_ERROR_CANCELLED, StatusCode::kCancelled, "Cancelled"},
};

// A code that a plugin made up counts as unknown.
const CodePair& PairOf(TRITONSERVER_Error_Code code) {
  const auto index = static_cast<size_t>(code);
  return kCodes[index < std::size(kCodes) ? index : 0];
}

}  // namespace

TRITONSERVER_Error* NewError(TRITONSERVER_Error_Code code, std::string message) {
  auto error = std::make_unique<TRITONSERVER_Error>();
  error->code = code;
  error->message = std::move(message);
  return error.release();
}

Status ToStatus(const TRITONSERVER_Error* error) {
  if (error == nullptr) return {};
  return {PairOf(error->code).ours, error->message};
}

Status TakeStatus(TRITONSERVER_Error* error) {
  const std::unique_ptr<TRITONSERVER_Error> owned(error);
  return ToStatus(error);
}

TRITONSERVER_Error* FromStatus(const Status& status) {
  if (status.ok()) return nullptr;
  for (const CodePair& pair : kCodes) {
    if (pair.ours == status.code()) return NewError(pair.theirs, status.message());
  }
  return NewError(TRITONSERVER_ERROR_INTERNAL, status.message());
}

}  // namespace tepal::backend_host

using tepal::backend_host::NewError;

extern "C" {

TRITONSERVER_Error* TRITONSERVER_ApiVersion(uint32_t* major, uint32_t* minor) {
  *major = TRITONSERVER_API_VERSION_MAJOR;
  *minor = TRITONSERVER_API_VERSION_MINOR;
  return nullptr;
}

// ---- Names --------------------------------------------------------------------------------------

const char* TRITONSERVER_DataTypeString(TRITONSERVER_DataType datatype) {
  // The names are literals, so their data ends with a NUL.
  return tepal::DataTypeName(static_cast<tepal::DataType>(datatype)).data();
}

TRITONSERVER_DataType TRITONSERVER_StringToDataType(const char* dtype) {
  const auto type = tepal::DataTypeFromName(dtype);
  return type ? static_cast<TRITONSERVER_DataType>(*type) : TRITONSERVER_TYPE_INVALID;
}

uint32_t TRITONSERVER_DataTypeByteSize(TRITONSERVER_DataType datatype) {
  return static_cast<uint32_t>(tepal::DataTypeSize(static_cast<tepal::DataType>(datatype)));
}

const char* TRITONSERVER_MemoryTypeString(TRITONSERVER_MemoryType memtype) {
  switch (memtype) {
    case TRITONSERVER_MEMORY_CPU:
      return "CPU";
    case TRITONSERVER_MEMORY_CPU_PINNED:
      return "CPU_PINNED";
    case TRITONSERVER_MEMORY_GPU:
      return "GPU";
  }
  return "<invalid>";
}

const char* TRITONSERVER_InstanceGroupKindString(TRITONSERVER_InstanceGroupKind kind) {
  switch (kind) {
    case TRITONSERVER_INSTANCEGROUPKIND_AUTO:
      return "AUTO";
    case TRITONSERVER_INSTANCEGROUPKIND_CPU:
      return "CPU";
    case TRITONSERVER_INSTANCEGROUPKIND_GPU:
      return "GPU";
    case TRITONSERVER_INSTANCEGROUPKIND_MODEL:
      return "MODEL";
  }
  return "<invalid>";
}

const char* TRITONSERVER_ParameterTypeString(TRITONSERVER_ParameterType paramtype) {
  switch (paramtype) {
    case TRITONSERVER_PARAMETER_STRING:
      return "STRING";
    case TRITONSERVER_PARAMETER_INT:
      return "INT";
    case TRITONSERVER_PARAMETER_BOOL:
      return "BOOL";
    case TRITONSERVER_PARAMETER_DOUBLE:
      return "DOUBLE";
    case TRITONSERVER_PARAMETER_BYTES:
      return "BYTES";
  }
  return "<invalid>";
}

// ---- Log ----------------------------------------------------------------------------------------

bool TRITONSERVER_LogIsEnabled(TRITONSERVER_LogLevel level) {
  const tepal::telemetry::LogSettings settings = tepal::telemetry::GetLogSettings();
  switch (level) {
    case TRITONSERVER_LOG_INFO:
      return settings.info;
    case TRITONSERVER_LOG_WARN:
      return settings.warning;
    case TRITONSERVER_LOG_ERROR:
      return settings.error;
    case TRITONSERVER_LOG_VERBOSE:
      return settings.verbose_level > 0;
  }
  return false;
}

TRITONSERVER_Error* TRITONSERVER_LogMessage(TRITONSERVER_LogLevel level, const char* filename,
                                            const int line, const char* msg) {
  const tepal::telemetry::Where where{filename, line};
  switch (level) {
    case TRITONSERVER_LOG_INFO:
      tepal::telemetry::LogInfo(msg, where);
      return nullptr;
    case TRITONSERVER_LOG_WARN:
      tepal::telemetry::LogWarning(msg, where);
      return nullptr;
    case TRITONSERVER_LOG_ERROR:
      tepal::telemetry::LogError(msg, where);
      return nullptr;
    case TRITONSERVER_LOG_VERBOSE:
      tepal::telemetry::LogVerbose(1, msg, where);
      return nullptr;
  }
  return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                  tepal::Concat("unknown log level ", static_cast<int>(level)));
}

// ---- Errors -------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONSERVER_ErrorNew(TRITONSERVER_Error_Code code, const char* msg) {
  return NewError(code, msg == nullptr ? "" : msg);
}

void TRITONSERVER_ErrorDelete(TRITONSERVER_Error* error) {
  std::unique_ptr<TRITONSERVER_Error>{error};
}

TRITONSERVER_Error_Code TRITONSERVER_ErrorCode(TRITONSERVER_Error* error) { return error->code; }

const char* TRITONSERVER_ErrorCodeString(TRITONSERVER_Error* error) {
  return tepal::backend_host::PairOf(error->code).name;
}

const char* TRITONSERVER_ErrorMessage(TRITONSERVER_Error* error) { return error->message.c_str(); }

// ---- Parameters ---------------------------------------------------------------------------------

TRITONSERVER_Parameter* TRITONSERVER_ParameterNew(const char* name,
                                                  const TRITONSERVER_ParameterType type,
                                                  const void* value) {
  auto parameter = std::make_unique<TRITONSERVER_Parameter>();
  parameter->name = name;
  parameter->type = type;
  switch (type) {
    case TRITONSERVER_PARAMETER_STRING:
      parameter->value = std::string(static_cast<const char*>(value));
      break;
    case TRITONSERVER_PARAMETER_INT:
      parameter->value = *static_cast<const int64_t*>(value);
      break;
    case TRITONSERVER_PARAMETER_BOOL:
      parameter->value = *static_cast<const bool*>(value);
      break;
    case TRITONSERVER_PARAMETER_DOUBLE:
      parameter->value = *static_cast<const double*>(value);
      break;
    case TRITONSERVER_PARAMETER_BYTES:
      return nullptr;
  }
  return parameter.release();
}

TRITONSERVER_Parameter* TRITONSERVER_ParameterBytesNew(const char* name, const void* byte_ptr,
                                                       const uint64_t size) {
  auto parameter = std::make_unique<TRITONSERVER_Parameter>();
  parameter->name = name;
  parameter->type = TRITONSERVER_PARAMETER_BYTES;
  parameter->value = std::string_view(static_cast<const char*>(byte_ptr), size);
  return parameter.release();
}

void TRITONSERVER_ParameterDelete(TRITONSERVER_Parameter* parameter) {
  std::unique_ptr<TRITONSERVER_Parameter>{parameter};
}

// ---- Messages -----------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONSERVER_MessageNewFromSerializedJson(TRITONSERVER_Message** message,
                                                              const char* base, size_t byte_size) {
  auto fresh = std::make_unique<TRITONSERVER_Message>();
  fresh->json.assign(base, byte_size);
  *message = fresh.release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MessageDelete(TRITONSERVER_Message* message) {
  std::unique_ptr<TRITONSERVER_Message>{message};
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message* message,
                                                        const char** base, size_t* byte_size) {
  *base = message->json.c_str();
  *byte_size = message->json.size();
  return nullptr;
}

// ---- Buffer attributes --------------------------------------------------------------------------

TRITONSERVER_Error* TRITONSERVER_BufferAttributesNew(TRITONSERVER_BufferAttributes** attributes) {
  *attributes = std::make_unique<TRITONSERVER_BufferAttributes>().release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesDelete(TRITONSERVER_BufferAttributes* attributes) {
  std::unique_ptr<TRITONSERVER_BufferAttributes>{attributes};
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesSetMemoryTypeId(
    TRITONSERVER_BufferAttributes* attributes, int64_t memory_type_id) {
  attributes->memory_type_id = memory_type_id;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesSetMemoryType(
    TRITONSERVER_BufferAttributes* attributes, TRITONSERVER_MemoryType memory_type) {
  attributes->memory_type = memory_type;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesSetCudaIpcHandle(
    TRITONSERVER_BufferAttributes* attributes, void* cuda_ipc_handle) {
  attributes->cuda_ipc_handle = cuda_ipc_handle;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesSetByteSize(
    TRITONSERVER_BufferAttributes* attributes, size_t byte_size) {
  attributes->byte_size = byte_size;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesMemoryTypeId(
    TRITONSERVER_BufferAttributes* attributes, int64_t* memory_type_id) {
  *memory_type_id = attributes->memory_type_id;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesMemoryType(
    TRITONSERVER_BufferAttributes* attributes, TRITONSERVER_MemoryType* memory_type) {
  *memory_type = attributes->memory_type;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesCudaIpcHandle(
    TRITONSERVER_BufferAttributes* attributes, void** cuda_ipc_handle) {
  *cuda_ipc_handle = attributes->cuda_ipc_handle;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_BufferAttributesByteSize(TRITONSERVER_BufferAttributes* attributes,
                                                          size_t* byte_size) {
  *byte_size = attributes->byte_size;
  return nullptr;
}

// ---- Response allocators ------------------------------------------------------------------------
//
// Made by plugins that could start inferences, at load; never called, as none can be started.

TRITONSERVER_Error* TRITONSERVER_ResponseAllocatorNew(
    TRITONSERVER_ResponseAllocator** allocator, TRITONSERVER_ResponseAllocatorAllocFn_t alloc_fn,
    TRITONSERVER_ResponseAllocatorReleaseFn_t release_fn,
    TRITONSERVER_ResponseAllocatorStartFn_t start_fn) {
  auto fresh = std::make_unique<TRITONSERVER_ResponseAllocator>();
  fresh->allocate = alloc_fn;
  fresh->release = release_fn;
  fresh->start = start_fn;
  *allocator = fresh.release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_ResponseAllocatorSetQueryFunction(
    TRITONSERVER_ResponseAllocator* allocator, TRITONSERVER_ResponseAllocatorQueryFn_t query_fn) {
  allocator->query = query_fn;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_ResponseAllocatorDelete(
    TRITONSERVER_ResponseAllocator* allocator) {
  std::unique_ptr<TRITONSERVER_ResponseAllocator>{allocator};
  return nullptr;
}

}  // extern "C"
