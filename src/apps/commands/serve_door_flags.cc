#include "apps/commands/serve_door_flags.h"

#include "apps/commands/flag_values.h"

namespace tepal::commands {
namespace {

using options::FlagSet;

// Doors on one address need ports of their own.
Status CheckPorts(const ServeOptions& options) {
  struct Door {
    bool open;
    std::string_view flag, address;
    uint16_t port;
  };
  const std::string& metrics =
      options.metrics_address.empty() ? options.http_address : options.metrics_address;
  const Door doors[] = {
      {options.allow_http, "--http-port", options.http_address, options.http_port},
      {options.allow_grpc, "--grpc-port", options.grpc_address, options.grpc_port},
      {options.allow_metrics, "--metrics-port", metrics, options.metrics_port}};
  for (const Door& one : doors) {
    for (const Door& other : doors) {
      const bool clash = &one < &other && one.open && other.open && one.port != 0 &&
                         one.port == other.port && one.address == other.address;
      if (!clash) continue;
      return InvalidArgument(Concat(one.flag, " and ", other.flag, " are both ", one.port,
                                    ", expected two different ports"));
    }
  }
  return {};
}

void AddHttpFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("HTTP");
  flags.Add("allow-http", &options.allow_http, "Serve the v2 protocol over HTTP.");
  flags.Add("http-address", &options.http_address, "Address to listen on.");
  flags.Add("http-port", &options.http_port, "Port; 0 picks a free one.");
  flags.Add("reuse-http-port", &options.reuse_http_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
  FlagSet::Custom threads = Threads(&options.http_thread_count);
  threads.default_text = "one a core, at most 8";
  flags.Add("http-thread-count", std::move(threads), "Event loops that serve connections.");
  flags.Add("http-restricted-api",
            {.placeholder = "apis:header=value",
             .default_text = "",
             .boolean = false,
             .read = [&options](std::string_view text) -> Status {
               return text.empty() ? Status() : options.http_restricted.Add(text);
             }},
            "Answer these groups of routes (as trace,logging) only to who sends the header with "
            "the value. May be repeated.");
  flags.Add("http-max-input-size", &options.http_body_bytes_max,
            "Largest request body in bytes, also after decompression.");
}

void AddGrpcFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("gRPC");
  flags.Add("allow-grpc", &options.allow_grpc, "Serve the v2 protocol over gRPC (unary calls).");
  flags.Add("grpc-address", &options.grpc_address, "Address to listen on.");
  flags.Add("grpc-port", &options.grpc_port, "Port; 0 picks a free one.");
  flags.Add("reuse-grpc-port", &options.reuse_grpc_port,
            "Let other servers with this flag listen on the same port (SO_REUSEPORT).");
}

void AddMetricsFlags(FlagSet& flags, ServeOptions& options) {
  flags.Group("Metrics");
  flags.Add("allow-metrics", &options.allow_metrics, "Serve Prometheus metrics on /metrics.");
  flags.Add("metrics-address", &options.metrics_address,
            "Address to listen on; without it, that of --http-address.");
  flags.Add("metrics-port", &options.metrics_port, "Port; 0 picks a free one.");
  flags.Add("allow-gpu-metrics", Indifferent(true),
            "Accepted in either position: no GPU metrics are reported yet.");
  flags.Add("allow-cpu-metrics", Indifferent(true),
            "Accepted in either position: no metrics of the host's CPUs are reported yet.");
  flags.Add("metrics-interval-ms",
            {.placeholder = "number",
             .default_text = "2000",
             .boolean = false,
             .read = [](std::string_view text) -> Status {
               const auto interval = ParseNumber<double>(text);
               return interval && *interval > 0 ? Status() : Expected("a number above 0");
             }},
            "Accepted: every metric is read when it is asked for, so nothing is sampled.");
}

}  // namespace

void AddDoorFlags(FlagSet& flags, ServeOptions& options) {
  AddHttpFlags(flags, options);
  AddGrpcFlags(flags, options);
  AddMetricsFlags(flags, options);
}

Status CheckDoors(const ServeOptions& options) {
  RETURN_IF_ERROR(CheckPorts(options));
  if (options.http_body_bytes_max == 0) {
    return InvalidArgument("flag --http-max-input-size: got '0', expected at least 1");
  }
  return {};
}

}  // namespace tepal::commands
