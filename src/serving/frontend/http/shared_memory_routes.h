// The routes of the shared memory extensions, as answers: JSON text, empty, or an error.

#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "serving/frontend/http/routes.h"
#include "serving/shared_memory/shared_memory_regions.h"

namespace tepal {

// `route` is one of kSharedMemory…; `regions` is null where clients may not register any.
Result<std::string> AnswerSharedMemory(SharedMemoryRegions* regions, const Route& route,
                                       std::string_view body);

}  // namespace tepal
