#include "apps/commands/serve_door_flags.h"

#include <climits>

#include "apps/commands/flag_values.h"

namespace tepal::commands {
namespace {

using options::FlagSet;

bool IsUnixSocket(const std::string& address) { return address.starts_with("unix:"); }

// Doors on one address need ports of their own.
Status CheckPorts(const ServeOptions& options) {
  struct Door {
    bool open;
    std::string_view name, address;
    uint16_t port;
  };
  const std::string& metrics =
      options.metrics_address.empty() ? options.http_address : options.metrics_address;
  const Door doors[] = {{options.allow_http, "http", options.http_address, options.http_port},
                        {options.allow_grpc, "grpc", options.grpc_address, options.grpc_port},
                        {options.allow_metrics, "metrics", metrics, options.metrics_port}};
  for (const Door& one : doors) {
    for (const Door& other : doors) {
      if (&one >= &other || !one.open || !other.open || one.address != other.address) continue;
      if (IsUnixSocket(std::string(one.address))) {
        return InvalidArgument(Concat("--", one.name, "-address and --", other.name,
                                      "-address are both ", one.address,
                                      ", expected two different sockets"));
      }
      if (one.port == 0 || one.port != other.port) continue;
      return InvalidArgument(Concat("--", one.name, "-port and --", other.name, "-port are both ",
                                    one.port, ", expected two different ports"));
    }
  }
  return {};
}

Status CheckTls(std::string_view door, const DoorTls& tls) {
  if (!tls.on()) return {};
  const auto needs = [&](std::string_view mode, std::string_view file) {
    return InvalidArgument(Concat("flag --", door, "-use-ssl", mode, " needs --", door, "-", file));
  };
  if (tls.server_cert.empty()) return needs("", "server-cert");
  if (tls.server_key.empty()) return needs("", "server-key");
  if (tls.mutual && tls.root_cert.empty()) return needs("-mutual", "root-cert");
  return {};
}

void AddTlsFlags(FlagSet& flags, const std::string& door, DoorTls& tls) {
  flags.Add(door + "-use-ssl", &tls.use, "Serve this port over TLS 1.2 and 1.3 only.");
  flags.Add(door + "-use-ssl-mutual", &tls.mutual,
            "The same, and every client must show a certificate that the root certificate signed.");
  flags.Add(door + "-server-cert", &tls.server_cert,
            "PEM file of the server's certificate chain. Loaded again when it changes and on "
            "SIGHUP.");
  flags.Add(door + "-server-key", &tls.server_key, "PEM file of its private key.");
  flags.Add(door + "-root-cert", &tls.root_cert,
            "PEM file of the certificates that may sign those of clients, for mutual TLS.");
}

// Milliseconds of gRPC's settings: a 32-bit number.
FlagSet::Custom Milliseconds(Duration* value, int64_t min) {
  return Whole(std::chrono::duration_cast<std::chrono::milliseconds>(*value).count(), min, INT_MAX,
               [value](int64_t ms) { *value = std::chrono::milliseconds(ms); });
}

void AddKeepaliveFlags(FlagSet& flags, http::Limits& limits) {
  flags.Add("grpc-keepalive-time", Milliseconds(&limits.keepalive_time, 1),
            "After how many ms without anything received the server pings the client.");
  flags.Add("grpc-keepalive-timeout", Milliseconds(&limits.keepalive_timeout, 1),
            "How many ms it waits for the answer before it closes the connection.");
  flags.Add("grpc-keepalive-permit-without-calls", &limits.keepalive_without_streams,
            "Ping, and let clients ping, also while no call is in flight.");
  flags.Add("grpc-http2-max-pings-without-data", Whole(2, 0, INT_MAX, [](int64_t) {}),
            "Accepted: the server's pings are as far apart as --grpc-keepalive-time says, and need "
            "no other bound.");
  flags.Add("grpc-http2-min-recv-ping-interval-without-data",
            Milliseconds(&limits.ping_interval_min, 0),
            "Pings of a client that come closer, in ms, with no data between them, are strikes.");
  flags.Add("grpc-http2-max-ping-strikes",
            Whole(limits.ping_strikes_max, 0, INT_MAX,
                  [&limits](int64_t strikes) {
                    limits.ping_strikes_max = static_cast<uint32_t>(strikes);
                  }),
            "A connection with more strikes is closed; 0: none ever is.");
  flags.Add(
      "grpc-max-connection-age", Milliseconds(&limits.connection_age_max, 0),
      "After how many ms a connection is asked to go, so that clients spread anew; 0: never.");
  flags.Add("grpc-max-connection-age-grace", Milliseconds(&limits.connection_age_grace, 0),
            "How many ms its calls then have to finish; 0: as long as they take.");
}

// Our calls are served by the event loops, and their memory is kept by the allocator.
void AddGrpcIndifferentFlags(FlagSet& flags) {
  flags.Add("grpc-infer-thread-count", Whole(2, 2, 128, [](int64_t) {}),
            "Accepted: the event loops of --http-thread-count serve gRPC too.");
  flags.Add("grpc-infer-allocation-pool-size", Whole(8, 0, INT_MAX, [](int64_t) {}),
            "Accepted: requests need no pool of their own.");
  flags.Add("grpc-max-response-pool-size", Whole(INT_MAX, 0, INT_MAX, [](int64_t) {}),
            "Accepted: responses need no pool of their own.");
}

FlagSet::Custom HeaderPattern(HeaderForwarding* forwarding) {
  return {.placeholder = "pattern",
          .default_text = "",
          .boolean = false,
          .read = [forwarding](std::string_view text) -> Status {
            auto made = HeaderForwarding::New(std::string(text));
            if (!made.ok()) return Expected("a regular expression (RE2)");
            *forwarding = std::move(made).value();
            return {};
          }};
}

FlagSet::Custom Restricted(RestrictedApis* apis) {
  return {.placeholder = "apis:header=value",
          .default_text = "",
          .boolean = false,
          .read = [apis](std::string_view text) -> Status {
            return text.empty() ? Status() : apis->Add(text);
          }};
}

void AddHttpFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("HTTP");
  flags.Add("allow-http", &options.allow_http, "Serve the v2 protocol over HTTP.");
  flags.Add("http-address", &options.http_address,
            "Address to listen on; unix:<path> for a Unix socket.");
  flags.Add("http-port", &options.http_port, "Port; 0 picks a free one.");
  flags.Add("reuse-http-port", &options.reuse_http_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
  FlagSet::Custom threads = Threads(&options.http_thread_count);
  threads.default_text = "one a core, at most 8";
  flags.Add("http-thread-count", std::move(threads), "Event loops that serve connections.");
  flags.Add("http-restricted-api", Restricted(&options.http_restricted),
            "Answer these groups of routes (as trace,logging) only to who sends the header with "
            "the value. May be repeated.");
  AddTlsFlags(flags, "http", options.http_tls);
  flags.Add("http-header-forward-pattern", HeaderPattern(&options.http_forwarded_headers),
            "Header fields whose name has a part that matches this regular expression (RE2) become "
            "parameters of the inference request, under their names in lower case.");
  flags.Add("http-server-timing", &options.http_server_timing,
            "Answer every inference with Server-Timing: where its time went. Without it, only who "
            "sends tepal-timing: 1 is told.");
  flags.Add("http-max-input-size", &options.http_body_bytes_max,
            "Largest request body in bytes, also after decompression.");
  flags.Add("body-budget-bytes", &options.body_budget_bytes,
            "Bytes of request bodies that the server holds at once, over HTTP and gRPC; what does "
            "not fit waits for a second, and is then refused with 503 or RESOURCE_EXHAUSTED.");
}

void AddGrpcFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("gRPC");
  flags.Add("allow-grpc", &options.allow_grpc, "Serve the v2 protocol over gRPC.");
  flags.Add("grpc-address", &options.grpc_address,
            "Address to listen on; unix:<path> for a Unix socket.");
  flags.Add("grpc-port", &options.grpc_port, "Port; 0 picks a free one.");
  flags.Add("reuse-grpc-port", &options.reuse_grpc_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
  flags.Add("grpc-restricted-protocol", Restricted(&options.grpc_restricted),
            "Answer these groups of calls (as trace,logging) only to who sends "
            "triton-grpc-protocol-<header> with the value. May be repeated.");
  flags.Add("grpc-header-forward-pattern", HeaderPattern(&options.grpc_forwarded_headers),
            "Metadata whose name has a part that matches this regular expression (RE2) become "
            "parameters of the inference request.");
  flags.Add("grpc-infer-response-compression-level",
            OneOf<std::optional<http::Effort>>({{"none", std::nullopt},
                                                {"low", http::Effort::kLow},
                                                {"medium", http::Effort::kMedium},
                                                {"high", http::Effort::kHigh}},
                                               &options.grpc_compression),
            "Compress the answers to inferences for clients that take it.");
  flags.Add("grpc-load-report", &options.grpc_load_report,
            "End every inference call with a load report (ORCA, endpoint-load-metrics-bin), as the "
            "balancers of gRPC's libraries and Envoy read it. Without it, only who sends "
            "endpoint-load-metrics-format: bin, text or json is told.");
  AddTlsFlags(flags, "grpc", options.grpc_tls);
  AddKeepaliveFlags(flags, options.grpc_limits);
  AddGrpcIndifferentFlags(flags);
}

constexpr size_t kQuantilesMax = 32;

// "0.5:0.05,0.9:0.01": Triton's, with the error that its estimate may have, which is not needed.
Status ReadQuantiles(std::string_view text, std::vector<double>& quantiles) {
  std::vector<double> read;
  for (const std::string_view item : Split(text, ',')) {
    const size_t colon = item.find(':');
    const auto quantile = ParseNumber<double>(item.substr(0, colon));
    const bool exact = colon == std::string_view::npos;
    const auto error = exact ? 0 : ParseNumber<double>(item.substr(colon + 1));
    const auto in_range = [](std::optional<double> n) { return n && *n >= 0 && *n <= 1; };
    if (!in_range(quantile) || !in_range(error) || read.size() == kQuantilesMax) {
      return Expected(Concat("summary_quantiles=<quantile>:<error>,..., each from 0 to 1, at most ",
                             kQuantilesMax));
    }
    read.push_back(*quantile);
  }
  quantiles = std::move(read);
  return {};
}

// One setting; a flag for each.
Status ReadMetricsConfig(std::string_view text, LatencyMetrics& latencies) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string_view setting = text.substr(0, equals);
  const std::string_view value = text.substr(std::min(equals + 1, text.size()));
  if (setting == "summary_quantiles") return ReadQuantiles(value, latencies.quantiles);
  // There for decoupled models alone, which are not served yet.
  bool histograms = false;
  bool* const chosen = setting == "counter_latencies"     ? &latencies.counters
                       : setting == "summary_latencies"   ? &latencies.summaries
                       : setting == "histogram_latencies" ? &histograms
                                                          : nullptr;
  const auto on = options::ParseBool(value);
  if (chosen == nullptr || !on) {
    return Expected(
        "counter_latencies, summary_latencies or histogram_latencies =true or =false, or "
        "summary_quantiles=<quantile>:<error>,...");
  }
  *chosen = *on;
  return {};
}

void AddMetricsFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("Metrics");
  flags.Add("allow-metrics", &options.allow_metrics, "Serve Prometheus metrics on /metrics.");
  flags.Add("metrics-address", &options.metrics_address,
            "Address to listen on; without it, that of --http-address.");
  flags.Add("metrics-port", &options.metrics_port, "Port; 0 picks a free one.");
  AddTlsFlags(flags, "metrics", options.metrics_tls);
  flags.Add("allow-gpu-metrics", &options.allow_gpu_metrics,
            "Report what NVML says of the GPUs in use (nv_gpu_*), where there are any.");
  flags.Add("allow-cpu-metrics", &options.allow_cpu_metrics,
            "Report how busy the machine's processors are, and its memory (nv_cpu_*).");
  flags.Add("metrics-config",
            {.placeholder = "setting=value",
             .default_text = "counter_latencies=true",
             .boolean = false,
             .read =
                 [&options](std::string_view text) {
                   return ReadMetricsConfig(text, options.latency_metrics);
                 }},
            "counter_latencies=false leaves out nv_inference_*_duration_us; summary_latencies=true "
            "adds nv_inference_*_summary_us, with quantiles of the last minute as "
            "summary_quantiles=0.5:0.05,0.9:0.01 says; histogram_latencies is accepted: Triton has "
            "it for decoupled models only. May be repeated.");
  flags.Add(
      "metrics-interval-ms",
      {.placeholder = "number",
       .default_text = "2000",
       .boolean = false,
       .read = [&options](std::string_view text) -> Status {
         constexpr double kDayMs = 24 * 3600 * 1000.0;
         const auto interval = ParseNumber<double>(text);
         if (!interval || !(*interval > 0)) return Expected("a number above 0");
         options.metrics_interval = std::chrono::duration_cast<Duration>(
             std::chrono::duration<double, std::milli>(std::min(*interval, kDayMs)));
         return {};
       }},
      "GPUs and the host are asked at most this often; everything else is read when it is asked "
      "for.");
}

}  // namespace

http::Limits GrpcLimits() {
  http::Limits limits;
  limits.idle_max =
      std::chrono::hours(1);  // Channels are long-lived; ours asks them to go, gRPC's never.
  limits.keepalive_time = std::chrono::hours(2);
  limits.keepalive_timeout = 20s;
  limits.ping_interval_min = 300s;
  limits.ping_strikes_max = 2;
  return limits;
}

void AddDoorFlags(FlagSet& flags, ServeOptions& options) {
  AddHttpFlags(flags, options);
  AddGrpcFlags(flags, options);
  AddMetricsFlags(flags, options);
  flags.Group("TLS");
  flags.Add("tls-reload-secs", Seconds(&options.tls_reload_interval),
            "How often to look whether certificates, keys and root certificates have changed, and "
            "load them again, for new connections; 0: only on SIGHUP.");
}

Status CheckDoors(const ServeOptions& options) {
  RETURN_IF_ERROR(CheckPorts(options));
  RETURN_IF_ERROR(CheckTls("http", options.http_tls));
  RETURN_IF_ERROR(CheckTls("grpc", options.grpc_tls));
  RETURN_IF_ERROR(CheckTls("metrics", options.metrics_tls));
  if (options.body_budget_bytes == 0) {
    return InvalidArgument("flag --body-budget-bytes: got '0', expected at least 1");
  }
  if (options.http_body_bytes_max == 0) {
    return InvalidArgument("flag --http-max-input-size: got '0', expected at least 1");
  }
  return {};
}

}  // namespace tepal::commands
