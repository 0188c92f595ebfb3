// What a plugin may tell Tepal beyond the TRITONBACKEND interface. Every symbol here is optional
// and another host ignores it: a plugin that has them still loads into Triton.

#ifndef TEPAL_SERVING_BACKEND_ABI_TEPAL_EXTENSIONS_H_
#define TEPAL_SERVING_BACKEND_ABI_TEPAL_EXTENSIONS_H_

#include "serving/backend/abi/tritonbackend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  // Execute is short and never blocks: it may be called from an event loop.
  TEPAL_BACKEND_INLINE = 1u << 0
};

// Flags of this backend for one model, asked once after TRITONBACKEND_ModelInitialize.
TRITON_ABI uint64_t TEPAL_BackendTraits(TRITONBACKEND_Model* model);

#ifdef __cplusplus
}
#endif

#endif  // TEPAL_SERVING_BACKEND_ABI_TEPAL_EXTENSIONS_H_
