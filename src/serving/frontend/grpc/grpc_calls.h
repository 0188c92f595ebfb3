// The unary calls that need no waiting, from request bytes to answer bytes.

#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/buffer/buffer.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/server_core/server_core.h"

namespace tepal {

// Everything a call may use.
struct GrpcCallContext {
  ServerCore& core;
  const GrpcFrontendOptions& options;
};

using GrpcCall = Result<Buffer> (*)(const GrpcCallContext& context, std::string_view request);

// By "/package.Service/Method"; null for what is no such call.
GrpcCall FindGrpcCall(std::string_view path);

}  // namespace tepal
