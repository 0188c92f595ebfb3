// The ready-made inference metrics: of one pod, or of many together. docs/metrics-sources.md has
// each formula.
//
// Fed with pods and their pages, and with the pages of balancers in front of them; asked for
// values. A pod without a fresh page, or whose page says nothing of models, has no value. In a sum,
// a pod that takes requests and has no value counts as the mean of the others: a page that was
// missed must not look like load that has gone. Without any pod that has a value there is none.
//
// Plain state machine without a clock; owned by one thread.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scaling/custom_metrics/label_selector.h"
#include "scaling/custom_metrics/pool_signals.h"
#include "scaling/custom_metrics/scrape_pod.h"

namespace tepal::custom_metrics {

enum class InferenceMetric { kQueueTimeUs, kInFlight, kQueueAgeUs, kRequiredReplicas };

inline constexpr std::pair<InferenceMetric, std::string_view> kInferenceMetrics[] = {
    {InferenceMetric::kQueueTimeUs, "avg_time_queue_us"},
    {InferenceMetric::kInFlight, "inference_in_flight"},
    {InferenceMetric::kQueueAgeUs, "inference_queue_age_us"},
    {InferenceMetric::kRequiredReplicas, "inference_required_replicas"},
};
std::optional<InferenceMetric> InferenceMetricNamed(std::string_view name);

class InferenceSignals {
 public:
  struct Options {
    ModelSignals::Windows windows;
    Duration page_age_max = 3500ms;  // An older page is none.
    double utilization = 0.8;        // Of a replica, at which it has its share; for required.
    bool count_not_ready = false;    // Pods that are not Ready have values, too.
    Duration service_time_keep = std::chrono::minutes(10);
  };
  struct Value {
    double value = 0;
    WallTime timestamp;
    std::optional<Duration> window;
  };
  using Pods = std::vector<const ScrapePod*>;

  explicit InferenceSignals(const Options& options) : options_(options) {}

  // Another uid under the same name is another pod: what was known of the old one is dropped.
  void SetPod(ScrapePod pod);
  void RemovePod(const std::string& key);
  void AddPage(const std::string& key, const ServerReading& reading, Instant now, WallTime wall);

  void AddBalancerPage(const std::string& balancer, const BalancerReading& reading, Instant now);
  void RemoveBalancer(const std::string& balancer) { balancers_.erase(balancer); }

  const ScrapePod* FindPod(const std::string& key) const;
  // Those of which values are wanted: they take requests, or are told to count.
  Pods PodsWhere(Function<bool(const ScrapePod&)> wanted) const;
  // Whether a page of it came lately.
  bool IsFresh(const std::string& key, Instant now) const;

  // `models` is over the labels model and version. In the order of `pods`; kRequiredReplicas is no
  // metric of one pod.
  std::vector<std::optional<Value>> OfEach(InferenceMetric metric, const Pods& pods,
                                           const LabelSelector& models, Instant now) const;
  // May change what is remembered of service times.
  std::optional<Value> OfAll(InferenceMetric metric, const Pods& pods, const LabelSelector& models,
                             Instant now);

 private:
  struct Pod {
    ScrapePod facts;
    std::map<std::string, std::pair<ModelReading, ModelSignals>> models;  // With the last reading.
    std::optional<Instant> page;
    WallTime page_wall;
    bool unused = false;  // Known since before it had an address, and no model seen yet.
  };
  struct Balancer {
    std::map<std::string, PoolSignals> pools;
    Instant page{};
  };
  struct ServiceTime {
    double seconds = 0;
    Instant when{};
  };
  struct Sum;

  bool Wanted(const ScrapePod& pod) const {
    return !pod.terminating && !pod.over && (pod.ready || options_.count_not_ready);
  }
  const Pod* Fresh(const ScrapePod& pod, Instant now) const;
  // What waits in balancers for these pods.
  PoolSignals::Load WaitingFor(const Pods& pods, Instant now) const;
  std::optional<double> OwnValue(InferenceMetric metric, const Pod& pod,
                                 const LabelSelector& models, Instant now) const;
  // `all`: how many pods there are, those without a page among them.
  std::optional<double> Required(const std::vector<const Pod*>& pods, size_t all,
                                 const LabelSelector& models, const PoolSignals::Load& waiting,
                                 Instant now);
  std::optional<double> ServiceTimeOf(const std::string& model, double busy, double succeeded,
                                      Instant now);
  Duration WindowOf(InferenceMetric metric) const;

  const Options options_;
  std::map<std::string, Pod> pods_;
  std::map<std::string, Balancer> balancers_;
  std::map<std::string, ServiceTime> service_times_;  // The last known, by model.
};

}  // namespace tepal::custom_metrics
