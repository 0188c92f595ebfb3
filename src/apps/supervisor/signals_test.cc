#include "apps/supervisor/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::supervisor {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Optional;

constexpr Instant kStart{std::chrono::hours(1)};

AutoscalerConfig Config() {
  AutoscalerConfig config;
  config.in_flight = MetricConfig{.target = 4, .window = 2s};
  config.queue_time = MetricConfig{.target = 50, .window = 30s};
  return config;
}

TrafficReading Traffic(uint64_t in_flight, uint64_t waiting, uint64_t admitted = 0,
                       Duration wait_time = 0s, Duration oldest = 0s) {
  TrafficReading reading;
  reading.in_flight = in_flight;
  reading.waiting = waiting;
  reading.admitted = admitted;
  reading.wait_time = wait_time;
  reading.oldest_wait = oldest;
  return reading;
}

TEST(Signals, SumsTheTwoCountersOverModels) {
  const auto counters = ReadQueueCounters(
      "# TYPE nv_inference_request_success counter\n"
      "nv_inference_request_success{model=\"a\",version=\"1\"} 3\n"
      "nv_inference_request_success{model=\"b\",version=\"1\"} 4\n"
      "nv_inference_queue_duration_us{model=\"a\",version=\"1\"} 100\n"
      "nv_inference_queue_duration_us{model=\"b\",version=\"1\"} 11\n");
  ASSERT_TRUE(counters.ok());
  EXPECT_EQ(counters->request_success, 7);
  EXPECT_EQ(counters->queue_duration_us, 111);
  EXPECT_EQ(ReadQueueCounters("up 1\n").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadQueueCounters("{{{").status().code(), StatusCode::kInvalidArgument);
}

TEST(Signals, RequestsThatWaitAreInFlight) {
  Signals signals(Config());
  EXPECT_EQ(signals.Read({}, kStart)[0].total, std::nullopt);
  signals.AddTraffic(Traffic(4, 2), kStart);
  signals.AddTraffic(Traffic(8, 2), kStart + 1s);
  EXPECT_THAT(signals.Read({}, kStart + 2s)[0].total, Optional(DoubleNear(8, 1e-9)));
}

TEST(Signals, QueueTimeIsTheReplicasMeanAndTheBalancersWait) {
  Signals signals(Config());
  const ReplicaId active[] = {1, 2, 3};
  signals.AddTraffic(Traffic(0, 0), kStart);
  signals.AddReplica(1, {0, 0}, kStart);
  signals.AddReplica(2, {50'000, 4}, kStart);  // First asked when it had worked already.
  signals.AddReplica(9, {1, 1}, kStart);
  signals.AddReplica(1, {100'000, 9}, kStart + 10s);
  signals.AddTraffic(Traffic(0, 0, 19, 100ms), kStart + 10s);
  const autoscaling::MetricReading reading = signals.Read(active, kStart + 10s)[1];
  // 100 ms / (1 + 9) and 50 ms / (1 + 4), each with 100 ms / (1 + 19) of the balancer.
  EXPECT_THAT(reading.replica_values, ElementsAre(DoubleNear(15, 1e-9), DoubleNear(15, 1e-9)));
  EXPECT_EQ(reading.missing_replicas, 1);
}

TEST(Signals, ALineThatDoesNotMoveIsQueueTime) {
  Signals signals(Config());
  const ReplicaId active[] = {1};
  signals.AddReplica(1, {0, 0}, kStart);
  signals.AddTraffic(Traffic(0, 9, 0, 0s, 2s), kStart);
  EXPECT_THAT(signals.Read(active, kStart)[1].replica_values, ElementsAre(DoubleNear(900, 1e-9)));
}

TEST(Signals, OnlyWhatIsConfigured) {
  AutoscalerConfig config;
  config.in_flight = MetricConfig{.target = 4, .window = 2s};
  Signals signals(config);
  EXPECT_FALSE(signals.wants_queue_time());
  EXPECT_EQ(signals.Read({}, kStart).size(), 1u);
}

}  // namespace
}  // namespace tepal::supervisor
