// The metrics page: Triton's nv_inference_* families for every model that is loaded, and its own
// port's handler.
//
// Families, help texts and label order are Triton 2.51's; ours, named tepal_*, follow. Quantiles
// are those of the last minute, as Triton's, but within 6 % of the value instead of an error in
// rank; sums and counts are exact.

#pragma once

#include <memory>
#include <vector>

#include "core/env/clock.h"
#include "core/telemetry/metrics.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

// What --metrics-config chooses.
struct LatencyMetrics {
  bool counters = true;
  bool summaries = false;  // Of models whose latencies the core keeps.
  std::vector<double> quantiles = {0.5, 0.9, 0.95, 0.99, 0.999};
};

// Reads `core` at every scrape; it and the clock outlive the registry's use.
void AddInferenceMetrics(telemetry::MetricsRegistry& registry, ServerCore& core,
                         const env::Clock& clock, const LatencyMetrics& latencies = {});

// GET /metrics; anything else is 404 or 405. `registry` outlives the handler.
std::unique_ptr<http::RequestHandler> NewMetricsFrontend(telemetry::MetricsRegistry& registry);

}  // namespace tepal
