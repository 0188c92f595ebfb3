// Functions with which a backend starts inferences or loads models itself, and the implicit state
// of sequences. Tepal does not serve these: they exist so that plugins which know them load, and
// each says its name.

#include "core/base/text.h"
#include "serving/backend/abi/tritonbackend.h"
#include "serving/backend/host/server_objects.h"

namespace {

TRITONSERVER_Error* Unsupported(const char* function) {
  return tepal::backend_host::NewError(
      TRITONSERVER_ERROR_UNSUPPORTED,
      tepal::Concat(function,
                    " is not supported by this server: a backend cannot start inferences, "
                    "load models or keep sequence state through it"));
}

}  // namespace

#define TEPAL_UNSUPPORTED(function, parameters) \
  TRITONSERVER_Error* function parameters { return Unsupported(#function); }

extern "C" {

TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestNew,
                  (TRITONSERVER_InferenceRequest**, TRITONSERVER_Server*, const char*,
                   const int64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestDelete, (TRITONSERVER_InferenceRequest*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetId, (TRITONSERVER_InferenceRequest*, const char*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetFlags, (TRITONSERVER_InferenceRequest*, uint32_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetCorrelationId,
                  (TRITONSERVER_InferenceRequest*, uint64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetCorrelationIdString,
                  (TRITONSERVER_InferenceRequest*, const char*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetTimeoutMicroseconds,
                  (TRITONSERVER_InferenceRequest*, uint64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetStringParameter,
                  (TRITONSERVER_InferenceRequest*, const char*, const char*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetIntParameter,
                  (TRITONSERVER_InferenceRequest*, const char*, const int64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetBoolParameter,
                  (TRITONSERVER_InferenceRequest*, const char*, const bool))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestAddInput,
                  (TRITONSERVER_InferenceRequest*, const char*, const TRITONSERVER_DataType,
                   const int64_t*, uint64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestAppendInputData,
                  (TRITONSERVER_InferenceRequest*, const char*, const void*, size_t,
                   TRITONSERVER_MemoryType, int64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestAddRequestedOutput,
                  (TRITONSERVER_InferenceRequest*, const char*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetReleaseCallback,
                  (TRITONSERVER_InferenceRequest*, TRITONSERVER_InferenceRequestReleaseFn_t, void*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceRequestSetResponseCallback,
                  (TRITONSERVER_InferenceRequest*, TRITONSERVER_ResponseAllocator*, void*,
                   TRITONSERVER_InferenceResponseCompleteFn_t, void*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceResponseDelete, (TRITONSERVER_InferenceResponse*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceResponseError, (TRITONSERVER_InferenceResponse*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceResponseOutputCount,
                  (TRITONSERVER_InferenceResponse*, uint32_t*))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceResponseOutput,
                  (TRITONSERVER_InferenceResponse*, const uint32_t, const char**,
                   TRITONSERVER_DataType*, const int64_t**, uint64_t*, const void**, size_t*,
                   TRITONSERVER_MemoryType*, int64_t*, void**))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceTraceContext, (TRITONSERVER_InferenceTrace*, const char**))
TEPAL_UNSUPPORTED(TRITONSERVER_InferenceTraceSpawnChildTrace,
                  (TRITONSERVER_InferenceTrace*, TRITONSERVER_InferenceTrace**))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerInferAsync,
                  (TRITONSERVER_Server*, TRITONSERVER_InferenceRequest*,
                   TRITONSERVER_InferenceTrace*))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerModelIsReady,
                  (TRITONSERVER_Server*, const char*, const int64_t, bool*))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerModelTransactionProperties,
                  (TRITONSERVER_Server*, const char*, const int64_t, uint32_t*, void**))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerLoadModelWithParameters,
                  (TRITONSERVER_Server*, const char*, const TRITONSERVER_Parameter**,
                   const uint64_t))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerUnloadModel, (TRITONSERVER_Server*, const char*))
TEPAL_UNSUPPORTED(TRITONSERVER_ServerUnloadModelAndDependents, (TRITONSERVER_Server*, const char*))

TEPAL_UNSUPPORTED(TRITONBACKEND_StateNew,
                  (TRITONBACKEND_State**, TRITONBACKEND_Request*, const char*,
                   const TRITONSERVER_DataType, const int64_t*, const uint32_t))
TEPAL_UNSUPPORTED(TRITONBACKEND_StateUpdate, (TRITONBACKEND_State*))
TEPAL_UNSUPPORTED(TRITONBACKEND_StateBuffer, (TRITONBACKEND_State*, void**, const uint64_t,
                                              TRITONSERVER_MemoryType*, int64_t*))
TEPAL_UNSUPPORTED(TRITONBACKEND_StateBufferAttributes,
                  (TRITONBACKEND_State*, TRITONSERVER_BufferAttributes**))

}  // extern "C"
