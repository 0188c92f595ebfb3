#include "scaling/custom_metrics/source_set.h"

#include <algorithm>

namespace tepal::custom_metrics {
namespace {

template <typename Item>
void MakeSet(std::vector<Item>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

const std::string& NameOf(const ObjectQuery& query) { return query.metric.metric; }
const std::string& NameOf(const ExternalQuery& query) { return query.metric; }

}  // namespace

std::vector<MetricInfo> SourceSet::ObjectMetrics() const {
  std::vector<MetricInfo> all;
  for (const auto& source : sources_) {
    for (MetricInfo& info : source->ObjectMetrics()) all.push_back(std::move(info));
  }
  MakeSet(all);
  return all;
}

std::vector<std::string> SourceSet::ExternalMetrics() const {
  std::vector<std::string> all;
  for (const auto& source : sources_) {
    for (std::string& name : source->ExternalMetrics()) all.push_back(std::move(name));
  }
  MakeSet(all);
  return all;
}

bool SourceSet::Knows(size_t source, const ObjectQuery& query) const {
  const std::vector<MetricInfo> all = sources_[source]->ObjectMetrics();
  return std::any_of(all.begin(), all.end(), [&](const MetricInfo& info) {
    return info.metric == query.metric.metric && info.resource == query.metric.resource;
  });
}

bool SourceSet::Knows(size_t source, const ExternalQuery& query) const {
  const std::vector<std::string> all = sources_[source]->ExternalMetrics();
  return std::find(all.begin(), all.end(), query.metric) != all.end();
}

template <typename Query, typename Values>
void SourceSet::Ask(size_t source, Query query, Function<void(Result<Values>)> done, Status blind) {
  if (source == sources_.size()) {
    return done(blind.ok() ? NotFound("no source knows the metric " + NameOf(query)) : blind);
  }
  Query copy = query;
  Give(source, std::move(copy),
       [this, alive = std::weak_ptr<int>(alive_), source, query = std::move(query),
        done = std::move(done), blind = std::move(blind)](Result<Values> values) mutable {
         if (alive.expired()) return;
         if (values.ok()) return done(std::move(values));
         const bool unknown = values.status().code() == StatusCode::kNotFound;
         if (!unknown && Knows(source, query)) return done(std::move(values));
         if (!unknown && blind.ok()) blind = values.status();
         Ask(source + 1, std::move(query), std::move(done), std::move(blind));
       });
}

void SourceSet::GetValues(ObjectQuery query,
                          Function<void(Result<std::vector<ObjectValue>>)> done) {
  Ask(0, std::move(query), std::move(done), {});
}

void SourceSet::GetExternalValues(ExternalQuery query,
                                  Function<void(Result<std::vector<ExternalValue>>)> done) {
  Ask(0, std::move(query), std::move(done), {});
}

Status SourceSet::Health() const {
  for (const auto& source : sources_) {
    if (Status health = source->Health(); !health.ok()) return health;
  }
  return {};
}

}  // namespace tepal::custom_metrics
