// Responses, factories and output tensors.

#include <utility>

#include "core/base/text.h"
#include "serving/backend/host/request_objects.h"

namespace {

using tepal::backend_host::NewError;
using tepal::backend_host::ToStatus;

TRITONBACKEND_Response* MakeResponse(TRITONBACKEND_Request* request) {
  TRITONBACKEND_Response* response = &request->first_response;
  if (request->first_response_taken.exchange(true, std::memory_order_acq_rel)) {
    response = std::make_unique<TRITONBACKEND_Response>().release();
  }
  request->Ref();
  response->request = request;
  response->response = request->NewResponse();
  response->response->outputs.reserve(request->instance->model->config->outputs.size());
  return response;
}

// Gives the response object back, and with it one count of the request.
void DropResponse(TRITONBACKEND_Response* response) {
  TRITONBACKEND_Request* request = response->request;
  response->response.reset();
  response->outputs.clear();
  if (response == &request->first_response) {
    request->first_response_taken.store(false, std::memory_order_release);
  } else {
    std::unique_ptr<TRITONBACKEND_Response>{response};
  }
  request->Unref();
}

TRITONSERVER_Error* AlreadyFinal() {
  return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                  "the final response of this request has been sent already");
}

// The final bit is claimed before the answer is held, because a released request is delivered by
// the Advance that sets the bit.
TRITONSERVER_Error* Send(TRITONBACKEND_Request* request,
                         std::unique_ptr<tepal::InferenceResponse> response, bool final) {
  if ((request->state.load(std::memory_order_acquire) & TRITONBACKEND_Request::kFinal) != 0) {
    return AlreadyFinal();
  }
  const bool has_response = response != nullptr;
  if (!final) {
    request->answered.store(true, std::memory_order_release);
    if (request->sink != nullptr) request->sink->OnResponse(std::move(response), false);
    return nullptr;
  }
  request->held = std::move(response);
  if (!has_response && !request->answered.load(std::memory_order_acquire) &&
      !request->instance->model->config->decoupled) {
    request->HoldError(
        tepal::Internal(tepal::Concat("the backend '", request->instance->model->backend->name,
                                      "' ended a request without a response")));
  }
  request->Advance(TRITONBACKEND_Request::kFinal);
  return nullptr;
}

// Pinned where a GPU will write it, so that it does so by itself.
tepal::Buffer NewResult(const TRITONBACKEND_ModelInstance& instance, size_t size) {
  const TRITONBACKEND_Model& model = *instance.model;
  tepal::Buffer result;
  if (instance.on_gpu() && model.results != nullptr && model.config->output_pinned_memory) {
    result = model.results->TryAllocate(size, nullptr);
  }
  return result.empty() ? tepal::Buffer::Allocate(size) : result;
}

// Brings what a backend has written on the CPU to where the client wants it.
tepal::Status FinishOutputs(TRITONBACKEND_Response& response, tepal::InferenceResponse& answer) {
  for (TRITONBACKEND_Output& output : response.outputs) {
    if (output.on_gpu.empty()) continue;
    tepal::OutputTensor& tensor = answer.outputs[output.index];
    const tepal::Status copied = output.on_gpu.place().gpu->CopyFromHost(
        tensor.data.data(), output.on_gpu.data(), tensor.data.size());
    if (!copied.ok()) {
      return tepal::Status(copied).WithContext(tepal::Concat("writing output '", tensor.name, "'"));
    }
    tensor.data = std::move(output.on_gpu);
  }
  return {};
}

void AddParameter(TRITONBACKEND_Response* response, const char* name, auto value) {
  response->response->parameters.push_back({name, std::move(value)});
}

// The shape the client sees where the configuration reshapes an output.
void UndoReshape(const TRITONBACKEND_Model& model, tepal::OutputTensor& output) {
  const tepal::ModelOutput* declared = model.config->FindOutput(output.name);
  if (declared == nullptr || !declared->reshape) return;
  tepal::Shape shape;
  const size_t skip = model.config->max_batch_size > 0 && !output.shape.empty() ? 1 : 0;
  if (skip == 1) shape.push_back(output.shape[0]);
  size_t next = 0;
  for (int64_t length : declared->dims) {
    if (length == -1) {
      while (next < declared->reshape->size() && (*declared->reshape)[next] != -1) ++next;
      if (next + skip < output.shape.size()) length = output.shape[next + skip];
      ++next;
    }
    shape.push_back(length);
  }
  output.shape = std::move(shape);
}

}  // namespace

extern "C" {

// ---- Factories ----------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryNew(TRITONBACKEND_ResponseFactory** factory,
                                                     TRITONBACKEND_Request* request) {
  auto fresh = std::make_unique<TRITONBACKEND_ResponseFactory>();
  request->Ref();
  fresh->request = request;
  *factory = fresh.release();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryDelete(TRITONBACKEND_ResponseFactory* factory) {
  const std::unique_ptr<TRITONBACKEND_ResponseFactory> owned(factory);
  factory->request->Unref();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseFactoryIsCancelled(TRITONBACKEND_ResponseFactory* factory,
                                                             bool* is_cancelled) {
  return TRITONBACKEND_RequestIsCancelled(factory->request, is_cancelled);
}

TRITONSERVER_Error* TRITONBACKEND_ResponseFactorySendFlags(TRITONBACKEND_ResponseFactory* factory,
                                                           const uint32_t send_flags) {
  if ((send_flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) == 0) return nullptr;
  return Send(factory->request, nullptr, true);
}

// ---- Responses ----------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_ResponseNew(TRITONBACKEND_Response** response,
                                              TRITONBACKEND_Request* request) {
  *response = MakeResponse(request);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseNewFromFactory(TRITONBACKEND_Response** response,
                                                         TRITONBACKEND_ResponseFactory* factory) {
  *response = MakeResponse(factory->request);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseDelete(TRITONBACKEND_Response* response) {
  DropResponse(response);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSetStringParameter(TRITONBACKEND_Response* response,
                                                             const char* name, const char* value) {
  AddParameter(response, name, std::string(value));
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSetIntParameter(TRITONBACKEND_Response* response,
                                                          const char* name, const int64_t value) {
  AddParameter(response, name, value);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSetBoolParameter(TRITONBACKEND_Response* response,
                                                           const char* name, const bool value) {
  AddParameter(response, name, value);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSetDoubleParameter(TRITONBACKEND_Response* response,
                                                             const char* name, const double value) {
  AddParameter(response, name, value);
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response* response,
                                                 TRITONBACKEND_Output** output, const char* name,
                                                 const TRITONSERVER_DataType datatype,
                                                 const int64_t* shape, const uint32_t dims_count) {
  *output = nullptr;
  tepal::OutputTensor& tensor = response->response->outputs.emplace_back();
  tensor.name = name;
  tensor.type = static_cast<tepal::DataType>(datatype);
  tensor.shape.assign(shape, shape + dims_count);
  const TRITONBACKEND_Model& model = *response->request->instance->model;
  if (model.reshapes) UndoReshape(model, tensor);
  *output = &response->outputs.emplace_back();
  (*output)->response = response;
  (*output)->index = response->response->outputs.size() - 1;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InferenceResponseOutput(TRITONBACKEND_Response* response,
                                                          const uint32_t index, const char** name,
                                                          TRITONSERVER_DataType* datatype,
                                                          const int64_t** shape,
                                                          uint64_t* dim_count) {
  const auto& outputs = response->response->outputs;
  if (index >= outputs.size()) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    tepal::Concat("out of bounds index ", index, ": the response has ",
                                  outputs.size(), " outputs"));
  }
  *name = outputs[index].name.c_str();
  *datatype = static_cast<TRITONSERVER_DataType>(outputs[index].type);
  *shape = outputs[index].shape.data();
  *dim_count = outputs[index].shape.size();
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_InferenceResponseOutputByName(TRITONBACKEND_Response* response,
                                                                const char* name,
                                                                TRITONSERVER_DataType* datatype,
                                                                const int64_t** shape,
                                                                uint64_t* dim_count) {
  const auto& outputs = response->response->outputs;
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].name != name) continue;
    const char* same = nullptr;
    return TRITONBACKEND_InferenceResponseOutput(response, i, &same, datatype, shape, dim_count);
  }
  return NewError(TRITONSERVER_ERROR_NOT_FOUND,
                  tepal::Concat("the response has no output '", name, "'"));
}

TRITONSERVER_Error* TRITONBACKEND_ResponseSend(TRITONBACKEND_Response* response,
                                               const uint32_t send_flags,
                                               TRITONSERVER_Error* error) {
  std::unique_ptr<tepal::InferenceResponse> answer = std::move(response->response);
  answer->status = ToStatus(error);
  if (answer->status.ok()) answer->status = FinishOutputs(*response, *answer);
  if (!answer->status.ok()) answer->outputs.clear();
  TRITONSERVER_Error* refused = Send(response->request, std::move(answer),
                                     (send_flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL) != 0);
  DropResponse(response);
  return refused;
}

// ---- Outputs ------------------------------------------------------------------------------------

TRITONSERVER_Error* TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output* output, void** buffer,
                                               const uint64_t buffer_byte_size,
                                               TRITONSERVER_MemoryType* memory_type,
                                               int64_t* memory_type_id) {
  *buffer = nullptr;
  tepal::OutputTensor& tensor = output->response->response->outputs[output->index];
  if (output->allocated) {
    return NewError(
        TRITONSERVER_ERROR_ALREADY_EXISTS,
        tepal::Concat("allocated buffer for output '", tensor.name, "' already exists"));
  }
  TRITONBACKEND_Request* request = output->response->request;
  if (request->sink != nullptr) {
    tensor.data = request->sink->OutputMemory(tensor.name, buffer_byte_size);
  }
  if (tensor.data.data() == nullptr) {
    tensor.data = NewResult(*request->instance, buffer_byte_size);
  } else if (tensor.data.size() < buffer_byte_size) {
    return NewError(
        TRITONSERVER_ERROR_INVALID_ARG,
        tepal::Concat("shared memory size specified with the request for output '", tensor.name,
                      "' (", tensor.data.size(), " bytes) should be at least ", buffer_byte_size,
                      " bytes to hold the results"));
  } else {
    tensor.data.Truncate(buffer_byte_size);
    if (tensor.data.on_gpu() && !request->instance->on_gpu()) {
      output->on_gpu = std::exchange(tensor.data, tepal::Buffer::Allocate(buffer_byte_size));
    }
  }
  const tepal::MemoryPlace place = tensor.data.place();
  output->allocated = true;
  output->attributes.memory_type = static_cast<TRITONSERVER_MemoryType>(place.kind);
  output->attributes.memory_type_id = place.device();
  *buffer = tensor.data.data();
  *memory_type = output->attributes.memory_type;
  *memory_type_id = output->attributes.memory_type_id;
  return nullptr;
}

TRITONSERVER_Error* TRITONBACKEND_OutputBufferAttributes(
    TRITONBACKEND_Output* output, TRITONSERVER_BufferAttributes** buffer_attributes) {
  if (!output->allocated) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG, "the output has no buffer yet");
  }
  output->attributes.byte_size = output->response->response->outputs[output->index].data.size();
  *buffer_attributes = &output->attributes;
  return nullptr;
}

}  // extern "C"
