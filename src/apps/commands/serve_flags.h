// The command line of `tepal serve`: tritonserver's 91 flags, each honoured or refused by name with
// a reason, and our own.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/commands/commands.h"
#include "core/env/network.h"
#include "core/options/flags.h"
#include "core/telemetry/log.h"
#include "network/http/compression.h"
#include "network/http/session.h"
#include "serving/frontend/header_forwarding.h"
#include "serving/frontend/http/metrics_page.h"
#include "serving/frontend/restricted_apis.h"
#include "serving/server_core/server_core.h"

namespace tepal::commands {

// TLS of one door.
struct DoorTls {
  bool use = false;
  bool mutual = false;  // A client must show a certificate that root_cert signed. Implies `use`.
  std::string server_cert, server_key, root_cert;  // Paths of PEM files.

  bool on() const { return use || mutual; }
};

// Triton's defaults for a gRPC connection.
http::Limits GrpcLimits();

struct ServeOptions {
  ServerCoreOptions core;
  telemetry::LogSettings log;

  std::string server_id = "triton";
  Duration exit_time_max = 30s;  // --exit-timeout-secs
  // Ours: --lame-duck-secs. After SIGTERM the server is not ready but keeps serving so long, for
  // balancers to notice.
  Duration lame_duck = 2s;

  // Off, as in Triton since 26.04: whoever registers a region can end this process (see
  // serving/shared_memory).
  bool allow_client_shm = false;

  RestrictedApis http_restricted;

  bool allow_http = true;
  std::string http_address = "0.0.0.0";
  uint16_t http_port = 8000;
  bool reuse_http_port = false;
  int http_thread_count = 0;  // 0: as many as cores, at most 8.
  uint64_t http_body_bytes_max = 64ull << 20;
  uint64_t body_budget_bytes = 4ull << 30;
  HeaderForwarding http_forwarded_headers;
  bool http_server_timing = false;  // Ours: --http-server-timing.
  DoorTls http_tls;

  bool allow_grpc = true;
  std::string grpc_address = "0.0.0.0";
  uint16_t grpc_port = 8001;
  bool reuse_grpc_port = false;
  std::optional<http::Effort> grpc_compression;
  bool grpc_load_report = false;  // Ours: --grpc-load-report.
  HeaderForwarding grpc_forwarded_headers;
  RestrictedApis grpc_restricted;
  DoorTls grpc_tls;
  http::Limits grpc_limits = GrpcLimits();  // What the keepalive and age flags set of them.

  std::string gpus;                           // Ours: --gpus. Empty: as the environment says.
  uint64_t pinned_pool_bytes = 256ull << 20;  // --pinned-memory-pool-byte-size

  bool allow_metrics = true;
  bool allow_gpu_metrics = true;
  bool allow_cpu_metrics = true;
  LatencyMetrics latency_metrics;  // --metrics-config
  Duration metrics_interval = 2s;  // --metrics-interval-ms
  std::string metrics_address;     // Empty: http_address.
  uint16_t metrics_port = 8002;
  DoorTls metrics_tls;

  // Ours: --tls-reload-secs. How often the files of certificates are looked at; 0: only on SIGHUP.
  Duration tls_reload_interval = 10s;
};

// Binds every flag to `options`.
options::FlagSet ServeFlags(ServeOptions& options);

}  // namespace tepal::commands
