#include "scaling/custom_metrics/series_registry.h"

#include <set>

namespace tepal::custom_metrics {

SeriesRegistry SeriesRegistry::OfObjects(const std::vector<MetricNamer>& namers,
                                         const std::vector<const std::vector<Series>*>& series) {
  SeriesRegistry made;
  for (size_t i = 0; i < namers.size(); ++i) {
    const MetricNamer& namer = namers[i];
    // Thousands of series have the same name and labels: each pair is looked at once.
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const Series& one : *series[i]) {
      for (const auto& [label, value] : one.labels) {
        if (!seen.emplace(one.name, label).second || !namer.Takes(one.name)) continue;
        const auto resource = namer.labels().ResourceOf(label);
        if (!resource) continue;
        const auto name = namer.NameOf(one.name);
        if (!name || name->empty()) continue;
        made.metrics_[{*resource, *name}] = {{one.name, &namer},
                                             namer.labels().IsNamespaced(*resource)};
      }
    }
  }
  return made;
}

SeriesRegistry SeriesRegistry::OfExternal(const std::vector<MetricNamer>& namers,
                                          const std::vector<const std::vector<Series>*>& series) {
  SeriesRegistry made;
  for (size_t i = 0; i < namers.size(); ++i) {
    std::set<std::string_view> seen;
    for (const Series& one : *series[i]) {
      if (!seen.insert(one.name).second || !namers[i].Takes(one.name)) continue;
      const auto name = namers[i].NameOf(one.name);
      if (!name || name->empty()) continue;
      made.metrics_[{{}, *name}] = {{one.name, &namers[i]}, true};
    }
  }
  return made;
}

const MetricSeries* SeriesRegistry::Find(const std::string& metric,
                                         const GroupResource& resource) const {
  const auto found = metrics_.find({resource, metric});
  return found == metrics_.end() ? nullptr : &found->second.series;
}

std::vector<MetricInfo> SeriesRegistry::Metrics() const {
  std::vector<MetricInfo> all;
  all.reserve(metrics_.size());
  for (const auto& [key, entry] : metrics_) {
    all.push_back({key.first, entry.namespaced, key.second});
  }
  return all;
}

}  // namespace tepal::custom_metrics
