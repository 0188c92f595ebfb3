// The HTTP door of the inference server: the routes of the v2 protocol onto server_core.
//
// One handler a loop (net::HttpServer's factory). An inference whose model runs inline is answered
// without leaving the loop; any other comes back through the loop's CompletionQueue. Loading and
// unloading block, so they run on the executor that is given. Status codes and texts are Triton's
// (test/conformance).

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "network/http/stream.h"
#include "serving/frontend/header_forwarding.h"
#include "serving/frontend/load_report.h"
#include "serving/frontend/restricted_apis.h"
#include "serving/frontend/trace_settings.h"
#include "serving/server_core/server_core.h"
#include "serving/shared_memory/shared_memory_regions.h"

namespace tepal {

struct HttpFrontendOptions {
  std::string server_id = "triton";       // --id: the name in the server's metadata.
  std::string server_version = "2.51.0";  // The Triton whose answers these are.
  uint64_t body_bytes_max = 64ull << 20;  // --http-max-input-size, also of what is decompressed.
  // Regions that tensors may lie in; null: clients may not register any (--allow-client-shm).
  SharedMemoryRegions* shared_memory = nullptr;
  RestrictedApis restricted{};
  HeaderForwarding forwarded_headers{};
  LoadReporter* load_reporter = nullptr;  // Null: nobody is told.
  bool server_timing = false;             // Tells every client where its time went.
  std::shared_ptr<TraceSettings> trace = std::make_shared<TraceSettings>();
};

// All but the loop are shared by the handlers of every loop, and outlive them.
std::unique_ptr<http::RequestHandler> NewHttpFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const HttpFrontendOptions& options);

}  // namespace tepal
