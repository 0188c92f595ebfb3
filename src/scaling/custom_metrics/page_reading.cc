#include "scaling/custom_metrics/page_reading.h"

#include <cmath>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using telemetry::MetricSample;

std::string_view LabelOf(const MetricSample& sample, std::string_view name) {
  for (const auto& [label, value] : sample.labels) {
    if (label == name) return value;
  }
  return {};
}

// Where a family's value goes; false for families of no interest.
bool Take(const MetricSample& sample, ModelReading& model) {
  std::string_view name = sample.name;
  if (name == "tepal_inference_in_flight") {
    model.in_flight = model.in_flight.value_or(0) + sample.value;
    return true;
  }
  if (name == "tepal_instance_busy_us") {
    model.busy_us[Concat(LabelOf(sample, "instance"), "/", LabelOf(sample, "gpu"))] += sample.value;
    return true;
  }
  constexpr std::string_view kPrefix = "nv_inference_";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  if (name == "queue_duration_us") {
    model.queue_us += sample.value;
  } else if (name == "request_success") {
    model.succeeded += sample.value;
  } else if (name == "request_failure") {
    model.failed += sample.value;
  } else if (name == "exec_count") {
    model.executions += sample.value;
  } else if (name == "compute_input_duration_us" || name == "compute_infer_duration_us" ||
             name == "compute_output_duration_us") {
    model.compute_us += sample.value;
  } else if (name == "pending_request_count") {
    model.pending = model.pending.value_or(0) + sample.value;
  } else {
    return false;
  }
  return true;
}

double* CounterOf(std::string_view name, PoolReading& pool) {
  constexpr std::string_view kPrefix = "tepal_balancer_";
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  if (name == "admitted_total") return &pool.admitted;
  if (name == "queue_duration_us") return &pool.wait_us;
  if (name == "queue_timeouts_total" || name == "queue_overflows_total") return &pool.lost;
  if (name == "queue_length") return &pool.waiting;
  if (name == "queue_oldest_age_us") return &pool.oldest_us;
  return nullptr;
}

// "10.0.0.1:8000" or "[::1]:8000".
std::string_view HostOf(std::string_view endpoint) {
  std::string_view host = endpoint.substr(0, endpoint.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

Result<ServerReading> ReadServerPage(const std::vector<MetricSample>& page) {
  ServerReading reading;
  for (const MetricSample& sample : page) {
    if (!std::isfinite(sample.value)) continue;
    const std::string_view model = LabelOf(sample, "model");
    if (model.empty()) continue;
    const std::string_view version = LabelOf(sample, "version");
    ModelReading probe;
    // Most lines of a page are of other families: no entry is made for those.
    if (!Take(sample, probe)) continue;
    const auto [at, added] = reading.try_emplace(Concat(model, "/", version));
    if (added) {
      at->second = std::move(probe);
      at->second.model = model;
      at->second.version = version;
    } else {
      (void)Take(sample, at->second);
    }
  }
  if (reading.empty()) return NotFound("the page has no metrics of a model");
  return reading;
}

Result<BalancerReading> ReadBalancerPage(const std::vector<MetricSample>& page) {
  BalancerReading reading;
  for (const MetricSample& sample : page) {
    if (!std::isfinite(sample.value)) continue;
    PoolReading probe;
    const bool endpoint = sample.name == "tepal_balancer_endpoint_up";
    if (!endpoint && CounterOf(sample.name, probe) == nullptr) continue;
    PoolReading& pool = reading[std::string(LabelOf(sample, "upstream"))];
    if (endpoint) {
      pool.endpoints.emplace(HostOf(LabelOf(sample, "endpoint")));
    } else {
      *CounterOf(sample.name, pool) += sample.value;
    }
  }
  if (reading.empty()) return NotFound("the page has no tepal_balancer_ metrics");
  return reading;
}

}  // namespace tepal::custom_metrics
