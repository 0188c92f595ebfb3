// The metrics there are: the series that Prometheus has, through the rules.
//
// Filled anew with each list of series; in between it answers from memory. Where two series give
// one metric of one kind, the later rule's counts, as in prometheus-adapter. Pure; one owner.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "scaling/custom_metrics/metric_namer.h"
#include "scaling/custom_metrics/prometheus_answer.h"

namespace tepal::custom_metrics {

struct MetricSeries {
  std::string series;  // The name in Prometheus.
  const MetricNamer* namer = nullptr;
};

// series[i] are those that the rule namers[i] asked for; the namers outlive the result.
class SeriesRegistry {
 public:
  SeriesRegistry() = default;
  static SeriesRegistry OfObjects(const std::vector<MetricNamer>& namers,
                                  const std::vector<const std::vector<Series>*>& series);
  static SeriesRegistry OfExternal(const std::vector<MetricNamer>& namers,
                                   const std::vector<const std::vector<Series>*>& series);

  // Null: there is no such metric. `resource` empty for external ones.
  const MetricSeries* Find(const std::string& metric, const GroupResource& resource) const;

  std::vector<MetricInfo> Metrics() const;  // Sorted.

 private:
  struct Entry {
    MetricSeries series;
    bool namespaced = true;
  };
  std::map<std::pair<GroupResource, std::string>, Entry> metrics_;
};

}  // namespace tepal::custom_metrics
