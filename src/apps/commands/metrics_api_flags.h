// The flags of `tepal metrics-api`: those of prometheus-adapter, honoured or refused by name with a
// reason, and some of our own.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/options/flags.h"
#include "scaling/custom_metrics/source_flags.h"

namespace tepal::commands {

struct MetricsApiFlags {
  custom_metrics::SourceFlags sources;
  bool prometheus_auth_in_cluster = false;
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

}  // namespace tepal::commands
