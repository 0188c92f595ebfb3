#include "scaling/custom_metrics/scrape_source.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "core/telemetry/metrics.h"

namespace tepal::custom_metrics {
namespace {

const GroupResource kPodsResource{"", "pods"};
const GroupResource kNamespacesOf{"", "namespaces"};
const GroupResource kOwners[] = {
    {"apps", "deployments"}, {"apps", "replicasets"}, {"apps", "statefulsets"}};

constexpr int kLogLevel = 1;

InferenceSignals::Options SignalOptions(const ScrapeSource::Options& options) {
  InferenceSignals::Options signals = options.signals;
  // Half an interval more, for the time that a page takes.
  signals.page_age_max =
      options.servers.interval * options.missed_max + options.servers.interval / 2;
  return signals;
}

std::vector<MetricInfo> MetricsThereAre() {
  std::vector<MetricInfo> all;
  for (const auto& [metric, name] : kInferenceMetrics) {
    if (metric != InferenceMetric::kRequiredReplicas) {
      all.push_back({kPodsResource, true, std::string(name)});
    }
    all.push_back({kNamespacesOf, false, std::string(name)});
    for (const GroupResource& owner : kOwners) all.push_back({owner, true, std::string(name)});
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

ScrapeSource::ScrapeSource(env::EventLoop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      object_metrics_(MetricsThereAre()),
      signals_(SignalOptions(options_)),
      servers_(loop, options_.servers,
               [this](const std::string& key, Result<std::string_view> page) {
                 OnServerPage(key, page);
               }),
      balancers_(loop, options_.balancers,
                 [this](const std::string& key, Result<std::string_view> page) {
                   OnBalancerPage(key, page);
                 }) {
  for (const auto& [metric, name] : kInferenceMetrics) external_metrics_.emplace_back(name);
  std::sort(external_metrics_.begin(), external_metrics_.end());
  for (const ScrapePod& pod : options_.static_pods) AddPod(pod);
  for (const ScrapePod& pod : options_.static_balancers) balancers_.Set(pod.key(), *pod.address);
}

ScrapeSource::~ScrapeSource() = default;

void ScrapeSource::Watch(kube::Client& client, env::Random& random, const Selection& selection) {
  const auto watch = [&](const std::vector<std::string>& namespaces, const std::string& labels,
                         const PortRule& port,
                         void (ScrapeSource::*on_change)(const kube::Change&)) {
    const std::vector<std::string> all = {""};
    for (const std::string& name_space : namespaces.empty() ? all : namespaces) {
      ++unsynced_;
      informers_.push_back(std::make_unique<kube::Informer>(
          loop_, client, random, kube::Collection{kube::kPods, name_space},
          kube::Selectors{labels, {}}, kube::Reflector::Options{}));
      informers_.back()->Start(
          {.on_change = [this,
                         on_change](const kube::Change& change) { (this->*on_change)(change); },
           .on_synced = [this] { --unsynced_; },
           .on_trouble =
               [](const Status& why) {
                 telemetry::LogWarning(Concat("watching pods: ", why.message()));
               },
           .keep = [&port](json::Value pod) { return TrimPod(pod, port); }});
    }
  };
  watch(selection.namespaces, selection.labels, options_.port, &ScrapeSource::OnPod);
  if (selection.balancer_labels.empty()) return;
  watch(
      selection.balancer_namespaces.empty() ? selection.namespaces : selection.balancer_namespaces,
      selection.balancer_labels, options_.balancer_port, &ScrapeSource::OnBalancer);
}

void ScrapeSource::AddPod(ScrapePod pod) {
  const std::string key = pod.key();
  const std::optional<env::Address> address = pod.address;
  const bool scraped = address.has_value() && !pod.over;
  signals_.SetPod(std::move(pod));
  if (scraped) {
    servers_.Set(key, *address);
  } else {
    servers_.Remove(key);
  }
}

void ScrapeSource::OnPod(const kube::Change& change) {
  std::optional<ScrapePod> pod = ReadPod(*change.object, options_.port);
  if (!pod) return;
  if (change.kind == kube::Change::Kind::kDeleted) {
    signals_.RemovePod(pod->key());
    servers_.Remove(pod->key());
    return;
  }
  AddPod(*std::move(pod));
}

void ScrapeSource::OnBalancer(const kube::Change& change) {
  const std::optional<ScrapePod> pod = ReadPod(*change.object, options_.balancer_port);
  if (!pod) return;
  const bool there =
      change.kind == kube::Change::Kind::kSet && pod->address.has_value() && !pod->over;
  if (there) {
    balancers_.Set(pod->key(), *pod->address);
  } else {
    balancers_.Remove(pod->key());
    signals_.RemoveBalancer(pod->key());
  }
}

void ScrapeSource::OnServerPage(const std::string& key, Result<std::string_view> page) {
  if (!page.ok()) return NoteTrouble(key, page.status());
  const auto samples = telemetry::ParsePrometheusText(*page);
  if (!samples.ok()) return NoteTrouble(key, samples.status());
  const Result<ServerReading> reading = ReadServerPage(*samples);
  if (!reading.ok()) return NoteTrouble(key, reading.status());
  signals_.AddPage(key, *reading, loop_.Now(), loop_.WallNow());
}

void ScrapeSource::OnBalancerPage(const std::string& key, Result<std::string_view> page) {
  if (!page.ok()) return NoteTrouble(key, page.status());
  const auto samples = telemetry::ParsePrometheusText(*page);
  if (!samples.ok()) return NoteTrouble(key, samples.status());
  const Result<BalancerReading> reading = ReadBalancerPage(*samples);
  if (!reading.ok()) return NoteTrouble(key, reading.status());
  signals_.AddBalancerPage(key, *reading, loop_.Now());
}

void ScrapeSource::NoteTrouble(const std::string& key, const Status& why) {
  trouble_ = Unavailable(Concat("pod ", key, ": ", why.message()));
  telemetry::LogVerbose(kLogLevel, trouble_.message());
}

Status ScrapeSource::Health() const {
  if (unsynced_ > 0) return Unavailable("the pods have not been listed yet");
  const InferenceSignals::Pods pods = signals_.PodsWhere([](const ScrapePod&) { return true; });
  const Instant now = loop_.Now();
  const bool blind = std::none_of(pods.begin(), pods.end(), [&](const ScrapePod* pod) {
    return signals_.IsFresh(pod->key(), now);
  });
  if (pods.empty() || !blind) return {};
  return Unavailable(Concat("no page of any of ", pods.size(), " pods; the last failure: ",
                            trouble_.ok() ? "none yet" : trouble_.message()));
}

InferenceSignals::Pods ScrapeSource::PodsOf(const ObjectQuery& query,
                                            const std::string& name) const {
  const bool whole = query.metric.resource == kNamespacesOf;
  return signals_.PodsWhere([&](const ScrapePod& pod) {
    if (whole) return pod.name_space == name;
    return pod.name_space == query.name_space &&
           std::find(pod.owners.begin(), pod.owners.end(),
                     std::pair(query.metric.resource, name)) != pod.owners.end();
  });
}

Result<std::vector<ObjectValue>> ScrapeSource::Values(const ObjectQuery& query) {
  const auto metric = InferenceMetricNamed(query.metric.metric);
  const bool known =
      std::any_of(object_metrics_.begin(), object_metrics_.end(), [&](const MetricInfo& info) {
        return info.metric == query.metric.metric && info.resource == query.metric.resource;
      });
  if (!metric || !known) {
    return NotFound(Concat("the direct source has no metric ", query.metric.metric, " for ",
                           query.metric.resource.resource));
  }
  if (unsynced_ > 0) return Unavailable("the pods have not been listed yet");
  ASSIGN_OR_RETURN(const LabelSelector models, LabelSelector::Parse(query.metric_selector));
  std::vector<ObjectValue> values;
  const Instant now = loop_.Now();
  if (query.metric.resource != kPodsResource) {
    for (const std::string& name : query.names) {
      const auto value = signals_.OfAll(*metric, PodsOf(query, name), models, now);
      if (value) values.push_back({name, value->value, value->timestamp, value->window});
    }
    return values;
  }
  InferenceSignals::Pods pods;
  for (const std::string& name : query.names) {
    const ScrapePod* pod = signals_.FindPod(Concat(query.name_space, "/", name));
    if (pod != nullptr) pods.push_back(pod);
  }
  const auto each = signals_.OfEach(*metric, pods, models, now);
  for (size_t i = 0; i < pods.size(); ++i) {
    if (!each[i]) continue;
    values.push_back({pods[i]->name, each[i]->value, each[i]->timestamp, each[i]->window});
  }
  return values;
}

void ScrapeSource::GetValues(ObjectQuery query,
                             Function<void(Result<std::vector<ObjectValue>>)> done) {
  done(Values(query));
}

void ScrapeSource::GetExternalValues(ExternalQuery query,
                                     Function<void(Result<std::vector<ExternalValue>>)> done) {
  const auto metric = InferenceMetricNamed(query.metric);
  if (!metric) {
    return done(NotFound(Concat("the direct source has no external metric ", query.metric)));
  }
  if (unsynced_ > 0) return done(Unavailable("the pods have not been listed yet"));
  const Result<LabelSelector> labels = LabelSelector::Parse(query.selector);
  if (!labels.ok()) return done(labels.status());
  const auto pods = signals_.PodsWhere([&](const ScrapePod& pod) {
    return pod.name_space == query.name_space && labels->Matches([&](const std::string& label) {
      const auto found = pod.labels.find(label);
      return found == pod.labels.end() ? nullptr : &found->second;
    });
  });
  std::vector<ExternalValue> values;
  if (const auto value = signals_.OfAll(*metric, pods, {}, loop_.Now())) {
    values.push_back({{}, value->value, value->timestamp, value->window});
  }
  done(std::move(values));
}

}  // namespace tepal::custom_metrics
