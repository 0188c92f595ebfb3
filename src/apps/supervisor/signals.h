// From readings of the balancer and the replicas to what the autoscaler is asked with.
//
// Time that requests wait in the balancer counts as queue time, and requests that wait there as in
// flight: otherwise either signal would say that all is well while users wait. A plain state
// machine without a clock; owned by one thread.

#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "apps/supervisor/config.h"
#include "apps/supervisor/replica_set.h"
#include "apps/supervisor/traffic.h"
#include "scaling/autoscaling/metric_window.h"
#include "scaling/autoscaling/recommendation.h"

namespace tepal::supervisor {

// The recipe's two counters, summed over the models of a replica.
struct QueueCounters {
  double queue_duration_us = 0;  // nv_inference_queue_duration_us
  double request_success = 0;    // nv_inference_request_success
};

// From a replica's page of metrics; kInvalidArgument when it is malformed, kNotFound when it has
// neither counter.
Result<QueueCounters> ReadQueueCounters(std::string_view metrics_page);

class Signals {
 public:
  explicit Signals(const AutoscalerConfig& config);

  bool wants_queue_time() const { return queue_time_.has_value(); }

  void AddTraffic(const TrafficReading& traffic, Instant now);
  void AddReplica(ReplicaId replica, const QueueCounters& counters, Instant now);

  // `active` are the replicas that there should be a value of; what is known of others is dropped.
  std::vector<autoscaling::MetricReading> Read(std::span<const ReplicaId> active, Instant now);

 private:
  autoscaling::MetricReading ReadQueueTime(std::span<const ReplicaId> active, Instant now);
  double BalancerQueueMs(Instant now) const;

  std::optional<MetricConfig> in_flight_;
  std::optional<MetricConfig> queue_time_;
  autoscaling::GaugeWindow in_flight_window_;
  autoscaling::CounterWindow wait_us_;
  autoscaling::CounterWindow admitted_;
  double waiting_ = 0;
  Duration oldest_wait_{};
  std::map<ReplicaId, autoscaling::QueueTimeWindow> replicas_;
};

}  // namespace tepal::supervisor
