// The calls of the trace and logging extensions: read settings, and change those that are given.

#pragma once

#include "serving/frontend/grpc/grpc_calls.h"

namespace tepal {

Result<Buffer> TraceSetting(const GrpcCallContext& context, std::string_view request);
Result<Buffer> ChangeLogSettings(const GrpcCallContext& context, std::string_view request);

}  // namespace tepal
