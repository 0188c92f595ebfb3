// The metrics page: Triton's nv_inference_* families for every model that is loaded, and its own
// port's handler.
//
// Families, help texts and label order are Triton 2.51's; ours, named tepal_*, follow.

#pragma once

#include <memory>

#include "core/telemetry/metrics.h"
#include "network/http/stream.h"
#include "serving/server_core/server_core.h"

namespace tepal {

// Reads `core` at every scrape; `core` outlives the registry's use.
void AddInferenceMetrics(telemetry::MetricsRegistry& registry, ServerCore& core);

// GET /metrics; anything else is 404 or 405. `registry` outlives the handler.
std::unique_ptr<http::RequestHandler> NewMetricsFrontend(telemetry::MetricsRegistry& registry);

}  // namespace tepal
