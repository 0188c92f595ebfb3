// Backends that cannot be loaded, one for each way; CMakeLists.txt says which. Tests only.
//
// TEPAL_BROKEN_LIBRARY needs a shared library that is not there, TEPAL_BROKEN_FUNCTION a function
// of the interface that no server has, TEPAL_BROKEN_START throws before the first function is
// called.

#include <stdexcept>

#include "serving/backend/abi/tritonbackend.h"

#ifdef TEPAL_BROKEN_LIBRARY
extern "C" int TepalAbsent();
int absent = TepalAbsent();
#endif

#ifdef TEPAL_BROKEN_FUNCTION
extern "C" TRITONSERVER_Error* TRITONBACKEND_OfTheFuture();
TRITONSERVER_Error* future = TRITONBACKEND_OfTheFuture();
#endif

#ifdef TEPAL_BROKEN_START
int Start() { throw std::runtime_error("no luck at all"); }
int started = Start();
#endif

extern "C" TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* /*instance*/, TRITONBACKEND_Request** /*requests*/,
    const uint32_t /*count*/) {
  return nullptr;
}
