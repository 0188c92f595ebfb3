// Several sources as one: the first that knows a metric answers for it.
//
// Discovery is all of them together. Where a source knows a metric and cannot say its value no
// other is asked: its value under the same name would be of other things. Where nobody knows it and
// one of them is blind, that one might: kUnavailable, not kNotFound. One loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

class SourceSet final : public MetricSource {
 public:
  // In order of precedence; at least one.
  explicit SourceSet(std::vector<std::unique_ptr<MetricSource>> sources)
      : sources_(std::move(sources)) {}

  std::vector<MetricInfo> ObjectMetrics() const override;
  std::vector<std::string> ExternalMetrics() const override;
  void GetValues(ObjectQuery query, Function<void(Result<std::vector<ObjectValue>>)> done) override;
  void GetExternalValues(ExternalQuery query,
                         Function<void(Result<std::vector<ExternalValue>>)> done) override;
  // The first trouble there is.
  Status Health() const override;

 private:
  // `blind`: the first source that does not know the metric because it knows nothing now.
  template <typename Query, typename Values>
  void Ask(size_t source, Query query, Function<void(Result<Values>)> done, Status blind);
  bool Knows(size_t source, const ObjectQuery& query) const;
  bool Knows(size_t source, const ExternalQuery& query) const;
  void Give(size_t source, ObjectQuery query,
            Function<void(Result<std::vector<ObjectValue>>)> done) {
    sources_[source]->GetValues(std::move(query), std::move(done));
  }
  void Give(size_t source, ExternalQuery query,
            Function<void(Result<std::vector<ExternalValue>>)> done) {
    sources_[source]->GetExternalValues(std::move(query), std::move(done));
  }

  const std::vector<std::unique_ptr<MetricSource>> sources_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tepal::custom_metrics
