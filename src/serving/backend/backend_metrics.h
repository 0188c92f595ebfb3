// The metrics that backends make for themselves, for the page that the server's metrics are on.

#pragma once

#include "core/telemetry/metrics.h"

namespace tepal {

// Writes every family that some backend keeps alive. Thread-safe. The families are the process's,
// because the C interface makes them without saying for which server.
void CollectBackendMetrics(telemetry::PrometheusWriter& writer);

}  // namespace tepal
