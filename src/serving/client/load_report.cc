#include "serving/client/load_report.h"

#include <cstdio>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::client {
namespace {

double Milliseconds(int64_t microseconds) { return static_cast<double>(microseconds) / 1000.0; }

void WriteInterval(json::Writer& out, const LoadInterval& interval) {
  out.BeginObject();
  out.Key("begin_s").Double(ToSeconds(interval.begin));
  out.Key("end_s").Double(ToSeconds(interval.end));
  out.Key("phase").Uint(interval.phase);
  out.Key("concurrency").Int(interval.concurrency);
  out.Key("rate_per_s").Double(interval.rate_per_s);
  out.Key("succeeded").Uint(interval.succeeded);
  out.Key("failed").Uint(interval.failed);
  out.Key("in_flight").Int(interval.in_flight);
  out.Key("throughput_per_s").Double(interval.throughput_per_s());
  out.Key("p50_ms").Double(Milliseconds(interval.p50_us));
  out.Key("p90_ms").Double(Milliseconds(interval.p90_us));
  out.Key("p99_ms").Double(Milliseconds(interval.p99_us));
  out.Key("max_ms").Double(Milliseconds(interval.max_us));
  out.EndObject();
}

void WriteIntervals(json::Writer& out, std::string_view key,
                    const std::vector<LoadInterval>& intervals) {
  out.Key(key).BeginArray();
  for (const LoadInterval& interval : intervals) WriteInterval(out, interval);
  out.EndArray();
}

void WriteCost(json::Writer& out, const PhaseCost& cost) {
  out.BeginObject().Key("client_cpu_us").Double(cost.client_cpu_us);
  if (cost.server_cpu_us) out.Key("server_cpu_us").Double(*cost.server_cpu_us);
  if (cost.work) {
    out.Key("rows_per_execution").Double(cost.work->rows_per_execution);
    out.Key("queue_us").Double(cost.work->queue_us);
    out.Key("compute_input_us").Double(cost.work->compute_input_us);
    out.Key("compute_infer_us").Double(cost.work->compute_infer_us);
    out.Key("compute_output_us").Double(cost.work->compute_output_us);
  }
  out.EndObject();
}

std::string LoadText(const LoadInterval& interval) {
  if (interval.rate_per_s > 0) return Concat(interval.rate_per_s, "/s");
  return interval.concurrency > 0 ? Concat(interval.concurrency, " clients") : "pause";
}

// Empty where nothing is known.
std::string Cell(const std::optional<double>& value, const char* format) {
  char text[40] = "-";
  if (value) std::snprintf(text, sizeof(text), format, *value);
  return text;
}

std::string CostTable(const LoadReport& report) {
  if (report.costs.empty()) return "";
  std::string table =
      "\n                CPU us/request      by the server's statistics, us/request\n"
      "load              client   server   queue   input   infer  output  rows/execution\n";
  char row[200];
  for (size_t i = 0; i < report.costs.size(); ++i) {
    const PhaseCost& cost = report.costs[i];
    const auto work = [&](double PhaseCost::Work::*member) {
      return cost.work ? std::optional<double>(*cost.work.*member) : std::nullopt;
    };
    std::snprintf(row, sizeof(row), "%-14s %9.1f %8s %7s %7s %7s %7s %15s\n",
                  LoadText(report.phases[i]).c_str(), cost.client_cpu_us,
                  Cell(cost.server_cpu_us, "%.1f").c_str(),
                  Cell(work(&PhaseCost::Work::queue_us), "%.0f").c_str(),
                  Cell(work(&PhaseCost::Work::compute_input_us), "%.0f").c_str(),
                  Cell(work(&PhaseCost::Work::compute_infer_us), "%.0f").c_str(),
                  Cell(work(&PhaseCost::Work::compute_output_us), "%.0f").c_str(),
                  Cell(work(&PhaseCost::Work::rows_per_execution), "%.2f").c_str());
    table += row;
  }
  return table;
}

std::string CostCells(const LoadReport& report, size_t phase) {
  if (phase >= report.costs.size()) return ",,,,,";
  const PhaseCost& cost = report.costs[phase];
  std::string cells = Concat(",", cost.client_cpu_us, ",");
  if (cost.server_cpu_us) cells += Concat(*cost.server_cpu_us);
  if (!cost.work) return cells + ",,,";
  return Concat(cells, ",", cost.work->queue_us, ",", cost.work->compute_infer_us, ",",
                cost.work->rows_per_execution);
}

}  // namespace

std::string IntervalJson(const LoadInterval& interval) {
  json::Writer out;
  WriteInterval(out, interval);
  return out.Take();
}

std::string ReportJson(const LoadReport& report) {
  json::Writer out;
  out.BeginObject();
  out.Key("succeeded").Uint(report.succeeded);
  out.Key("failed").Uint(report.failed);
  out.Key("failures").BeginObject();
  for (const auto& [reason, count] : report.failures) out.Key(reason).Uint(count);
  out.EndObject();
  WriteIntervals(out, "phases", report.phases);
  if (!report.costs.empty()) {
    out.Key("costs_per_request").BeginArray();
    for (const PhaseCost& cost : report.costs) WriteCost(out, cost);
    out.EndArray();
  }
  WriteIntervals(out, "intervals", report.intervals);
  out.EndObject();
  return out.Take();
}

std::string ReportTable(const LoadReport& report) {
  std::string table =
      "load            seconds   requests   failed        req/s    p50 ms    p90 ms    p99 ms    "
      "max ms\n";
  char row[200];
  for (const LoadInterval& phase : report.phases) {
    std::snprintf(row, sizeof(row), "%-14s %8.1f %10llu %8llu %12.1f %9.2f %9.2f %9.2f %9.2f\n",
                  LoadText(phase).c_str(), ToSeconds(phase.end - phase.begin),
                  static_cast<unsigned long long>(phase.succeeded + phase.failed),
                  static_cast<unsigned long long>(phase.failed), phase.throughput_per_s(),
                  Milliseconds(phase.p50_us), Milliseconds(phase.p90_us),
                  Milliseconds(phase.p99_us), Milliseconds(phase.max_us));
    table += row;
  }
  table += CostTable(report);
  for (const auto& [reason, count] : report.failures) {
    table += Concat("failed ", count, " times: ", reason, "\n");
  }
  return table;
}

std::string ReportCsv(const LoadReport& report) {
  std::string csv =
      "concurrency,rate_per_s,seconds,succeeded,failed,throughput_per_s,p50_ms,p90_ms,p99_ms,"
      "max_ms,client_cpu_us,server_cpu_us,queue_us,compute_infer_us,rows_per_execution\n";
  for (size_t i = 0; i < report.phases.size(); ++i) {
    const LoadInterval& phase = report.phases[i];
    csv += Concat(phase.concurrency, ",", phase.rate_per_s, ",", ToSeconds(phase.end - phase.begin),
                  ",", phase.succeeded, ",", phase.failed, ",", phase.throughput_per_s(), ",",
                  Milliseconds(phase.p50_us), ",", Milliseconds(phase.p90_us), ",",
                  Milliseconds(phase.p99_us), ",", Milliseconds(phase.max_us), CostCells(report, i),
                  "\n");
  }
  return csv;
}

std::string MeasurementRows(const LoadReport& report, std::string_view model,
                            std::string_view profile) {
  std::string rows;
  for (const LoadInterval& phase : report.phases) {
    if (phase.failed > 0 || phase.succeeded == 0) continue;
    rows += Concat(model, ",", profile, ",", phase.concurrency, ",", phase.rate_per_s, ",",
                   phase.throughput_per_s(), ",", Milliseconds(phase.p50_us), ",",
                   Milliseconds(phase.p99_us), "\n");
  }
  return rows;
}

Plot ReportPlot(const LoadReport& report) {
  PlotPanel load{"load (clients or requests/s)", {{"load", kGreen, {}}}};
  PlotPanel throughput{"answers/s", {{"succeeded", kBlue, {}}, {"failed", kRed, {}}}};
  PlotPanel latency{"latency (ms)", {{"p50", kBlue, {}}, {"p99", kOrange, {}}}};
  Plot plot{"seconds", {}, {}};
  for (const LoadInterval& interval : report.intervals) {
    const double seconds = ToSeconds(interval.end - interval.begin);
    plot.x.push_back(ToSeconds(interval.end));
    load.series[0].values.push_back(interval.rate_per_s > 0 ? interval.rate_per_s
                                                            : interval.concurrency);
    throughput.series[0].values.push_back(interval.throughput_per_s());
    throughput.series[1].values.push_back(
        seconds <= 0 ? 0 : static_cast<double>(interval.failed) / seconds);
    latency.series[0].values.push_back(Milliseconds(interval.p50_us));
    latency.series[1].values.push_back(Milliseconds(interval.p99_us));
  }
  plot.panels = {std::move(load), std::move(throughput), std::move(latency)};
  return plot;
}

}  // namespace tepal::client
