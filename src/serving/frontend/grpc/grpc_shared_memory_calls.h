// The calls of the shared memory extensions: status, register and unregister of both kinds.

#pragma once

#include "serving/frontend/grpc/grpc_calls.h"

namespace tepal {

Result<Buffer> SystemSharedMemoryStatus(const GrpcCallContext& context, std::string_view request);
Result<Buffer> SystemSharedMemoryRegister(const GrpcCallContext& context, std::string_view request);
Result<Buffer> SystemSharedMemoryUnregister(const GrpcCallContext& context,
                                            std::string_view request);
Result<Buffer> CudaSharedMemoryStatus(const GrpcCallContext& context, std::string_view request);
Result<Buffer> CudaSharedMemoryRegister(const GrpcCallContext& context, std::string_view request);
Result<Buffer> CudaSharedMemoryUnregister(const GrpcCallContext& context, std::string_view request);

}  // namespace tepal
