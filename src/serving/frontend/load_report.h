// What this server's load is, for balancers that ask in a request.
//
// The ORCA report (xds.data.orca.v3.OrcaLoadReport of github.com/cncf/xds; for gRPC, proposal A51):
// cpu_utilization, rps_fractional, eps and our named metrics tepal_in_flight and tepal_queue_depth.
// Rates are those since the report before, which is at least kReportAge ago; in between, what was
// measured is told again, so that asking in every request costs next to nothing.
// Thread-safe; shared by the doors of every loop.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/function.h"
#include "core/base/guarded.h"
#include "core/base/time.h"
#include "serving/server_core/server_core.h"

namespace tepal {

enum class LoadReportFormat { kText, kJson };

// Of a request's endpoint-load-metrics-format; nothing when it asks for no report, or in a way we
// do not know, as Triton has it.
std::optional<LoadReportFormat> AskedLoadReport(std::optional<std::string_view> header);

// Asked for over gRPC alone, where -bin metadata carries bytes.
bool AsksBinaryLoadReport(std::optional<std::string_view> header);

class LoadReporter {
 public:
  static constexpr Duration kReportAge = 100ms;

  // `processor_time` is what the process has used so far, of `cores` processors; any thread.
  LoadReporter(ServerCore& core, Function<Duration()> processor_time, double cores);

  // The value of endpoint-load-metrics: "TEXT cpu_utilization=0.25,…" or "JSON {…}".
  std::string Text(LoadReportFormat format, Instant now);

  // An OrcaLoadReport, for the trailer endpoint-load-metrics-bin.
  std::string Binary(Instant now);

 private:
  struct Rates {
    double cpu_utilization = 0, requests_per_second = 0, errors_per_second = 0;
    int64_t queue_depth = 0;
  };
  struct Counts {
    Instant at{};
    Duration processor_time{};
    uint64_t answered = 0, failed = 0;
    Rates rates;
  };
  Rates Measure(Instant now);

  ServerCore& core_;
  Function<Duration()> processor_time_;
  const double cores_;
  Guarded<Counts> counts_;
};

}  // namespace tepal
