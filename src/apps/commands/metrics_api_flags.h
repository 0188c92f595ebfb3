// The flags of `tepal metrics-api`: those of prometheus-adapter, honoured or refused by name with a
// reason, and some of our own.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/options/flags.h"

namespace tepal::commands {

// A Prometheus server and what to ask it.
struct PrometheusFlags {
  std::string config;  // prometheus-adapter's rules file; empty: no Prometheus is asked.
  std::string url = "https://localhost";
  bool auth_in_cluster = false;
  std::string auth_kubeconfig, ca_file, client_certificate_file, client_key_file, token_file;
  std::vector<std::string> headers;  // "name=value".
  std::string verb = "GET";
  Duration relist_interval = 600s;
  std::optional<Duration> max_age;  // Empty: the relist interval.
};

// Pods that are asked directly.
struct ScrapeFlags {
  std::string selector;    // Empty: none are.
  std::string name_space;  // Empty: all of them.
  uint16_t port = 8002;
  std::string path = "/metrics";
  Duration interval = 1s;
};

struct MetricsApiFlags {
  PrometheusFlags prometheus;
  ScrapeFlags scrape;
  bool external = false;
  bool count_starting_pods = false;

  std::string bind_address = "0.0.0.0";
  uint16_t secure_port = 6443;
  std::string cert_dir, tls_cert_file, tls_key_file;
  Duration tls_reload_interval = 10s;
  uint32_t streams_max = 1000;
  uint64_t requests_max = 400;
  Duration shutdown_delay = 3s;
  Duration drain_time_max = 20s;

  std::string kubeconfig;  // Of everything that has none of its own; empty: that of the pod.
  std::string authentication_kubeconfig, authorization_kubeconfig;
  bool authentication_skip_lookup = false;
  std::string client_ca_file, requestheader_ca_file;
  std::vector<std::string> requestheader_names, requestheader_username, requestheader_group,
      requestheader_extra, requestheader_uid;
  Duration token_keep = 10s, allowed_keep = 10s, denied_keep = 10s;
  std::vector<std::string> always_allowed = {"/healthz", "/readyz", "/livez"};

  std::string api_service_namespace, api_service_name, api_service_ca_file;
  bool register_api_services = false;
  bool take_over_api_services = false;

  int verbose = 0;
};

options::FlagSet MakeMetricsApiFlags(MetricsApiFlags& flags);

// As Go writes durations: "1h15m30.918s", "500ms", "0".
std::optional<Duration> ParseGoDuration(std::string_view text);

}  // namespace tepal::commands
