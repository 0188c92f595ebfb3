// What a page of metrics says about inference: of a server (Tepal's or Triton's), of Tepal's
// balancer.
//
// Plain values of one moment; windows are inference_signals.h's. Pure.

#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/telemetry/metrics.h"

namespace tepal::custom_metrics {

// Of one model version. Counters are since the server's start.
struct ModelReading {
  std::string model, version;
  double queue_us = 0;                    // nv_inference_queue_duration_us
  double succeeded = 0;                   // nv_inference_request_success
  double failed = 0;                      // nv_inference_request_failure, all reasons.
  double executions = 0;                  // nv_inference_exec_count
  double compute_us = 0;                  // nv_inference_compute_{input,infer,output}_duration_us
  std::optional<double> pending;          // nv_inference_pending_request_count
  std::optional<double> in_flight;        // tepal_inference_in_flight
  std::map<std::string, double> busy_us;  // tepal_instance_busy_us by instance.
};

// By "model/version".
using ServerReading = std::map<std::string, ModelReading>;

// Of one upstream of a balancer.
struct PoolReading {
  double admitted = 0;              // tepal_balancer_admitted_total
  double wait_us = 0;               // tepal_balancer_queue_duration_us
  double lost = 0;                  // tepal_balancer_queue_{timeouts,overflows}_total
  double waiting = 0;               // tepal_balancer_queue_length
  double oldest_us = 0;             // tepal_balancer_queue_oldest_age_us
  std::set<std::string> endpoints;  // Hosts of tepal_balancer_endpoint_up, without ports.
};
using BalancerReading = std::map<std::string, PoolReading>;

// kNotFound when the page has none of these families: no model is loaded, or it is another's page.
Result<ServerReading> ReadServerPage(const std::vector<telemetry::MetricSample>& page);
Result<BalancerReading> ReadBalancerPage(const std::vector<telemetry::MetricSample>& page);

}  // namespace tepal::custom_metrics
