#include "scaling/custom_metrics/prometheus_source.h"

#include <algorithm>
#include <cmath>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

Result<std::vector<MetricNamer>> NamersOf(std::vector<MetricRule> rules, const KindTable& kinds,
                                          std::vector<std::string>* notes) {
  std::vector<MetricNamer> namers;
  for (MetricRule& rule : rules) {
    ASSIGN_OR_RETURN(MetricNamer namer, MetricNamer::New(std::move(rule), kinds, notes));
    namers.push_back(std::move(namer));
  }
  return namers;
}

// What Prometheus refuses is this program's fault or the rule's, and no fault of who asked.
Status ForCaller(const Status& why) {
  const bool late = why.code() == StatusCode::kDeadlineExceeded;
  return Status(late ? why.code() : StatusCode::kUnavailable, why.message());
}

std::vector<ObjectValue> ObjectValues(const QueryAnswer& answer, const std::string& label,
                                      const std::vector<std::string>& names,
                                      std::optional<Duration> window) {
  std::map<std::string_view, const QuerySample*> by_name;
  for (const QuerySample& sample : answer.samples) {
    const auto name = sample.labels.find(label);
    if (name != sample.labels.end()) by_name[name->second] = &sample;
  }
  std::vector<ObjectValue> values;
  for (const std::string& name : names) {
    const auto found = by_name.find(name);
    if (found == by_name.end() || !std::isfinite(found->second->value)) continue;
    values.push_back({name, found->second->value, found->second->time, window});
  }
  return values;
}

}  // namespace

struct PrometheusSource::Listing {
  std::map<std::string, std::vector<Series>> by_selector;
  std::set<std::string> waiting;
  Status failure;
};

Result<std::unique_ptr<PrometheusSource>> PrometheusSource::New(
    env::EventLoop& loop, std::unique_ptr<PrometheusClient> client, RulesConfig rules,
    const KindTable& kinds, Options options, std::vector<std::string>* notes) {
  if (options.relist_interval <= Duration{}) {
    return InvalidArgument("metrics-relist-interval: got 0, expected more");
  }
  if (options.max_age == Duration{}) options.max_age = options.relist_interval;
  if (options.max_age < options.relist_interval) {
    return InvalidArgument(
        "metrics-max-age: got less than metrics-relist-interval, expected as "
        "much or more");
  }
  std::unique_ptr<PrometheusSource> made(new PrometheusSource(loop, std::move(client), options));
  ASSIGN_OR_RETURN(made->namers_, NamersOf(std::move(rules.rules), kinds, notes));
  ASSIGN_OR_RETURN(made->external_namers_, NamersOf(std::move(rules.external_rules), kinds, notes));
  return made;
}

PrometheusSource::~PrometheusSource() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void PrometheusSource::Start() { Relist(); }

void PrometheusSource::Relist() {
  if (listing_ != nullptr) return;
  const auto listing = std::make_shared<Listing>();
  listing_ = listing;
  for (const auto* namers : {&namers_, &external_namers_}) {
    for (const MetricNamer& namer : *namers) listing->waiting.insert(namer.series_query());
  }
  if (listing->waiting.empty()) return Finish(*listing);
  const WallTime start = loop_.WallNow() - options_.max_age;
  const std::set<std::string> selectors = listing->waiting;
  for (const std::string& selector : selectors) {
    client_->ListSeries(selector, start,
                        [this, alive = std::weak_ptr<int>(alive_), listing,
                         selector](Result<std::vector<Series>> series) {
                          if (!alive.expired()) OnSeries(listing, selector, std::move(series));
                        });
  }
}

void PrometheusSource::OnSeries(const std::shared_ptr<Listing>& listing,
                                const std::string& selector, Result<std::vector<Series>> series) {
  listing->waiting.erase(selector);
  if (series.ok()) {
    listing->by_selector[selector] = *std::move(series);
  } else if (listing->failure.ok()) {
    listing->failure =
        Status(series.status()).WithContext(Concat("listing the series of ", selector));
  }
  if (listing->waiting.empty()) Finish(*listing);
}

// All of a list counts or none of it: half a list would be metrics that have vanished.
void PrometheusSource::Finish(Listing& listing) {
  const std::shared_ptr<Listing> ended = std::exchange(listing_, nullptr);
  listed_ = loop_.Now();
  if (!listing.failure.ok()) {
    health_ = ForCaller(listing.failure);
    const Duration wait = options_.retry_first * (int64_t{1} << std::min(failures_++, 20));
    const Duration most = std::min(options_.retry_max, options_.relist_interval);
    return ListAgainAt(loop_.Now() + std::min(wait, most));
  }
  const auto series_of = [&](const std::vector<MetricNamer>& namers) {
    std::vector<const std::vector<Series>*> all;
    for (const MetricNamer& namer : namers) {
      all.push_back(&listing.by_selector[namer.series_query()]);
    }
    return all;
  };
  registry_ = SeriesRegistry::OfObjects(namers_, series_of(namers_));
  external_registry_ = SeriesRegistry::OfExternal(external_namers_, series_of(external_namers_));
  object_metrics_ = registry_.Metrics();
  external_metrics_.clear();
  for (const MetricInfo& info : external_registry_.Metrics()) {
    external_metrics_.push_back(info.metric);
  }
  health_ = Status();
  failures_ = 0;
  ListAgainAt(loop_.Now() + options_.relist_interval);
}

void PrometheusSource::ListAgainAt(Instant when) {
  if (timer_ != 0) {
    if (next_ <= when) return;
    loop_.Cancel(timer_);
  }
  next_ = when;
  timer_ = loop_.RunAt(when, [this] {
    timer_ = 0;
    Relist();
  });
}

// It may be new: an HPA that asks again in 15 s finds it then.
void PrometheusSource::OnMiss() {
  if (!health_.ok() || !listed_) return;
  ListAgainAt(std::max(loop_.Now(), *listed_ + options_.relist_on_miss));
}

void PrometheusSource::OnQuery(const Result<QueryAnswer>& answer) {
  // Health is whether Prometheus can be asked; a query that it refuses is an answer, too.
  if (answer.ok()) {
    if (failures_ == 0 && listed_) health_ = Status();
  } else if (answer.status().code() != StatusCode::kInvalidArgument && health_.ok()) {
    health_ = ForCaller(answer.status());
    // Whoever is not asked any more because of that finds out when it is over.
    ListAgainAt(loop_.Now() + options_.retry_max);
  }
}

void PrometheusSource::GetValues(ObjectQuery query,
                                 Function<void(Result<std::vector<ObjectValue>>)> done) {
  const MetricSeries* series = registry_.Find(query.metric.metric, query.metric.resource);
  if (series == nullptr) {
    if (!health_.ok() && object_metrics_.empty()) return done(health_);
    OnMiss();
    return done(NotFound(Concat("no rule and series give the metric ", query.metric.metric, " for ",
                                query.metric.resource.resource)));
  }
  const Result<LabelSelector> selector = LabelSelector::Parse(query.metric_selector);
  if (!selector.ok()) return done(selector.status());
  const Result<std::string> promql = series->namer->ObjectQuery(
      series->series, query.metric.resource, query.name_space, query.names, *selector);
  if (!promql.ok()) return done(promql.status());
  const Result<std::string> label = series->namer->labels().LabelOf(query.metric.resource);
  if (!label.ok()) return done(label.status());
  runner_.Run(*promql, [this, alive = std::weak_ptr<int>(alive_), label = *label,
                        names = std::move(query.names), window = WindowOfQuery(*promql),
                        done = std::move(done)](QueryRunner::Answer answer) mutable {
    if (alive.expired()) return;
    OnQuery(*answer);
    if (!answer->ok()) return done(ForCaller(answer->status()));
    done(ObjectValues(**answer, label, names, window));
  });
}

void PrometheusSource::GetExternalValues(ExternalQuery query,
                                         Function<void(Result<std::vector<ExternalValue>>)> done) {
  const MetricSeries* series = external_registry_.Find(query.metric, {});
  if (series == nullptr) {
    if (!health_.ok() && external_metrics_.empty()) return done(health_);
    OnMiss();
    return done(NotFound(Concat("no external rule and series give the metric ", query.metric)));
  }
  const Result<LabelSelector> selector = LabelSelector::Parse(query.selector);
  if (!selector.ok()) return done(selector.status());
  const Result<std::string> promql =
      series->namer->ExternalQuery(series->series, query.name_space, *selector);
  if (!promql.ok()) return done(promql.status());
  runner_.Run(*promql, [this, alive = std::weak_ptr<int>(alive_), window = WindowOfQuery(*promql),
                        done = std::move(done)](QueryRunner::Answer answer) mutable {
    if (alive.expired()) return;
    OnQuery(*answer);
    if (!answer->ok()) return done(ForCaller(answer->status()));
    std::vector<ExternalValue> values;
    for (const QuerySample& sample : (*answer)->samples) {
      if (!std::isfinite(sample.value)) continue;
      values.push_back({sample.labels, sample.value, sample.time, window});
    }
    done(std::move(values));
  });
}

}  // namespace tepal::custom_metrics
