// A load report for people, scripts and spreadsheets.

#pragma once

#include <string>

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

// Load, throughput and latency over time.
Plot ReportPlot(const LoadReport& report);

}  // namespace tepal::client
