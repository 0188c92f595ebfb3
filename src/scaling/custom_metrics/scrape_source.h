// Metrics of pods that this program asks itself, without a Prometheus.
//
// Pods come from an informer over the API server (Watch), or from flags; each is scraped every
// interval, so a value is a second old and not thirty. Balancers are found by a selector of their
// own, and what waits in them is part of the values. The metrics are the ready-made ones of
// inference_signals.h, for pods, for the Deployments, StatefulSets and ReplicaSets that own them,
// for namespaces, and as external metrics whose selector chooses pods by their labels.
//
// While the API server cannot be reached, the pods known last go on being scraped. One loop.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "network/kube/informer.h"
#include "scaling/custom_metrics/inference_signals.h"
#include "scaling/custom_metrics/scraper.h"

namespace tepal::custom_metrics {

class ScrapeSource final : public MetricSource {
 public:
  struct Options {
    InferenceSignals::Options signals;
    int missed_max = 3;  // Pages in a row; then a pod has no value. Overrides page_age_max.
    PortRule port{.number = 8002, .name = {}, .annotation = {}};
    PortRule balancer_port{.number = 8080, .name = {}, .annotation = {}};
    Scraper::Options servers;
    Scraper::Options balancers;
    std::vector<ScrapePod> static_pods;
    std::vector<ScrapePod> static_balancers;
  };
  // Which pods to watch.
  struct Selection {
    std::vector<std::string> namespaces;  // Empty: all of them.
    std::string labels;
    std::vector<std::string> balancer_namespaces;  // Empty: as `namespaces`.
    std::string balancer_labels;                   // Empty: no balancers.
  };

  ScrapeSource(env::EventLoop& loop, Options options);
  ~ScrapeSource() override;

  // `client` and `random` outlive the source.
  void Watch(kube::Client& client, env::Random& random, const Selection& selection);

  // As the informers do, one change after the other.
  void OnPod(const kube::Change& change);
  void OnBalancer(const kube::Change& change);

  std::vector<MetricInfo> ObjectMetrics() const override { return object_metrics_; }
  std::vector<std::string> ExternalMetrics() const override { return external_metrics_; }
  void GetValues(ObjectQuery query, Function<void(Result<std::vector<ObjectValue>>)> done) override;
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override;
  // Blind: not all pods are known yet, or none of those that take requests has a fresh page.
  Status Health() const override;

  const Scraper::Counters& counters() const { return servers_.counters(); }
  size_t targets() const { return servers_.targets(); }

 private:
  void AddPod(ScrapePod pod);
  void OnServerPage(const std::string& key, Result<std::string_view> page);
  void OnBalancerPage(const std::string& key, Result<std::string_view> page);
  void NoteTrouble(const std::string& key, const Status& why);
  Result<std::vector<ObjectValue>> Values(const ObjectQuery& query);
  InferenceSignals::Pods PodsOf(const ObjectQuery& query, const std::string& name) const;

  env::EventLoop& loop_;
  const Options options_;
  std::vector<MetricInfo> object_metrics_;
  std::vector<std::string> external_metrics_;
  InferenceSignals signals_;
  Scraper servers_;
  Scraper balancers_;
  std::vector<std::unique_ptr<kube::Informer>> informers_;
  int unsynced_ = 0;
  Status trouble_;  // The last page that failed.
};

}  // namespace tepal::custom_metrics
