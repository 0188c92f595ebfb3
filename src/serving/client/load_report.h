// A load report for people, scripts and spreadsheets.

#pragma once

#include <string>
#include <string_view>

#include "serving/client/load_generator.h"
#include "serving/client/plot.h"

namespace tepal::client {

// One JSON object on one line, as `tepal bench --progress` prints each second.
std::string IntervalJson(const LoadInterval& interval);

// The whole report: phases, intervals, totals, failures by reason. Milliseconds and seconds.
std::string ReportJson(const LoadReport& report);

// One row a phase, aligned for a terminal; then what each phase cost, where that was watched.
std::string ReportTable(const LoadReport& report);

// One row a phase with a header row (RFC 4180, no quoting needed).
std::string ReportCsv(const LoadReport& report);

// The table of `tepal mig advise`: a header row, and one a phase in which nothing failed.
inline constexpr std::string_view kMeasurementsHeader =
    "model,profile,concurrency,rate_per_s,throughput_per_s,p50_ms,p99_ms\n";
std::string MeasurementRows(const LoadReport& report, std::string_view model,
                            std::string_view profile);

// Load, throughput and latency over time.
Plot ReportPlot(const LoadReport& report);

}  // namespace tepal::client
