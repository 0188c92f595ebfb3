// The flags of `tepal metrics-api` that say where values come from, and the sources they ask for.
//
// Prometheus' are prometheus-adapter's, name for name; those of the direct source begin with
// --scrape- and --balancer-. Files are read when the sources are made.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/env/random.h"
#include "core/options/flags.h"
#include "network/kube/client.h"
#include "scaling/custom_metrics/kind_table.h"
#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

struct SourceFlags {
  std::string prometheus_url;  // Empty: no Prometheus.
  std::string config;          // The rules file.
  std::string prometheus_auth_config;
  // Whose credentials are shown to it, in place of prometheus_auth_config: the pod's own.
  std::optional<kube::ClusterAccess> prometheus_auth;
  std::string prometheus_ca_file, prometheus_token_file;
  std::string prometheus_client_cert_file, prometheus_client_key_file;
  std::vector<std::string> prometheus_headers;
  std::string prometheus_verb = "GET";
  Duration relist_interval = std::chrono::minutes(10);
  Duration max_age{};
  Duration query_keep = 1s;

  std::string scrape_selector;  // Empty, and no targets: no direct source.
  std::vector<std::string> scrape_namespaces;
  std::vector<std::string> scrape_targets;
  std::string scrape_port = "8002";
  std::string scrape_path = "/metrics";
  Duration scrape_interval = 1s;
  int scrape_missed_max = 3;
  bool scrape_count_not_ready = false;
  Duration queue_window = 30s;
  Duration load_window = 15s;
  double scrape_utilization = 0.8;
  std::string balancer_selector;
  std::vector<std::string> balancer_namespaces;
  std::vector<std::string> balancer_targets;
  std::string balancer_port = "8080";
  std::string balancer_token_file;

  bool wants_prometheus() const { return !prometheus_url.empty(); }
  bool wants_scraping() const { return !scrape_selector.empty() || !scrape_targets.empty(); }
};

// Each as a group. Values are checked when the words are parsed.
void AddPrometheusFlags(options::FlagSet& flags, SourceFlags* values);
void AddScrapeFlags(options::FlagSet& flags, SourceFlags* values);

// kInvalidArgument names the flag; the above have it done.
Status CheckSourceFlags(const SourceFlags& flags);

struct SourceWorld {
  env::EventLoop& loop;
  env::FileSystem& files;
  const env::Clock& clock;
  net::Resolver& resolver;
  env::Random& random;
  kube::Client* client;    // Null: no API server; pods are then those of --scrape-target.
  const KindTable& kinds;  // All outlive the sources.
};

// The direct source first: its values are fresher. They have begun. `notes`: what to tell the user.
// kInvalidArgument when no source is asked for, or a file is wrong.
Result<std::unique_ptr<MetricSource>> NewSources(const SourceFlags& flags, const SourceWorld& world,
                                                 std::vector<std::string>* notes);

}  // namespace tepal::custom_metrics
