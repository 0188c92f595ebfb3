#include "apps/supervisor/signals.h"

#include <algorithm>
#include <utility>

#include "core/telemetry/metrics.h"

namespace tepal::supervisor {
namespace {

constexpr Duration kDefaultWindow = 30s;

Duration WindowOf(const std::optional<MetricConfig>& metric) {
  return metric.has_value() ? metric->window : kDefaultWindow;
}

}  // namespace

Result<QueueCounters> ReadQueueCounters(std::string_view metrics_page) {
  ASSIGN_OR_RETURN(const std::vector<telemetry::MetricSample> samples,
                   telemetry::ParsePrometheusText(metrics_page));
  QueueCounters counters;
  bool found = false;
  for (const telemetry::MetricSample& sample : samples) {
    if (sample.name == "nv_inference_queue_duration_us") {
      counters.queue_duration_us += sample.value;
      found = true;
    } else if (sample.name == "nv_inference_request_success") {
      counters.request_success += sample.value;
      found = true;
    }
  }
  if (!found) return NotFound("the page has no nv_inference_queue_duration_us");
  return counters;
}

Signals::Signals(const AutoscalerConfig& config)
    : in_flight_(config.in_flight),
      queue_time_(config.queue_time),
      in_flight_window_(WindowOf(config.in_flight)),
      wait_us_(WindowOf(config.queue_time)),
      admitted_(WindowOf(config.queue_time)) {}

void Signals::AddTraffic(const TrafficReading& traffic, Instant now) {
  in_flight_window_.Add(now, static_cast<double>(traffic.in_flight + traffic.waiting));
  wait_us_.Add(now, static_cast<double>(ToMicroseconds(traffic.wait_time)));
  admitted_.Add(now, static_cast<double>(traffic.admitted));
  waiting_ = static_cast<double>(traffic.waiting);
  oldest_wait_ = traffic.oldest_wait;
}

void Signals::AddReplica(ReplicaId replica, const QueueCounters& counters, Instant now) {
  const auto [window, added] =
      replicas_.try_emplace(replica, autoscaling::QueueTimeWindow(WindowOf(queue_time_)));
  // A new replica's counters begin at 0, whenever it is first asked.
  if (added) window->second.Add(now, 0, 0);
  window->second.Add(now, counters.queue_duration_us, counters.request_success);
}

std::vector<autoscaling::MetricReading> Signals::Read(std::span<const ReplicaId> active,
                                                      Instant now) {
  std::vector<autoscaling::MetricReading> readings;
  if (in_flight_.has_value()) {
    readings.push_back({.name = "in flight",
                        .unit = "",
                        .target = in_flight_->target,
                        .total = in_flight_window_.Mean(now),
                        .replica_values = {},
                        .missing_replicas = 0});
  }
  if (queue_time_.has_value()) readings.push_back(ReadQueueTime(active, now));
  return readings;
}

autoscaling::MetricReading Signals::ReadQueueTime(std::span<const ReplicaId> active, Instant now) {
  std::erase_if(replicas_, [active](const auto& entry) {
    return std::find(active.begin(), active.end(), entry.first) == active.end();
  });
  autoscaling::MetricReading reading{.name = "queue",
                                     .unit = "ms",
                                     .target = queue_time_->target,
                                     .total = std::nullopt,
                                     .replica_values = {},
                                     .missing_replicas = 0};
  const double balancer_ms = BalancerQueueMs(now);
  for (const ReplicaId replica : active) {
    const auto found = replicas_.find(replica);
    const std::optional<double> own_us =
        found == replicas_.end() ? std::nullopt : found->second.MeanUs(now);
    if (own_us.has_value()) {
      reading.replica_values.push_back(*own_us / 1000 + balancer_ms);
    } else {
      ++reading.missing_replicas;
    }
  }
  return reading;
}

// The recipe's formula over the balancer's own line. Those who wait now are in it with half of the
// longest wait, so that a line that does not move is seen as well.
double Signals::BalancerQueueMs(Instant now) const {
  const double waited_us = wait_us_.Increase(now).value_or(0) +
                           waiting_ * static_cast<double>(ToMicroseconds(oldest_wait_)) / 2;
  return waited_us / (1 + admitted_.Increase(now).value_or(0) + waiting_) / 1000;
}

}  // namespace tepal::supervisor
