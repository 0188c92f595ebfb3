// Metrics out of a Prometheus server, by the rules file of prometheus-adapter.
//
// The series there are are listed every `relist_interval`, and soon after somebody asked for one
// that is not known, so that a new metric need not wait for the next list. While Prometheus cannot
// be asked the last list stays and values are kUnavailable: never an empty answer, never an old
// value. NaN, infinite and absent values are missing. A value's time is that at which Prometheus
// computed it; its window is the longest range of the rule's query.
//
// One loop. Destroying it drops what is in progress without a call.

#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scaling/custom_metrics/query_runner.h"
#include "scaling/custom_metrics/series_registry.h"

namespace tepal::custom_metrics {

class PrometheusSource final : public MetricSource {
 public:
  struct Options {
    Duration relist_interval = std::chrono::minutes(10);  // --metrics-relist-interval
    Duration max_age{};            // --metrics-max-age; 0: as relist_interval.
    Duration relist_on_miss = 5s;  // Not more often than that for metrics nobody knows.
    Duration retry_first = 1s;     // After a list that failed; doubled up to
    Duration retry_max = 30s;      // this.
    QueryRunner::Options queries;
  };

  // `notes` gets what the rules say that is done in another way. The table outlives the source;
  // Start begins.
  static Result<std::unique_ptr<PrometheusSource>> New(env::EventLoop& loop,
                                                       std::unique_ptr<PrometheusClient> client,
                                                       RulesConfig rules, const KindTable& kinds,
                                                       Options options,
                                                       std::vector<std::string>* notes);
  ~PrometheusSource() override;

  void Start();

  std::vector<MetricInfo> ObjectMetrics() const override { return object_metrics_; }
  std::vector<std::string> ExternalMetrics() const override { return external_metrics_; }
  void GetValues(ObjectQuery query, Function<void(Result<std::vector<ObjectValue>>)> done) override;
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override;
  Status Health() const override { return health_; }

  const QueryRunner::Counters& counters() const { return runner_.counters(); }

 private:
  struct Listing;  // A list in progress.

  PrometheusSource(env::EventLoop& loop, std::unique_ptr<PrometheusClient> client, Options options)
      : loop_(loop),
        client_(std::move(client)),
        options_(options),
        runner_(loop, *client_, options.queries) {}

  void Relist();
  void OnSeries(const std::shared_ptr<Listing>& listing, const std::string& selector,
                Result<std::vector<Series>> series);
  void Finish(Listing& listing);
  void ListAgainAt(Instant when);
  void OnMiss();
  void OnQuery(const Result<QueryAnswer>& answer);

  env::EventLoop& loop_;
  const std::unique_ptr<PrometheusClient> client_;
  const Options options_;
  std::vector<MetricNamer> namers_;
  std::vector<MetricNamer> external_namers_;
  SeriesRegistry registry_;
  SeriesRegistry external_registry_;
  std::vector<MetricInfo> object_metrics_;
  std::vector<std::string> external_metrics_;
  Status health_ = Unavailable("the series of Prometheus have not been listed yet");
  QueryRunner runner_;
  std::shared_ptr<Listing> listing_;
  std::optional<Instant> listed_;  // When the last list ended, however.
  int failures_ = 0;
  env::EventLoop::TimerId timer_ = 0;
  Instant next_{};
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::custom_metrics
