#include "serving/frontend/load_report.h"

#include <utility>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "serving/kserve/proto_writer.h"

namespace tepal {
namespace {

constexpr char kInFlight[] = "tepal_in_flight";
constexpr char kQueueDepth[] = "tepal_queue_depth";

// A model that was unloaded takes its counts with it.
double Rate(uint64_t now, uint64_t before, double seconds) {
  return now > before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

std::string NumberText(double value) {
  std::string text;
  json::AppendDouble(text, value);
  return text;
}

}  // namespace

std::optional<LoadReportFormat> AskedLoadReport(std::optional<std::string_view> header) {
  if (!header.has_value()) return std::nullopt;
  if (EqualsIgnoreCase(*header, "text")) return LoadReportFormat::kText;
  if (EqualsIgnoreCase(*header, "json")) return LoadReportFormat::kJson;
  return std::nullopt;
}

bool AsksBinaryLoadReport(std::optional<std::string_view> header) {
  return header.has_value() && EqualsIgnoreCase(*header, "bin");
}

LoadReporter::LoadReporter(ServerCore& core, Function<Duration()> processor_time, double cores)
    : core_(core), processor_time_(std::move(processor_time)), cores_(cores) {}

LoadReporter::Rates LoadReporter::Measure(Instant now) {
  auto last = counts_.Lock();
  if (last->at != Instant{} && now - last->at < kReportAge) return last->rates;
  Counts fresh;
  fresh.at = now;
  fresh.processor_time = processor_time_();
  for (const auto& model : core_.Served()) {
    const ModelStatisticsSnapshot statistics = model->statistics().Read();
    fresh.failed += statistics.fail.count;
    fresh.answered += statistics.success.count + statistics.fail.count;
    fresh.rates.queue_depth += statistics.pending;
  }
  if (last->at != Instant{}) {
    const double seconds = ToSeconds(now - last->at);
    fresh.rates.cpu_utilization =
        ToSeconds(fresh.processor_time - last->processor_time) / (seconds * cores_);
    fresh.rates.requests_per_second = Rate(fresh.answered, last->answered, seconds);
    fresh.rates.errors_per_second = Rate(fresh.failed, last->failed, seconds);
  }
  *last = fresh;
  return fresh.rates;
}

std::string LoadReporter::Text(LoadReportFormat format, Instant now) {
  const Rates rates = Measure(now);
  const int64_t in_flight = core_.in_flight();
  if (format == LoadReportFormat::kText) {
    return Concat("TEXT cpu_utilization=", NumberText(rates.cpu_utilization),
                  ",rps_fractional=", NumberText(rates.requests_per_second),
                  ",eps=", NumberText(rates.errors_per_second), ",named_metrics.", kInFlight, "=",
                  in_flight, ",named_metrics.", kQueueDepth, "=", rates.queue_depth);
  }
  json::Writer json;
  json.BeginObject().Key("cpu_utilization").Double(rates.cpu_utilization);
  json.Key("rps_fractional").Double(rates.requests_per_second);
  json.Key("eps").Double(rates.errors_per_second);
  json.Key("named_metrics").BeginObject();
  json.Key(kInFlight).Int(in_flight).Key(kQueueDepth).Int(rates.queue_depth).EndObject();
  json.EndObject();
  return Concat("JSON ", json.text());
}

std::string LoadReporter::Binary(Instant now) {
  enum : uint32_t { kCpuUtilization = 1, kRpsFractional = 6, kEps = 7, kNamedMetrics = 8 };
  const Rates rates = Measure(now);
  constexpr size_t kExpected = 128;
  kserve::ByteWriter bytes(kExpected);
  kserve::ProtoWriter out(bytes);
  const auto number = [&out](uint32_t field, double value) {
    if (value != 0) out.Double(field, value);
  };
  const auto named = [&out](std::string_view name, int64_t value) {
    out.Message(kNamedMetrics, [&](kserve::ProtoWriter& entry) {
      entry.Bytes(1, name);
      entry.Double(2, static_cast<double>(value));
    });
  };
  number(kCpuUtilization, rates.cpu_utilization);
  number(kRpsFractional, rates.requests_per_second);
  number(kEps, rates.errors_per_second);
  named(kInFlight, core_.in_flight());
  named(kQueueDepth, rates.queue_depth);
  return std::string(bytes.Take().text());
}

}  // namespace tepal
