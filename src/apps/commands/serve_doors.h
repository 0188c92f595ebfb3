// The doors of `tepal serve`: the servers for HTTP, gRPC and metrics, each with its options.
//
// Listens on what the flags say, or on the sockets that whoever started us has bound (LISTEN_FDS:
// HTTP, metrics, gRPC). Says how the doors close, not when: that is Server's in serve.cc. Used on
// the first loop's thread.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/commands/certificate_watch.h"
#include "apps/commands/serve_flags.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"
#include "core/gpu/pinned_pool.h"
#include "core/telemetry/metrics.h"
#include "network/net/http_server.h"
#include "serving/frontend/load_report.h"
#include "serving/frontend/trace_settings.h"
#include "serving/server_core/server_core.h"
#include "serving/shared_memory/shared_memory_regions.h"

namespace tepal::commands {

class ServeDoors {
 public:
  // `cores`: how many processors this process may use. All of it outlives the doors. The first loop
  // accepts and serves the metrics page; loading models and looking at certificates is done on
  // `blocking`.
  ServeDoors(const ServeOptions& options, std::vector<env::EventLoop*> loops,
             env::Executor& blocking, ServerCore& core, gpu::Gpus& gpus, Budget& bodies,
             gpu::PinnedPool& pinned, int cores);

  Status Open();

  // Connections are closed politely, and after a second new ones are refused; `done` runs when the
  // last has gone, or now when there is no door. The metrics page stays.
  void Drain(Function<void()> done);

  // Closes what is left at once.
  void Stop();

  // Loads the certificates again, for connections from now on.
  void ReloadCertificates() { certificates_.ReloadNow(); }

 private:
  Status OpenMetrics();
  Status OpenGrpc();
  Status OpenHttp();
  Status Listen(net::HttpServer& server, int inherited_index, const std::string& host,
                uint16_t port, bool reuse_port, std::string_view what);
  Result<std::shared_ptr<net::TlsSource>> OpenTls(const DoorTls& tls, std::string_view what);

  const ServeOptions& options_;
  const std::vector<env::EventLoop*> loops_;
  env::Executor& blocking_;
  ServerCore& core_;
  gpu::Gpus& gpus_;
  Budget& bodies_;
  gpu::PinnedPool& pinned_;
  telemetry::MetricsRegistry metrics_;
  SharedMemoryRegions regions_;
  const std::shared_ptr<TraceSettings> trace_ = std::make_shared<TraceSettings>();
  LoadReporter load_reporter_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<net::HttpServer> grpc_;
  std::unique_ptr<net::HttpServer> metrics_server_;
  CertificateWatch certificates_;
  env::EventLoop::TimerId refuse_timer_ = 0;
  int draining_ = 0;
};

}  // namespace tepal::commands
