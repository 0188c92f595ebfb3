// The gRPC door of the inference server: GRPCInferenceService, grpc.health.v1.Health and server
// reflection onto server_core.
//
// One handler a loop (net::HttpServer's factory). Status codes and texts are Triton's
// (test/conformance). Models that answer more than once are refused by name.

#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/compression.h"
#include "network/http/stream.h"
#include "serving/frontend/header_forwarding.h"
#include "serving/frontend/load_report.h"
#include "serving/frontend/restricted_apis.h"
#include "serving/frontend/trace_settings.h"
#include "serving/server_core/server_core.h"
#include "serving/shared_memory/shared_memory_regions.h"

namespace tepal {

struct GrpcFrontendOptions {
  std::string server_id = "triton";
  std::string server_version = "2.51.0";
  size_t message_bytes_max = 2147483647;  // As Triton's: what a 32-bit size can say.
  // Of answers to inferences, for clients that take it (--grpc-infer-response-compression-level).
  std::optional<http::Effort> compression{};
  LoadReporter* load_reporter = nullptr;  // Null: nobody is told.
  bool load_report_always = false;        // Every inference, not only those that ask.
  HeaderForwarding forwarded_headers{};
  RestrictedApis restricted{};
  // What the HTTP door has too: regions that tensors may lie in, null where clients may not
  // register any; and the trace settings.
  SharedMemoryRegions* shared_memory = nullptr;
  std::shared_ptr<TraceSettings> trace = std::make_shared<TraceSettings>();
};

// All but the loop are shared by the handlers of every loop, and outlive them. Loading and
// unloading run on `blocking`.
std::unique_ptr<http::RequestHandler> NewGrpcFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const GrpcFrontendOptions& options);

}  // namespace tepal
