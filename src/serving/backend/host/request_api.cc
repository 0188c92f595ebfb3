// Requests and their input tensors.

#include <cstring>

#include "core/base/text.h"
#include "serving/backend/host/request_objects.h"

namespace {

using tepal::backend_host::NewError;

TRITONSERVER_Error* OutOfRange(const char* what, uint32_t index, size_t count) {
  return NewError(
      TRITONSERVER_ERROR_INVALID_ARG,
      tepal::Concat("out of bounds index ", index, ": the request has ", count, " ", what));
}

TRITONSERVER_Error* Released() {
  return NewError(TRITONSERVER_ERROR_INVALID_ARG, "the request has been released");
}

size_t OutputCount(const TRITONBACKEND_Request& request) {
  const auto& wanted = request.request->requested_outputs;
  return wanted.empty() ? request.instance->model->all_outputs.size() : wanted.size();
}

}  // namespace

extern "C" {

// ---- Inputs -------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_InputProperties(TRITONBACKEND_Input* input, const char** name,
                                                  TRITONSERVER_DataType* datatype,
                                                  const int64_t** shape, uint32_t* dims_count,
                                                  uint64_t* byte_size, uint32_t* buffer_count) {
  if (name != nullptr) *name = input->tensor->name.c_str();
  if (datatype != nullptr) *datatype = static_cast<TRITONSERVER_DataType>(input->tensor->type);
  if (shape != nullptr) *shape = input->shape->data();
  if (dims_count != nullptr) *dims_count = static_cast<uint32_t>(input->shape->size());
  if (byte_size != nullptr) *byte_size = input->byte_size;
  if (buffer_count != nullptr) *buffer_count = static_cast<uint32_t>(input->tensor->data.size());
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InputPropertiesForHostPolicy(
    TRITONBACKEND_Input* input, const char* /*host_policy_name*/, const char** name,
    TRITONSERVER_DataType* datatype, const int64_t** shape, uint32_t* dims_count,
    uint64_t* byte_size, uint32_t* buffer_count) {
  return TRITONBACKEND_InputProperties(input, name, datatype, shape, dims_count, byte_size,
                                       buffer_count);
}

TRITONSERVER_Error* TRITONBACKEND_InputBuffer(TRITONBACKEND_Input* input, const uint32_t index,
                                              const void** buffer, uint64_t* buffer_byte_size,
                                              TRITONSERVER_MemoryType* memory_type,
                                              int64_t* memory_type_id) {
  const tepal::BufferList& data = input->tensor->data;
  if (index >= data.size()) {
    *buffer = nullptr;
    *buffer_byte_size = 0;
    return OutOfRange("buffers in this input", index, data.size());
  }
  *buffer = data[index].data();
  *buffer_byte_size = data[index].size();
  const tepal::MemoryPlace place = data[index].place();
  *memory_type = static_cast<TRITONSERVER_MemoryType>(place.kind);
  *memory_type_id = place.device();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InputBufferForHostPolicy(
    TRITONBACKEND_Input* input, const char* /*host_policy_name*/, const uint32_t index,
    const void** buffer, uint64_t* buffer_byte_size, TRITONSERVER_MemoryType* memory_type,
    int64_t* memory_type_id) {
  return TRITONBACKEND_InputBuffer(input, index, buffer, buffer_byte_size, memory_type,
                                   memory_type_id);
}

TRITONSERVER_Error* TRITONBACKEND_InputBufferAttributes(
    TRITONBACKEND_Input* input, const uint32_t index, const void** buffer,
    TRITONSERVER_BufferAttributes** buffer_attributes) {
  const tepal::BufferList& data = input->tensor->data;
  if (index >= data.size()) return OutOfRange("buffers in this input", index, data.size());
  if (input->attributes.empty()) {
    for (const tepal::Buffer& part : data) {
      input->attributes.push_back({static_cast<TRITONSERVER_MemoryType>(part.place().kind),
                                   part.place().device(), part.size(), nullptr});
    }
  }
  *buffer = data[index].data();
  *buffer_attributes = &input->attributes[index];
  return nullptr;
}

// ---- Requests -----------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_RequestId(TRITONBACKEND_Request* request, const char** id) {
  *id = request->id.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestIsCancelled(TRITONBACKEND_Request* request,
                                                     bool* is_cancelled) {
  *is_cancelled = request->cancellation != nullptr && request->cancellation->cancelled();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestCorrelationId(TRITONBACKEND_Request* request,
                                                       uint64_t* id) {
  if (request->request == nullptr) return Released();
  if (!request->request->correlation_text.empty()) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    "the correlation id of this request is a string, not a number");
  }
  *id = request->request->correlation_id;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestCorrelationIdString(TRITONBACKEND_Request* request,
                                                             const char** id) {
  if (request->request == nullptr) return Released();
  if (request->request->correlation_id != 0) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    "the correlation id of this request is a number, not a string");
  }
  *id = request->request->correlation_text.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InferenceRequestTimeoutMicroseconds(
    TRITONBACKEND_Request* request, uint64_t* timeout) {
  if (request->request == nullptr) return Released();
  *timeout = request->request->timeout_us;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestFlags(TRITONBACKEND_Request* request, uint32_t* flags) {
  if (request->request == nullptr) return Released();
  *flags = 0;
  if (request->request->sequence_start) *flags |= TRITONSERVER_REQUEST_FLAG_SEQUENCE_START;
  if (request->request->sequence_end) *flags |= TRITONSERVER_REQUEST_FLAG_SEQUENCE_END;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestParameterCount(TRITONBACKEND_Request* request,
                                                        uint32_t* count) {
  if (request->request == nullptr) return Released();
  *count = static_cast<uint32_t>(request->request->parameters.size());
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestParameter(TRITONBACKEND_Request* request,
                                                   const uint32_t index, const char** key,
                                                   TRITONSERVER_ParameterType* type,
                                                   const void** vvalue) {
  if (request->request == nullptr) return Released();
  const auto& parameters = request->request->parameters;
  if (index >= parameters.size()) return OutOfRange("parameters", index, parameters.size());
  const tepal::Parameter& parameter = parameters[index];
  *key = parameter.name.c_str();
  if (const auto* text = std::get_if<std::string>(&parameter.value)) {
    *type = TRITONSERVER_PARAMETER_STRING;
    *vvalue = text->c_str();
  } else if (const auto* number = std::get_if<int64_t>(&parameter.value)) {
    *type = TRITONSERVER_PARAMETER_INT;
    *vvalue = number;
  } else if (const auto* flag = std::get_if<bool>(&parameter.value)) {
    *type = TRITONSERVER_PARAMETER_BOOL;
    *vvalue = flag;
  } else {
    *type = TRITONSERVER_PARAMETER_DOUBLE;
    *vvalue = &std::get<double>(parameter.value);
  }
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestInputCount(TRITONBACKEND_Request* request,
                                                    uint32_t* count) {
  *count = static_cast<uint32_t>(request->input_count);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestInputName(TRITONBACKEND_Request* request,
                                                   const uint32_t index, const char** input_name) {
  if (request->request == nullptr) return Released();
  *input_name = nullptr;
  if (index >= request->input_count) return OutOfRange("inputs", index, request->input_count);
  *input_name = request->inputs[index].tensor->name.c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestInput(TRITONBACKEND_Request* request, const char* name,
                                               TRITONBACKEND_Input** input) {
  if (request->request == nullptr) return Released();
  for (size_t i = 0; i < request->input_count; ++i) {
    if (std::strcmp(request->inputs[i].tensor->name.c_str(), name) == 0) {
      *input = &request->inputs[i];
      return nullptr;
    }
  }
  *input = nullptr;
  return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                  tepal::Concat("unknown request input name '", name, "'"));
}

TRITONSERVER_Error* TRITONBACKEND_RequestInputByIndex(TRITONBACKEND_Request* request,
                                                      const uint32_t index,
                                                      TRITONBACKEND_Input** input) {
  if (request->request == nullptr) return Released();
  *input = nullptr;
  if (index >= request->input_count) return OutOfRange("inputs", index, request->input_count);
  *input = &request->inputs[index];
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestOutputCount(TRITONBACKEND_Request* request,
                                                     uint32_t* count) {
  if (request->request == nullptr) return Released();
  *count = static_cast<uint32_t>(OutputCount(*request));
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestOutputName(TRITONBACKEND_Request* request,
                                                    const uint32_t index,
                                                    const char** output_name) {
  if (request->request == nullptr) return Released();
  *output_name = nullptr;
  const size_t count = OutputCount(*request);
  if (index >= count) return OutOfRange("requested outputs", index, count);
  const auto& wanted = request->request->requested_outputs;
  *output_name =
      wanted.empty() ? request->instance->model->all_outputs[index].c_str() : wanted[index].c_str();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestOutputBufferProperties(
    TRITONBACKEND_Request* /*request*/, const char* /*name*/, size_t* /*byte_size*/,
    TRITONSERVER_MemoryType* memory_type, int64_t* memory_type_id) {
  *memory_type = TRITONSERVER_MEMORY_CPU;
  *memory_type_id = 0;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestRelease(TRITONBACKEND_Request* request,
                                                 uint32_t release_flags) {
  if ((release_flags & TRITONSERVER_REQUEST_RELEASE_RESCHEDULE) != 0) {
    return NewError(TRITONSERVER_ERROR_UNSUPPORTED,
                    "rescheduling a request (iterative sequences) is not supported");
  }
  if ((request->state.load(std::memory_order_acquire) & TRITONBACKEND_Request::kReleased) != 0) {
    return Released();
  }
  // The model stays loaded until the last answer, the inputs do not.
  request->lease = std::move(request->request->lease);
  request->request.reset();
  request->input_count = 0;
  request->Advance(TRITONBACKEND_Request::kReleased);
  request->Unref();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_RequestTrace(TRITONBACKEND_Request* /*request*/,
                                               TRITONSERVER_InferenceTrace** trace) {
  *trace = nullptr;
  return nullptr;
}

}  // extern "C"
