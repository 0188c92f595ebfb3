#include "apps/commands/serve_doors.h"

#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/gpu/gpu_metrics.h"
#include "core/runtime/runtime.h"
#include "core/telemetry/cpu_metrics.h"
#include "serving/frontend/grpc/grpc_frontend.h"
#include "serving/frontend/http/http_frontend.h"
#include "serving/frontend/http/metrics_page.h"

namespace tepal::commands {
namespace {

constexpr int kFirstInherited = 3;
enum InheritedIndex { kInheritedHttp, kInheritedMetrics, kInheritedGrpc };

int InheritedSockets() {
  const char* count = std::getenv("LISTEN_FDS");
  const char* owner = std::getenv("LISTEN_PID");
  if (count == nullptr || owner == nullptr) return 0;
  if (ParseNumber<int>(owner) != getpid()) return 0;
  return ParseNumber<int>(count).value_or(0);
}

constexpr Duration kAcceptWhileDraining = 1s;

constexpr char kHttp[] = "HTTPService";
constexpr char kGrpc[] = "GRPCInferenceService";
constexpr char kMetrics[] = "Metrics Service";

Result<env::Address> AddressOf(const std::string& host, uint16_t port) {
  if (host.starts_with("unix:")) return env::Address::Parse(host);
  return env::Address::Parse(host.find(':') == std::string::npos ? Concat(host, ":", port)
                                                                 : Concat("[", host, "]:", port));
}

// Of all threads of this process so far.
Duration ProcessorTime() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

void AddBodyMetrics(telemetry::MetricsRegistry& metrics, const Budget& bodies) {
  metrics.Add([&bodies](telemetry::PrometheusWriter& out) {
    using Type = telemetry::PrometheusWriter::Type;
    out.Family("tepal_body_bytes", "Bytes of request bodies held", Type::kGauge);
    out.Sample({}, uint64_t{bodies.used()});
    out.Family("tepal_body_bytes_limit", "How many may be (--body-budget-bytes)", Type::kGauge);
    out.Sample({}, uint64_t{bodies.limit()});
    out.Family("tepal_body_refusals_total", "Requests refused because their bodies did not fit",
               Type::kCounter);
    out.Sample({}, bodies.refusals());
  });
}

// The first two are Triton's.
void AddPinnedMetrics(telemetry::MetricsRegistry& metrics, const gpu::PinnedPool& pool) {
  metrics.Add([&pool](telemetry::PrometheusWriter& out) {
    using Type = telemetry::PrometheusWriter::Type;
    out.Family("nv_pinned_memory_pool_total_bytes",
               "Pinned memory pool total memory size, in bytes", Type::kGauge);
    out.Sample({}, pool.bytes_max());
    out.Family("nv_pinned_memory_pool_used_bytes", "Pinned memory pool used memory size, in bytes",
               Type::kGauge);
    out.Sample({}, pool.used_bytes());
    out.Family("tepal_pinned_memory_pool_held_bytes", "Pinned memory in use or kept for later",
               Type::kGauge);
    out.Sample({}, pool.pinned_bytes());
  });
}

}  // namespace

ServeDoors::ServeDoors(const ServeOptions& options, std::vector<env::EventLoop*> loops,
                       env::Executor& blocking, ServerCore& core, gpu::Gpus& gpus, Budget& bodies,
                       gpu::PinnedPool& pinned, int cores)
    : options_(options),
      loops_(std::move(loops)),
      blocking_(blocking),
      core_(core),
      gpus_(gpus),
      bodies_(bodies),
      pinned_(pinned),
      regions_(runtime::SystemSharedMemory(), &gpus),
      load_reporter_(core, ProcessorTime, cores),
      certificates_({*loops_.front(), blocking, runtime::SystemFileSystem()},
                    options.tls_reload_interval) {}

Status ServeDoors::Open() {
  if (options_.allow_metrics) RETURN_IF_ERROR(OpenMetrics());
  if (options_.allow_grpc) RETURN_IF_ERROR(OpenGrpc());
  if (options_.allow_http) RETURN_IF_ERROR(OpenHttp());
  certificates_.Start();
  return {};
}

Result<std::shared_ptr<net::TlsSource>> ServeDoors::OpenTls(const DoorTls& tls,
                                                            std::string_view what) {
  if (!tls.on()) {
    if (!tls.server_cert.empty()) {
      telemetry::LogWarning(Concat(what, " has a certificate but is told to serve without TLS"));
    }
    return std::shared_ptr<net::TlsSource>();
  }
  const net::TlsSource::ServerFiles files{tls.server_cert, tls.server_key,
                                          tls.mutual ? tls.root_cert : ""};
  std::vector<std::string> paths = {files.certificate_chain, files.key};
  if (tls.mutual) paths.push_back(files.client_ca);
  auto source = certificates_.Add(std::string(what), std::move(paths), [files] {
    return net::TlsSource::ForServer(runtime::SystemFileSystem(), runtime::SystemClock(), files);
  });
  return std::move(source).WithContext(what);
}

Status ServeDoors::OpenMetrics() {
  AddInferenceMetrics(metrics_, core_, runtime::SystemClock(), options_.latency_metrics);
  AddBodyMetrics(metrics_, bodies_);
  AddPinnedMetrics(metrics_, pinned_);
  if (options_.allow_cpu_metrics) {
    telemetry::AddCpuMetrics(metrics_, runtime::SystemFileSystem(), runtime::SystemClock(),
                             options_.metrics_interval);
  }
  if (options_.allow_gpu_metrics) {
    gpu::AddGpuMetrics(metrics_, gpus_, runtime::SystemClock(), options_.metrics_interval);
  }
  net::HttpServer::Options server;
  ASSIGN_OR_RETURN(server.tls, OpenTls(options_.metrics_tls, kMetrics));
  metrics_server_ = std::make_unique<net::HttpServer>(
      std::vector<env::EventLoop*>{loops_.front()}, server,
      [this](env::EventLoop&) { return NewMetricsFrontend(metrics_); });
  return Listen(*metrics_server_, kInheritedMetrics,
                options_.metrics_address.empty() ? options_.http_address : options_.metrics_address,
                options_.metrics_port, false, kMetrics);
}

Status ServeDoors::OpenGrpc() {
  net::HttpServer::Options server;
  server.limits = options_.grpc_limits;
  server.limits.body_budget = &bodies_;
  server.limits.body_source = &pinned_;
  ASSIGN_OR_RETURN(server.tls, OpenTls(options_.grpc_tls, kGrpc));
  GrpcFrontendOptions frontend;
  frontend.server_id = options_.server_id;
  frontend.compression = options_.grpc_compression;
  frontend.load_reporter = &load_reporter_;
  frontend.load_report_always = options_.grpc_load_report;
  frontend.forwarded_headers = options_.grpc_forwarded_headers;
  frontend.restricted = options_.grpc_restricted;
  if (options_.allow_client_shm) frontend.shared_memory = &regions_;
  frontend.trace = trace_;
  grpc_ = std::make_unique<net::HttpServer>(loops_, server, [this, frontend](env::EventLoop& loop) {
    return NewGrpcFrontend(core_, loop, blocking_, frontend);
  });
  return Listen(*grpc_, kInheritedGrpc, options_.grpc_address, options_.grpc_port,
                options_.reuse_grpc_port, kGrpc);
}

Status ServeDoors::OpenHttp() {
  net::HttpServer::Options server;
  server.limits.body_bytes_max = options_.http_body_bytes_max;
  server.limits.body_budget = &bodies_;
  server.limits.body_source = &pinned_;
  ASSIGN_OR_RETURN(server.tls, OpenTls(options_.http_tls, kHttp));
  HttpFrontendOptions frontend;
  frontend.server_id = options_.server_id;
  frontend.body_bytes_max = options_.http_body_bytes_max;
  frontend.restricted = options_.http_restricted;
  frontend.trace = trace_;
  frontend.forwarded_headers = options_.http_forwarded_headers;
  frontend.load_reporter = &load_reporter_;
  frontend.server_timing = options_.http_server_timing;
  if (options_.allow_client_shm) frontend.shared_memory = &regions_;
  http_ = std::make_unique<net::HttpServer>(loops_, server, [this, frontend](env::EventLoop& loop) {
    return NewHttpFrontend(core_, loop, blocking_, frontend);
  });
  return Listen(*http_, kInheritedHttp, options_.http_address, options_.http_port,
                options_.reuse_http_port, kHttp);
}

Status ServeDoors::Listen(net::HttpServer& server, int inherited_index, const std::string& host,
                          uint16_t port, bool reuse_port, std::string_view what) {
  std::optional<Result<env::Address>> bound;
  if (inherited_index < InheritedSockets()) {
    bound = server.ListenOn(kFirstInherited + inherited_index);
  } else {
    ASSIGN_OR_RETURN(const env::Address address, AddressOf(host, port));
    bound = server.Listen(address, {.reuse_port = reuse_port, .backlog = 1024});
  }
  if (!bound->ok()) return bound->status();
  telemetry::LogInfo(Concat("Started ", what, " at ", bound->value().ToString()));
  return {};
}

void ServeDoors::Drain(Function<void()> done) {
  std::vector<net::HttpServer*> doors;
  if (http_ != nullptr) doors.push_back(http_.get());
  if (grpc_ != nullptr) doors.push_back(grpc_.get());
  if (doors.empty()) return done();
  // Clients that are told to go away may come back at once, for ever: gRPC's channels do. They are
  // served as long as others may need it, and then refused.
  refuse_timer_ = loops_.front()->RunAfter(kAcceptWhileDraining, [doors] {
    for (net::HttpServer* door : doors) door->StopAccepting();
  });
  draining_ = static_cast<int>(doors.size());  // Before the first can be done.
  const auto drained = std::make_shared<Function<void()>>(std::move(done));
  for (net::HttpServer* door : doors) {
    door->Drain([this, drained] {
      if (--draining_ == 0) (*drained)();
    });
  }
}

void ServeDoors::Stop() {
  loops_.front()->Cancel(refuse_timer_);
  for (net::HttpServer* door : {http_.get(), grpc_.get(), metrics_server_.get()}) {
    if (door != nullptr) door->Stop();
  }
}

}  // namespace tepal::commands
