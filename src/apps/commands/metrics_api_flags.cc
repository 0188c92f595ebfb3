#include "apps/commands/metrics_api_flags.h"

#include <algorithm>

#include "apps/commands/flag_values.h"
#include "apps/commands/metrics_api_refused_flags.h"
#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::commands {
namespace {

// "a,b"; what a flag says replaces what was there before its first time.
options::FlagSet::Custom List(std::vector<std::string>* values) {
  std::string initial;
  for (const std::string& one : *values) initial += Concat(initial.empty() ? "" : ",", one);
  return {.placeholder = "list",
          .default_text = initial,
          .boolean = false,
          .read = [values, first = true](std::string_view text) mutable -> Status {
            if (std::exchange(first, false)) values->clear();
            for (const std::string_view one : Split(text, ',')) {
              if (!one.empty()) values->emplace_back(one);
            }
            return {};
          }};
}

void AddSourceFlags(options::FlagSet& set, MetricsApiFlags& flags) {
  AddPrometheusFlags(set, &flags.sources);
  set.Add("prometheus-auth-incluster", &flags.prometheus_auth_in_cluster,
          "show Prometheus the pod's own token");
  AddScrapeFlags(set, &flags.sources);
  set.Group("What is served");
  set.Add("external-metrics", &flags.external, "serve external.metrics.k8s.io too");
  set.Add("count-starting-pods", &flags.count_starting_pods,
          "pods that have not been ready since they started count among those a selector means, as "
          "with prometheus-adapter; otherwise the HPA sees them as missing");
}

void AddServingFlags(options::FlagSet& set, MetricsApiFlags& flags) {
  set.Group("The door");
  set.Add("bind-address", &flags.bind_address, "numeric");
  set.Add("secure-port", &flags.secure_port, "HTTPS, HTTP/1.1 and HTTP/2");
  set.Add("tls-cert-file", &flags.tls_cert_file, "read again when it changes, and on SIGHUP");
  set.Add("tls-private-key-file", &flags.tls_key_file, "of the certificate");
  set.Add("cert-dir", &flags.cert_dir,
          "where apiserver.crt and apiserver.key are; made there when they are not. Without either "
          "a certificate is made and kept in memory");
  set.Add("tls-reload-interval", &flags.tls_reload_interval,
          "how often the files are looked at; 0: only on SIGHUP");
  set.Add("http2-max-streams-per-connection",
          Whole(flags.streams_max, 0, 100'000,
                [&flags](int64_t count) {
                  if (count > 0) flags.streams_max = static_cast<uint32_t>(count);
                }),
          "0: the default");
  set.Add("max-requests-inflight", &flags.requests_max, "requests in progress; above: 429");
  set.Add("shutdown-delay-duration", &flags.shutdown_delay,
          "how long everything is still served, but /readyz, after SIGTERM");
  set.Add("shutdown-grace-period", &flags.drain_time_max,
          "how long requests in progress have after that");
}

void AddClusterFlags(options::FlagSet& set, MetricsApiFlags& flags) {
  set.Group("The cluster");
  set.Add("kubeconfig", &flags.kubeconfig, "how to reach the API server; not needed in a pod");
  set.Add("lister-kubeconfig", &flags.kubeconfig, "the same, in prometheus-adapter's words");
  set.Add("authentication-kubeconfig", &flags.authentication_kubeconfig,
          "another one for TokenReviews and the ConfigMap extension-apiserver-authentication");
  set.Add("authorization-kubeconfig", &flags.authorization_kubeconfig,
          "another one for SubjectAccessReviews");
  set.Add("authentication-skip-lookup", &flags.authentication_skip_lookup,
          "do not read that ConfigMap: the flags below say whom to trust");
  set.Add("authentication-tolerate-lookup-failure", Indifferent(false),
          "changes nothing: the server starts, and is not ready until it has read it");
  set.Add("authentication-token-webhook-cache-ttl", &flags.token_keep,
          "how long a TokenReview is remembered");
  set.Add("client-ca-file", &flags.client_ca_file, "in place of the ConfigMap's");
  set.Add("requestheader-client-ca-file", &flags.requestheader_ca_file,
          "the front proxy's authority, in place of the ConfigMap's");
  set.Add("requestheader-allowed-names", List(&flags.requestheader_names),
          "the front proxy's names");
  set.Add("requestheader-username-headers", List(&flags.requestheader_username), "in its requests");
  set.Add("requestheader-group-headers", List(&flags.requestheader_group), "in its requests");
  set.Add("requestheader-extra-headers-prefix", List(&flags.requestheader_extra),
          "in its requests");
  set.Add("requestheader-uid-headers", List(&flags.requestheader_uid), "in its requests");
  set.Add("authorization-webhook-cache-authorized-ttl", &flags.allowed_keep,
          "how long a yes is remembered");
  set.Add("authorization-webhook-cache-unauthorized-ttl", &flags.denied_keep,
          "how long a no is remembered");
  set.Add("authorization-always-allow-paths", List(&flags.always_allowed),
          "paths that everybody may read");

  set.Group("The APIServices");
  set.Add("apiservice-namespace", &flags.api_service_namespace,
          "of the Service that this server is reached by");
  set.Add("apiservice-name", &flags.api_service_name,
          "that Service; given, the APIServices are looked at, and kept up to date when they are "
          "ours. Somebody else's are left alone, and the program ends");
  set.Add("apiservice-ca-file", &flags.api_service_ca_file,
          "the authority of our certificate, for their caBundle (default: our certificate when it "
          "is one that we made)");
  set.Add("register-apiservices", &flags.register_api_services, "make those that are missing");
  set.Add("take-over-apiservices", &flags.take_over_api_services, "take those of others");
}

Status Check(const MetricsApiFlags& flags) {
  if (flags.tls_cert_file.empty() != flags.tls_key_file.empty()) {
    return InvalidArgument("--tls-cert-file and --tls-private-key-file are given together");
  }
  if (flags.secure_port == 0) {
    return InvalidArgument(
        "--secure-port: got '0', expected a port: nothing is served without TLS");
  }
  if (flags.api_service_name.empty() != flags.api_service_namespace.empty()) {
    return InvalidArgument("--apiservice-name and --apiservice-namespace are given together");
  }
  const bool about_services = flags.register_api_services || flags.take_over_api_services ||
                              !flags.api_service_ca_file.empty();
  if (about_services && flags.api_service_name.empty()) {
    return InvalidArgument(
        "--register-apiservices, --take-over-apiservices and --apiservice-ca-file need "
        "--apiservice-namespace and --apiservice-name");
  }
  if (flags.authentication_skip_lookup && flags.client_ca_file.empty() &&
      flags.requestheader_ca_file.empty()) {
    return InvalidArgument(
        "--authentication-skip-lookup needs --requestheader-client-ca-file or --client-ca-file");
  }
  const Duration max_age = flags.sources.max_age;
  if (max_age > Duration(0) && max_age < flags.sources.relist_interval) {
    return InvalidArgument("--metrics-max-age must not be less than --metrics-relist-interval");
  }
  if (flags.prometheus_auth_in_cluster && !flags.sources.prometheus_auth_config.empty()) {
    return InvalidArgument(
        "--prometheus-auth-incluster and --prometheus-auth-config: expected one of them");
  }
  return {};
}

}  // namespace

options::FlagSet MakeMetricsApiFlags(MetricsApiFlags& flags) {
  options::FlagSet set(
      "tepal metrics-api [FLAGS]",
      "Serves the metrics APIs of Kubernetes, custom.metrics.k8s.io and external.metrics.k8s.io, "
      "which the HorizontalPodAutoscaler reads. Takes prometheus-adapter's flags and rules file.");
  AddSourceFlags(set, flags);
  AddServingFlags(set, flags);
  AddClusterFlags(set, flags);
  set.Group("Logs");
  set.Add("v", &flags.verbose, "how much is logged; 0 is the least");
  AddMetricsApiRefusedFlags(set);
  set.Check([&flags](const options::FlagSet&) { return Check(flags); });
  set.Example(
      "tepal metrics-api --prometheus-url=http://prometheus:9090 --config=/etc/adapter/config.yaml "
      "--metrics-relist-interval=30s",
      "as prometheus-adapter");
  set.Example(
      "tepal metrics-api --scrape-selector=app=flower --apiservice-namespace=tepal "
      "--apiservice-name=metrics-api --register-apiservices",
      "without Prometheus, and without certificates to look after");
  return set;
}

}  // namespace tepal::commands
