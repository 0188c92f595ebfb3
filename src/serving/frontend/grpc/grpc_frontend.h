// The gRPC door of the inference server: GRPCInferenceService and grpc.health.v1.Health onto
// server_core.
//
// One handler a loop (net::HttpServer's factory). Unary calls only so far: ModelStreamInfer and the
// extensions that are not built answer UNIMPLEMENTED and name themselves. Status codes and texts
// are Triton's.

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

struct GrpcFrontendOptions {
  std::string server_id = "triton";
  std::string server_version = "2.51.0";
  size_t message_bytes_max = 2147483647;  // As Triton's: what a 32-bit size can say.
};

// All but the loop are shared by the handlers of every loop, and outlive them. Loading and
// unloading run on `blocking`.
std::unique_ptr<http::RequestHandler> NewGrpcFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const GrpcFrontendOptions& options);

}  // namespace tepal
