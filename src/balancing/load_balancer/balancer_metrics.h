// The balancer's page of metrics: tepal_balancer_*, in Prometheus text.

#pragma once

#include "balancing/load_balancer/balancer_state.h"
#include "core/telemetry/metrics.h"

namespace tepal::lb {

void WriteMetrics(const std::vector<BalancerState>& pools, telemetry::PrometheusWriter& writer);

}  // namespace tepal::lb
