#include "scaling/custom_metrics/source_flags.h"

#include "core/base/text.h"
#include "scaling/custom_metrics/prometheus_source.h"
#include "scaling/custom_metrics/scrape_source.h"
#include "scaling/custom_metrics/source_set.h"

namespace tepal::custom_metrics {
namespace {

constexpr uint64_t kSmallFileMax = 64 << 10;
constexpr uint64_t kRulesFileMax = 4 << 20;

Result<std::string> ReadToken(env::FileSystem& files, const std::string& path) {
  if (path.empty()) return std::string();
  ASSIGN_OR_RETURN(const std::string text, files.Read(path, kSmallFileMax));
  return std::string(Trim(Split(text, '\n').front()));
}

Result<PrometheusClient::Options> ClientOptions(const SourceFlags& flags, env::FileSystem& files) {
  PrometheusClient::Options options;
  const Result<kube::ClusterAccess> url = ParsePrometheusUrl(flags.prometheus_url);
  if (!url.ok()) return Status(url.status()).WithContext("--prometheus-url");
  if (flags.prometheus_auth) options.access = *flags.prometheus_auth;
  if (!flags.prometheus_auth_config.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     files.Read(flags.prometheus_auth_config, kube::kKubeconfigBytesMax));
    ASSIGN_OR_RETURN(options.access, kube::ParseKubeconfig(text, flags.prometheus_auth_config));
  }
  options.access.host = url->host;
  options.access.port = url->port;
  options.access.tls = url->tls;
  options.access.path_prefix = url->path_prefix;
  if (!flags.prometheus_ca_file.empty()) options.access.ca = {flags.prometheus_ca_file, {}};
  if (!flags.prometheus_client_cert_file.empty()) {
    options.access.client_certificate = {flags.prometheus_client_cert_file, {}};
    options.access.client_key = {flags.prometheus_client_key_file, {}};
  }
  if (!flags.prometheus_token_file.empty()) {
    options.access.token = {flags.prometheus_token_file, {}};
  }
  for (const std::string& text : flags.prometheus_headers) {
    Result<std::pair<std::string, std::string>> header = ParseHeaderFlag(text);
    if (!header.ok()) return Status(header.status()).WithContext("--prometheus-header");
    options.headers.push_back(*std::move(header));
  }
  options.post = flags.prometheus_verb == "POST";
  return options;
}

Result<std::unique_ptr<MetricSource>> NewPrometheusSource(const SourceFlags& flags,
                                                          const SourceWorld& world,
                                                          std::vector<std::string>* notes) {
  if (flags.config.empty()) {
    return InvalidArgument("--config: got nothing, expected prometheus-adapter's rules file");
  }
  ASSIGN_OR_RETURN(const std::string text, world.files.Read(flags.config, kRulesFileMax));
  ASSIGN_OR_RETURN(RulesConfig rules, ParseRulesConfig(text, flags.config));
  notes->insert(notes->end(), rules.notes.begin(), rules.notes.end());
  ASSIGN_OR_RETURN(PrometheusClient::Options options, ClientOptions(flags, world.files));
  ASSIGN_OR_RETURN(auto client,
                   PrometheusClient::New(world.loop, {world.files, world.clock, world.resolver},
                                         std::move(options)));
  PrometheusSource::Options source;
  source.relist_interval = flags.relist_interval;
  source.max_age = flags.max_age;
  source.queries.keep = flags.query_keep;
  ASSIGN_OR_RETURN(auto made, PrometheusSource::New(world.loop, std::move(client), std::move(rules),
                                                    world.kinds, source, notes));
  made->Start();
  return std::unique_ptr<MetricSource>(std::move(made));
}

Status ReadTargets(const std::vector<std::string>& flags, std::string_view name,
                   std::vector<ScrapePod>& pods) {
  for (const std::string& text : flags) {
    Result<ScrapePod> pod = ParseStaticPod(text);
    if (!pod.ok()) return Status(pod.status()).WithContext(name);
    pods.push_back(*std::move(pod));
  }
  return {};
}

Status ReadPort(const std::string& text, std::string_view name, PortRule& port) {
  Result<PortRule> parsed = PortRule::Parse(text);
  if (!parsed.ok()) return Status(parsed.status()).WithContext(name);
  port = *std::move(parsed);
  return {};
}

Result<std::unique_ptr<MetricSource>> NewScrapeSource(const SourceFlags& flags,
                                                      const SourceWorld& world) {
  ScrapeSource::Options options;
  options.missed_max = flags.scrape_missed_max;
  options.signals.windows = {flags.queue_window, flags.load_window};
  options.signals.utilization = flags.scrape_utilization;
  options.signals.count_not_ready = flags.scrape_count_not_ready;
  RETURN_IF_ERROR(ReadPort(flags.scrape_port, "--scrape-port", options.port));
  RETURN_IF_ERROR(ReadPort(flags.balancer_port, "--balancer-port", options.balancer_port));
  for (Scraper::Options* scraper : {&options.servers, &options.balancers}) {
    scraper->interval = flags.scrape_interval;
    scraper->time_max = flags.scrape_interval * 9 / 10;
    scraper->connect_time_max = flags.scrape_interval / 2;
  }
  options.servers.path = flags.scrape_path;
  ASSIGN_OR_RETURN(options.balancers.bearer_token,
                   ReadToken(world.files, flags.balancer_token_file));
  RETURN_IF_ERROR(ReadTargets(flags.scrape_targets, "--scrape-target", options.static_pods));
  RETURN_IF_ERROR(
      ReadTargets(flags.balancer_targets, "--balancer-target", options.static_balancers));
  auto source = std::make_unique<ScrapeSource>(world.loop, std::move(options));
  if (!flags.scrape_selector.empty()) {
    if (world.client == nullptr) {
      return InvalidArgument("--scrape-selector: got no API server to ask for pods, expected one");
    }
    source->Watch(*world.client, world.random,
                  {flags.scrape_namespaces, flags.scrape_selector, flags.balancer_namespaces,
                   flags.balancer_selector});
  }
  return std::unique_ptr<MetricSource>(std::move(source));
}

}  // namespace

void AddPrometheusFlags(options::FlagSet& flags, SourceFlags* v) {
  flags.Group("Values from Prometheus");
  flags.Add("prometheus-url", &v->prometheus_url,
            "Of the server, as http://prometheus.monitoring.svc:9090; needs --config");
  flags.Add("config", &v->config, "prometheus-adapter's rules file");
  flags.Add("metrics-relist-interval", &v->relist_interval, "How often its series are listed");
  flags.Add("metrics-max-age", &v->max_age,
            "Series that had a sample since; 0: metrics-relist-interval");
  flags.Add("prometheus-verb", &v->prometheus_verb, "GET or POST");
  flags.Add("prometheus-header", &v->prometheus_headers, "NAME=VALUE sent with each request");
  flags.Add("prometheus-ca-file", &v->prometheus_ca_file, "CA that signed its certificate");
  flags.Add("prometheus-client-tls-cert-file", &v->prometheus_client_cert_file,
            "Certificate to show to it");
  flags.Add("prometheus-client-tls-key-file", &v->prometheus_client_key_file, "Its key");
  flags.Add("prometheus-token-file", &v->prometheus_token_file,
            "Bearer token; read again as it rotates");
  flags.Add("prometheus-auth-config", &v->prometheus_auth_config,
            "kubeconfig whose credentials are shown to it");
  flags.Add("prometheus-query-keep", &v->query_keep,
            "How long an answer is good for others that ask the same");
  flags.Check([v](const options::FlagSet&) { return CheckSourceFlags(*v); });
}

void AddScrapeFlags(options::FlagSet& flags, SourceFlags* v) {
  flags.Group("Values from the pods themselves");
  flags.Add("scrape-selector", &v->scrape_selector, "Label selector of the server pods");
  flags.Add("scrape-namespace", &v->scrape_namespaces, "Where they are; none: everywhere");
  flags.Add("scrape-port", &v->scrape_port, "Of their metrics: number, name or annotation:NAME");
  flags.Add("scrape-path", &v->scrape_path, "Of their metrics");
  flags.Add("scrape-interval", &v->scrape_interval, "How often each is asked");
  flags.Add("scrape-missed-max", &v->scrape_missed_max,
            "Pages missed in a row before a pod has no value");
  flags.Add("scrape-count-not-ready", &v->scrape_count_not_ready,
            "Pods that are not Ready have values, too");
  flags.Add("scrape-queue-window", &v->queue_window, "Over which avg_time_queue_us is computed");
  flags.Add("scrape-load-window", &v->load_window, "Over which the other metrics are computed");
  flags.Add("scrape-utilization", &v->scrape_utilization,
            "Of a replica at which it has its share, for inference_required_replicas");
  flags.Add("scrape-target", &v->scrape_targets,
            "A pod that no API server knows: NAMESPACE/POD=HOST:PORT[,LABEL=VALUE]...");
  flags.Add("balancer-selector", &v->balancer_selector,
            "Label selector of tepal balancers; what waits in them is part of the values");
  flags.Add("balancer-namespace", &v->balancer_namespaces, "Where they are; none: as the servers");
  flags.Add("balancer-port", &v->balancer_port, "Of their admin address");
  flags.Add("balancer-token-file", &v->balancer_token_file, "Bearer token for it");
  flags.Add("balancer-target", &v->balancer_targets, "As --scrape-target");
  flags.Check([v](const options::FlagSet&) { return CheckSourceFlags(*v); });
}

Status CheckSourceFlags(const SourceFlags& v) {
  const auto wrong = [](std::string_view flag, std::string_view got, std::string_view expected) {
    return InvalidArgument(Concat("--", flag, ": got '", got, "', expected ", expected));
  };
  if (v.prometheus_verb != "GET" && v.prometheus_verb != "POST") {
    return wrong("prometheus-verb", v.prometheus_verb, "GET or POST");
  }
  if (v.scrape_interval < 100ms) return wrong("scrape-interval", "less", "at least 100ms");
  if (v.scrape_missed_max < 1)
    return wrong("scrape-missed-max", Concat(v.scrape_missed_max), "1 or more");
  if (!(v.scrape_utilization > 0 && v.scrape_utilization <= 1)) {
    return wrong("scrape-utilization", Concat(v.scrape_utilization), "more than 0 and at most 1");
  }
  if (v.queue_window < v.scrape_interval * 2 || v.load_window < v.scrape_interval * 2) {
    return InvalidArgument(
        "--scrape-queue-window, --scrape-load-window: got less than two scrape intervals, expected "
        "as much or more");
  }
  if (!v.scrape_path.starts_with('/')) return wrong("scrape-path", v.scrape_path, "a path");
  const Status selector = LabelSelector::Parse(v.scrape_selector).status();
  if (!selector.ok()) return wrong("scrape-selector", v.scrape_selector, selector.message());
  const Status balancers = LabelSelector::Parse(v.balancer_selector).status();
  if (!balancers.ok()) return wrong("balancer-selector", v.balancer_selector, balancers.message());
  return {};
}

Result<std::unique_ptr<MetricSource>> NewSources(const SourceFlags& flags, const SourceWorld& world,
                                                 std::vector<std::string>* notes) {
  std::vector<std::unique_ptr<MetricSource>> sources;
  if (flags.wants_scraping()) {
    ASSIGN_OR_RETURN(sources.emplace_back(), NewScrapeSource(flags, world));
  }
  if (flags.wants_prometheus()) {
    ASSIGN_OR_RETURN(sources.emplace_back(), NewPrometheusSource(flags, world, notes));
  }
  if (sources.empty()) {
    return InvalidArgument(
        "got no source of values, expected --prometheus-url with --config, or "
        "--scrape-selector");
  }
  if (sources.size() == 1) return std::move(sources.front());
  return std::unique_ptr<MetricSource>(std::make_unique<SourceSet>(std::move(sources)));
}

}  // namespace tepal::custom_metrics
