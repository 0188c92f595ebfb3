#include "serving/frontend/http/metrics_page.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/status_map.h"

namespace tepal {
namespace {

using telemetry::Labels;
using telemetry::PrometheusWriter;

struct Row {
  Labels labels;
  ModelStatisticsSnapshot statistics;
  std::unique_ptr<RecentLatencies> recent;
};

constexpr uint64_t kNanosecondsPerMicrosecond = 1000;

struct CounterFamily {
  std::string_view name;
  std::string_view help;
  uint64_t (*value)(const ModelStatisticsSnapshot&);
};

constexpr CounterFamily kSuccess = {
    "nv_inference_request_success", "Number of successful inference requests, all batch sizes",
    [](const ModelStatisticsSnapshot& s) { return s.success.count; }};

constexpr CounterFamily kCounts[] = {
    {"nv_inference_count", "Number of inferences performed (does not include cached requests)",
     [](const ModelStatisticsSnapshot& s) { return s.inference_count; }},
    {"nv_inference_exec_count",
     "Number of model executions performed (does not include cached requests)",
     [](const ModelStatisticsSnapshot& s) { return s.execution_count; }},
};

constexpr CounterFamily kDurations[] = {
    {"nv_inference_request_duration_us",
     "Cumulative inference request duration in microseconds (includes cached requests)",
     [](const ModelStatisticsSnapshot& s) { return s.success.ns / kNanosecondsPerMicrosecond; }},
    {"nv_inference_queue_duration_us",
     "Cumulative inference queuing duration in microseconds (includes cached requests)",
     [](const ModelStatisticsSnapshot& s) { return s.queue.ns / kNanosecondsPerMicrosecond; }},
    {"nv_inference_compute_input_duration_us",
     "Cumulative compute input duration in microseconds (does not include cached requests)",
     [](const ModelStatisticsSnapshot& s) {
       return s.compute_input.ns / kNanosecondsPerMicrosecond;
     }},
    {"nv_inference_compute_infer_duration_us",
     "Cumulative compute inference duration in microseconds (does not include cached requests)",
     [](const ModelStatisticsSnapshot& s) {
       return s.compute_infer.ns / kNanosecondsPerMicrosecond;
     }},
    {"nv_inference_compute_output_duration_us",
     "Cumulative inference compute output duration in microseconds (does not include cached "
     "requests)",
     [](const ModelStatisticsSnapshot& s) {
       return s.compute_output.ns / kNanosecondsPerMicrosecond;
     }},
};

struct SummaryFamily {
  std::string_view name;
  std::string_view help;
  CountAndTime ModelStatisticsSnapshot::*sum;
  telemetry::LatencyWindow::Counts RecentLatencies::*recent;
};

constexpr SummaryFamily kSummaries[] = {
    {"nv_inference_request_summary_us",
     "Summary of inference request duration in microseconds (includes cached requests)",
     &ModelStatisticsSnapshot::success, &RecentLatencies::total},
    {"nv_inference_queue_summary_us",
     "Summary of inference queuing duration in microseconds (includes cached requests)",
     &ModelStatisticsSnapshot::queue, &RecentLatencies::queue},
    {"nv_inference_compute_input_summary_us",
     "Cumulative compute input duration in microseconds (does not include cached requests)",
     &ModelStatisticsSnapshot::compute_input, &RecentLatencies::compute_input},
    {"nv_inference_compute_infer_summary_us",
     "Cumulative compute inference duration in microseconds (does not include cached requests)",
     &ModelStatisticsSnapshot::compute_infer, &RecentLatencies::compute_infer},
    {"nv_inference_compute_output_summary_us",
     "Cumulative inference compute output duration in microseconds (does not include cached "
     "requests)",
     &ModelStatisticsSnapshot::compute_output, &RecentLatencies::compute_output},
};

constexpr std::pair<FailureReason, std::string_view> kReasons[] = {
    {FailureReason::kRejected, "REJECTED"},
    {FailureReason::kCanceled, "CANCELED"},
    {FailureReason::kBackend, "BACKEND"},
    {FailureReason::kOther, "OTHER"},
};

Labels WithLabel(Labels labels, std::string_view name, std::string_view value) {
  labels.emplace_back(name, value);
  std::sort(labels.begin(), labels.end());
  return labels;
}

std::vector<Row> ReadModels(ServerCore& core, WallTime now) {
  std::vector<Row> rows;
  for (const auto& model : core.Served()) {
    Labels labels = {{"model", model->name()}, {"version", std::to_string(model->version())}};
    for (const auto& [name, value] : model->config().metric_tags) labels.emplace_back(name, value);
    std::sort(labels.begin(), labels.end());
    rows.push_back(
        {std::move(labels), model->statistics().Read(), model->statistics().Recent(now)});
  }
  return rows;
}

void WriteCounter(PrometheusWriter& out, const CounterFamily& family,
                  const std::vector<Row>& rows) {
  out.Family(family.name, family.help, PrometheusWriter::Type::kCounter);
  for (const Row& row : rows) out.Sample(row.labels, family.value(row.statistics));
}

void WriteFailures(PrometheusWriter& out, const std::vector<Row>& rows) {
  out.Family("nv_inference_request_failure", "Number of failed inference requests, all batch sizes",
             PrometheusWriter::Type::kCounter);
  for (const Row& row : rows) {
    for (const auto& [reason, name] : kReasons) {
      out.Sample(WithLabel(row.labels, "reason", name),
                 row.statistics.failures[static_cast<int>(reason)]);
    }
  }
}

void WriteGauges(PrometheusWriter& out, const std::vector<Row>& rows) {
  out.Family("nv_inference_pending_request_count",
             "Instantaneous number of pending requests awaiting execution per-model.",
             PrometheusWriter::Type::kGauge);
  for (const Row& row : rows) out.Sample(row.labels, row.statistics.pending);
  out.Family("tepal_inference_in_flight",
             "Requests given to the scheduler and not answered yet, per model.",
             PrometheusWriter::Type::kGauge);
  for (const Row& row : rows) out.Sample(row.labels, row.statistics.in_flight);
}

void WriteSummary(PrometheusWriter& out, const SummaryFamily& family, const std::vector<Row>& rows,
                  const std::vector<double>& quantiles) {
  using telemetry::LatencyHistogram;
  out.Family(family.name, family.help, PrometheusWriter::Type::kSummary);
  for (const Row& row : rows) {
    if (row.recent == nullptr) continue;
    const CountAndTime& sum = row.statistics.*family.sum;
    out.SuffixedSample("_count", row.labels, sum.count);
    out.SuffixedSample("_sum", row.labels, sum.ns / kNanosecondsPerMicrosecond);
    const telemetry::LatencyWindow::Counts& counts = (*row.recent).*family.recent;
    const bool empty = std::all_of(counts.begin(), counts.end(), [](uint64_t n) { return n == 0; });
    for (const double q : quantiles) {
      Labels labels = row.labels;
      labels.emplace_back("quantile", Concat(q));
      out.Sample(labels, empty ? std::numeric_limits<double>::quiet_NaN()
                               : static_cast<double>(LatencyHistogram::QuantileOf(counts, q)));
    }
  }
}

// Wall time, so that it tells the load of a part of a GPU too, of which nothing else does.
void WriteInstances(PrometheusWriter& out, const std::vector<Row>& rows) {
  const auto write = [&](std::string_view name, std::string_view help,
                         uint64_t (*value)(const InstanceSnapshot&)) {
    out.Family(name, help, PrometheusWriter::Type::kCounter);
    for (const Row& row : rows) {
      for (const InstanceSnapshot& instance : row.statistics.instances) {
        Labels labels = WithLabel(row.labels, "instance", instance.name);
        if (instance.gpu) labels = WithLabel(std::move(labels), "gpu", Concat(*instance.gpu));
        out.Sample(labels, value(instance));
      }
    }
  };
  write("tepal_instance_busy_us",
        "Cumulative microseconds in which the model instance was executing a batch.",
        [](const InstanceSnapshot& i) { return i.busy_ns / kNanosecondsPerMicrosecond; });
  write("tepal_instance_executions", "Batches that the model instance has executed.",
        [](const InstanceSnapshot& i) { return i.executions; });
}

class MetricsFrontend final : public http::RequestHandler {
 public:
  explicit MetricsFrontend(telemetry::MetricsRegistry& registry) : registry_(registry) {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    const int refusal = head.path() != "/metrics" ? 404 : head.method != "GET" ? 405 : 0;
    constexpr uint64_t kBodyBytesMax = 1 << 20;  // Of a body nobody wants.
    return std::make_unique<http::CollectingRequest>(
        head, kBodyBytesMax, sender, [this, refusal, &sender](Buffer) {
          if (refusal != 0) {
            http::RespondError(sender, refusal,
                               refusal == 404 ? "Not Found" : "Method Not Allowed");
            return;
          }
          http::ResponseHead answer;
          answer.headers.Add("content-type", "text/plain; charset=utf-8");
          BufferList body = {Buffer::Copy(registry_.Text())};
          sender.Respond(std::move(answer), std::move(body));
        });
  }

 private:
  telemetry::MetricsRegistry& registry_;
};

}  // namespace

void AddInferenceMetrics(telemetry::MetricsRegistry& registry, ServerCore& core,
                         const env::Clock& clock, const LatencyMetrics& latencies) {
  registry.Add([&core, &clock, latencies](PrometheusWriter& out) {
    const std::vector<Row> rows = ReadModels(core, clock.WallNow());
    WriteCounter(out, kSuccess, rows);
    WriteFailures(out, rows);
    for (const CounterFamily& family : kCounts) WriteCounter(out, family, rows);
    if (latencies.counters) {
      for (const CounterFamily& family : kDurations) WriteCounter(out, family, rows);
    }
    WriteGauges(out, rows);
    if (latencies.summaries) {
      for (const SummaryFamily& family : kSummaries) {
        WriteSummary(out, family, rows, latencies.quantiles);
      }
    }
    WriteInstances(out, rows);
  });
}

std::unique_ptr<http::RequestHandler> NewMetricsFrontend(telemetry::MetricsRegistry& registry) {
  return std::make_unique<MetricsFrontend>(registry);
}

}  // namespace tepal
