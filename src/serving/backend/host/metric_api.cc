// Metric families and metrics of a backend's own.
//
// Triton's rules: making a family or a metric that exists gives another handle to the same values;
// a family cannot be deleted before its metrics.

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/text.h"
#include "serving/backend/backend_metrics.h"
#include "serving/backend/host/server_objects.h"

namespace {

using tepal::backend_host::NewError;
using tepal::telemetry::Labels;
using tepal::telemetry::PrometheusWriter;

// The values behind all handles with one family and one set of labels.
struct Series {
  std::vector<double> bounds;     // Histograms only.
  std::vector<uint64_t> buckets;  // One more than bounds: the last is above all of them.
  double sum = 0;                 // Of a histogram; else the value.
};

struct FamilyState {
  TRITONSERVER_MetricKind kind = TRITONSERVER_METRIC_KIND_COUNTER;
  std::string help;
  int handles = 0;
  int metric_handles = 0;
  std::map<Labels, Series> series;
};

using FamilyTable = std::map<std::string, FamilyState>;

// The one piece of state of the process in this room: see backend_metrics.h.
tepal::Guarded<FamilyTable>& Families() {
  static tepal::Guarded<FamilyTable> families;
  return families;
}

}  // namespace

struct TRITONSERVER_MetricFamily {
  std::string name;
  TRITONSERVER_MetricKind kind;
};

struct TRITONSERVER_Metric {
  std::string family;
  TRITONSERVER_MetricKind kind;
  Labels labels;
};

struct TRITONSERVER_MetricArgs {
  std::vector<double> bounds;
};

namespace {

template <typename Use>
TRITONSERVER_Error* WithSeries(TRITONSERVER_Metric* metric, Use use) {
  auto families = Families().Lock();
  const auto family = families->find(metric->family);
  if (family == families->end()) {
    return NewError(TRITONSERVER_ERROR_INTERNAL,
                    tepal::Concat("the metric family '", metric->family, "' has been deleted"));
  }
  return use(family->second.series[metric->labels]);
}

TRITONSERVER_Error* WrongKind(const TRITONSERVER_Metric* metric, const char* doing) {
  static constexpr const char* kNames[] = {"counter", "gauge", "histogram"};
  return NewError(
      TRITONSERVER_ERROR_UNSUPPORTED,
      tepal::Concat(doing, " is not possible for the ",
                    kNames[static_cast<size_t>(metric->kind) % 3], " '", metric->family, "'"));
}

void WriteHistogram(PrometheusWriter& writer, const Labels& labels, const Series& series) {
  uint64_t count = 0;
  for (size_t i = 0; i < series.buckets.size(); ++i) {
    count += series.buckets[i];
    Labels bucket = labels;
    bucket.emplace_back("le", i < series.bounds.size() ? tepal::Concat(series.bounds[i]) : "+Inf");
    writer.SuffixedSample("_bucket", bucket, static_cast<double>(count));
  }
  writer.SuffixedSample("_sum", labels, series.sum);
  writer.SuffixedSample("_count", labels, static_cast<double>(count));
}

PrometheusWriter::Type TypeOf(TRITONSERVER_MetricKind kind) {
  switch (kind) {
    case TRITONSERVER_METRIC_KIND_COUNTER:
      return PrometheusWriter::Type::kCounter;
    case TRITONSERVER_METRIC_KIND_GAUGE:
      return PrometheusWriter::Type::kGauge;
    case TRITONSERVER_METRIC_KIND_HISTOGRAM:
      return PrometheusWriter::Type::kHistogram;
  }
  return PrometheusWriter::Type::kUntyped;
}

}  // namespace

namespace tepal {

void CollectBackendMetrics(telemetry::PrometheusWriter& writer) {
  auto families = Families().Lock();
  for (const auto& [name, family] : *families) {
    if (family.series.empty()) continue;
    writer.Family(name, family.help, TypeOf(family.kind));
    for (const auto& [labels, series] : family.series) {
      if (family.kind == TRITONSERVER_METRIC_KIND_HISTOGRAM) {
        WriteHistogram(writer, labels, series);
      } else {
        writer.Sample(labels, series.sum);
      }
    }
  }
}

}  // namespace tepal

extern "C" {

TRITONSERVER_Error* TRITONSERVER_MetricFamilyNew(TRITONSERVER_MetricFamily** family,
                                                 const TRITONSERVER_MetricKind kind,
                                                 const char* name, const char* description) {
  auto families = Families().Lock();
  auto [state, fresh] = families->try_emplace(name);
  if (!fresh && state->second.kind != kind) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    tepal::Concat("the metric family '", name, "' exists with another kind"));
  }
  state->second.kind = kind;
  if (fresh) state->second.help = description;
  ++state->second.handles;
  *family =
      std::make_unique<TRITONSERVER_MetricFamily>(TRITONSERVER_MetricFamily{name, kind}).release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricFamilyDelete(TRITONSERVER_MetricFamily* family) {
  auto families = Families().Lock();
  const auto state = families->find(family->name);
  if (state != families->end()) {
    if (state->second.handles == 1 && state->second.metric_handles > 0) {
      return NewError(TRITONSERVER_ERROR_INTERNAL,
                      tepal::Concat("the metric family '", family->name,
                                    "' cannot be deleted before its metrics"));
    }
    if (--state->second.handles == 0) families->erase(state);
  }
  std::unique_ptr<TRITONSERVER_MetricFamily>{family};
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_GetMetricFamilyKind(TRITONSERVER_MetricFamily* family,
                                                     TRITONSERVER_MetricKind* kind) {
  *kind = family->kind;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricArgsNew(TRITONSERVER_MetricArgs** args) {
  *args = std::make_unique<TRITONSERVER_MetricArgs>().release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricArgsSetHistogram(TRITONSERVER_MetricArgs* args,
                                                        const double* buckets,
                                                        const uint64_t buckets_count) {
  args->bounds.assign(buckets, buckets + buckets_count);
  if (!std::is_sorted(args->bounds.begin(), args->bounds.end())) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG, "histogram buckets must ascend");
  }
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricArgsDelete(TRITONSERVER_MetricArgs* args) {
  std::unique_ptr<TRITONSERVER_MetricArgs>{args};
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricNew(TRITONSERVER_Metric** metric,
                                           TRITONSERVER_MetricFamily* family,
                                           const TRITONSERVER_Parameter** labels,
                                           const uint64_t label_count) {
  return TRITONSERVER_MetricNewWithArgs(metric, family, labels, label_count, nullptr);
}

TRITONSERVER_Error* TRITONSERVER_MetricNewWithArgs(TRITONSERVER_Metric** metric,
                                                   TRITONSERVER_MetricFamily* family,
                                                   const TRITONSERVER_Parameter** labels,
                                                   const uint64_t label_count,
                                                   const TRITONSERVER_MetricArgs* args) {
  const bool is_histogram = family->kind == TRITONSERVER_METRIC_KIND_HISTOGRAM;
  if (is_histogram != (args != nullptr && !args->bounds.empty())) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    tepal::Concat("the metric family '", family->name,
                                  is_histogram ? "' needs buckets" : "' takes no buckets"));
  }
  auto fresh = std::make_unique<TRITONSERVER_Metric>();
  fresh->family = family->name;
  fresh->kind = family->kind;
  for (uint64_t i = 0; i < label_count; ++i) {
    const auto* text = std::get_if<std::string>(&labels[i]->value);
    if (text == nullptr) {
      return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                      tepal::Concat("the label '", labels[i]->name, "' must be a string"));
    }
    fresh->labels.emplace_back(labels[i]->name, *text);
  }
  auto families = Families().Lock();
  FamilyState& state = (*families)[family->name];
  ++state.metric_handles;
  Series& series = state.series[fresh->labels];
  if (is_histogram && series.buckets.empty()) {
    series.bounds = args->bounds;
    series.buckets.resize(series.bounds.size() + 1);
  }
  *metric = fresh.release();
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricDelete(TRITONSERVER_Metric* metric) {
  const std::unique_ptr<TRITONSERVER_Metric> owned(metric);
  auto families = Families().Lock();
  const auto family = families->find(metric->family);
  if (family != families->end()) --family->second.metric_handles;
  return nullptr;
}

TRITONSERVER_Error* TRITONSERVER_MetricValue(TRITONSERVER_Metric* metric, double* value) {
  if (metric->kind == TRITONSERVER_METRIC_KIND_HISTOGRAM)
    return WrongKind(metric, "reading a value");
  return WithSeries(metric, [&](Series& series) -> TRITONSERVER_Error* {
    *value = series.sum;
    return nullptr;
  });
}

TRITONSERVER_Error* TRITONSERVER_MetricIncrement(TRITONSERVER_Metric* metric, double value) {
  if (metric->kind == TRITONSERVER_METRIC_KIND_HISTOGRAM) return WrongKind(metric, "incrementing");
  if (metric->kind == TRITONSERVER_METRIC_KIND_COUNTER && value < 0) {
    return NewError(TRITONSERVER_ERROR_INVALID_ARG,
                    tepal::Concat("the counter '", metric->family, "' cannot go down by ", -value));
  }
  return WithSeries(metric, [&](Series& series) -> TRITONSERVER_Error* {
    series.sum += value;
    return nullptr;
  });
}

TRITONSERVER_Error* TRITONSERVER_MetricSet(TRITONSERVER_Metric* metric, double value) {
  if (metric->kind != TRITONSERVER_METRIC_KIND_GAUGE) return WrongKind(metric, "setting a value");
  return WithSeries(metric, [&](Series& series) -> TRITONSERVER_Error* {
    series.sum = value;
    return nullptr;
  });
}

TRITONSERVER_Error* TRITONSERVER_MetricObserve(TRITONSERVER_Metric* metric, double value) {
  if (metric->kind != TRITONSERVER_METRIC_KIND_HISTOGRAM) return WrongKind(metric, "observing");
  return WithSeries(metric, [&](Series& series) -> TRITONSERVER_Error* {
    const auto bound = std::lower_bound(series.bounds.begin(), series.bounds.end(), value);
    ++series.buckets[static_cast<size_t>(bound - series.bounds.begin())];
    series.sum += value;
    return nullptr;
  });
}

TRITONSERVER_Error* TRITONSERVER_GetMetricKind(TRITONSERVER_Metric* metric,
                                               TRITONSERVER_MetricKind* kind) {
  *kind = metric->kind;
  return nullptr;
}

}  // extern "C"
