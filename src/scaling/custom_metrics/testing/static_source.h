// A source of values that a test sets.

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics::testing {

class StaticSource final : public MetricSource {
 public:
  std::vector<MetricInfo> objects;       // Sorted.
  std::map<std::string, double> values;  // By the object's name.
  std::map<std::string, std::vector<ExternalValue>> external;
  Status health;  // Not OK: every question is answered with it.
  std::vector<ObjectQuery> asked;
  bool never_answers = false;
  WallTime timestamp{};

  std::vector<MetricInfo> ObjectMetrics() const override { return objects; }
  std::vector<std::string> ExternalMetrics() const override {
    std::vector<std::string> names;
    for (const auto& [name, list] : external) names.push_back(name);
    return names;
  }
  Status Health() const override { return health; }

  void GetValues(ObjectQuery query,
                 Function<void(Result<std::vector<ObjectValue>>)> done) override {
    asked.push_back(query);
    if (never_answers) return kept_.push_back(std::move(done));
    if (!health.ok()) return done(health);
    for (const MetricInfo& one : objects) {
      if (one == query.metric) return done(ValuesOf(query.names));
    }
    done(NotFound("no such metric"));
  }
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override {
    if (!health.ok()) return done(health);
    const auto found = external.find(query.metric);
    if (found == external.end()) return done(NotFound("no such metric"));
    done(found->second);
  }

 private:
  std::vector<ObjectValue> ValuesOf(const std::vector<std::string>& names) const {
    std::vector<ObjectValue> list;
    for (const std::string& name : names) {
      const auto found = values.find(name);
      if (found != values.end()) list.push_back({name, found->second, timestamp, std::nullopt});
    }
    return list;
  }

  std::vector<Function<void(Result<std::vector<ObjectValue>>)>> kept_;
};

}  // namespace tepal::custom_metrics::testing
