#include "serving/inference/statistics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tepal {
namespace {

TEST(ModelStatisticsTest, StartsAtZero) {
  const ModelStatisticsSnapshot none = ModelStatistics().Read();
  EXPECT_EQ(none.success.count, 0u);
  EXPECT_EQ(none.last_inference_ms, 0u);
  EXPECT_TRUE(none.batches.empty());
  EXPECT_EQ(none.pending, 0);
}

TEST(ModelStatisticsTest, SuccessAddsToEveryPart) {
  ModelStatistics statistics;
  const WallTime ended{std::chrono::milliseconds(1234)};
  statistics.AddSuccess({100ns, 40ns, 10ns, 30ns, 20ns, ended});
  statistics.AddSuccess({200ns, 80ns, 20ns, 60ns, 40ns, ended});
  const ModelStatisticsSnapshot read = statistics.Read();
  EXPECT_EQ(read.success.count, 2u);
  EXPECT_EQ(read.success.ns, 300u);
  EXPECT_EQ(read.queue.count, 2u);
  EXPECT_EQ(read.queue.ns, 120u);
  EXPECT_EQ(read.compute_input.ns, 30u);
  EXPECT_EQ(read.compute_infer.ns, 90u);
  EXPECT_EQ(read.compute_output.ns, 60u);
  EXPECT_EQ(read.last_inference_ms, 1234u);
  EXPECT_EQ(read.fail.count, 0u);
}

TEST(ModelStatisticsTest, KeepsRecentLatenciesWhereAsked) {
  const WallTime now{std::chrono::hours(1)};
  EXPECT_EQ(ModelStatistics().Recent(now), nullptr);
  ModelStatistics statistics(true);
  statistics.AddSuccess({100us, 40us, 5us, 30us, 2us, now});
  const auto recent = statistics.Recent(now + 1s);
  ASSERT_NE(recent, nullptr);
  const auto median = [](const auto& counts) {
    return telemetry::LatencyHistogram::QuantileOf(counts, 0.5);
  };
  EXPECT_NEAR(static_cast<double>(median(recent->total)), 100, 7);
  EXPECT_NEAR(static_cast<double>(median(recent->queue)), 40, 3);
  EXPECT_EQ(median(recent->compute_input), 5);
  EXPECT_NEAR(static_cast<double>(median(recent->compute_infer)), 30, 2);
  EXPECT_EQ(median(recent->compute_output), 2);
  EXPECT_EQ(median(statistics.Recent(now + 61s)->total), 0);
}

TEST(ModelStatisticsTest, WorkSaysHowFarApartRequestsAre) {
  ModelStatistics statistics;
  const Instant now(5s);
  EXPECT_EQ(statistics.Work(now).each, 0ns);
  statistics.AddPending(2);
  statistics.AddInFlight(3);
  ModelStatistics::InstanceTime& first = statistics.Instance("a", {});
  ModelStatistics::InstanceTime& second = statistics.Instance("b", {});
  for (int i = 0; i < 10; ++i) statistics.AddSuccess({});
  first.Add(60ms);
  second.Add(40ms);
  // Measured again when it is old enough.
  EXPECT_EQ(statistics.Work(now + ModelStatistics::kWorkAge - 1ns).each, 0ns);
  const WorkSnapshot work = statistics.Work(now + ModelStatistics::kWorkAge);
  EXPECT_EQ(work.each, 5ms);  // 10 ms of an instance each, and there are two.
  EXPECT_EQ(work.instances, 2u);
  EXPECT_EQ(work.pending, 2);
  EXPECT_EQ(work.in_flight, 3);
  for (int i = 0; i < 1000; ++i) statistics.AddSuccess({});
  first.Add(2s);
  EXPECT_NEAR(ToMilliseconds(statistics.Work(now + 1s).each), 1, 0.1);
  // Nothing new, nothing else.
  EXPECT_NEAR(ToMilliseconds(statistics.Work(now + 9s).each), 1, 0.1);
}

TEST(ModelStatisticsTest, FailuresCountByReason) {
  ModelStatistics statistics;
  statistics.AddFailure(FailureReason::kRejected, 5ns);
  statistics.AddFailure(FailureReason::kRejected, 5ns);
  statistics.AddFailure(FailureReason::kBackend, 7ns);
  const ModelStatisticsSnapshot read = statistics.Read();
  EXPECT_EQ(read.fail.count, 3u);
  EXPECT_EQ(read.fail.ns, 17u);
  EXPECT_EQ(read.failures[static_cast<int>(FailureReason::kRejected)], 2u);
  EXPECT_EQ(read.failures[static_cast<int>(FailureReason::kBackend)], 1u);
  EXPECT_EQ(read.failures[static_cast<int>(FailureReason::kOther)], 0u);
}

TEST(ModelStatisticsTest, ExecutionsCountRowsAndBatchesBySize) {
  ModelStatistics statistics;
  statistics.AddExecution(8, 1ns, 2ns, 3ns);
  statistics.AddExecution(8, 1ns, 2ns, 3ns);
  statistics.AddExecution(24, 4ns, 5ns, 6ns);  // The same bucket as 8.
  const ModelStatisticsSnapshot read = statistics.Read();
  EXPECT_EQ(read.inference_count, 40u);
  EXPECT_EQ(read.execution_count, 3u);
  ASSERT_EQ(read.batches.size(), 2u);
  EXPECT_EQ(read.batches.at(8).compute_infer.count, 2u);
  EXPECT_EQ(read.batches.at(8).compute_infer.ns, 4u);
  EXPECT_EQ(read.batches.at(24).compute_output.ns, 6u);
}

TEST(ModelStatisticsTest, GaugesGoUpAndDownFromDifferentThreads) {
  ModelStatistics statistics;
  statistics.AddPending(2);
  statistics.AddInFlight(2);
  std::thread([&] {
    statistics.AddPending(-1);
    statistics.AddInFlight(-1);
  }).join();
  EXPECT_EQ(statistics.Read().pending, 1);
  EXPECT_EQ(statistics.Read().in_flight, 1);
}

TEST(ModelStatisticsTest, NothingIsLostBetweenWritersAndReaders) {
  constexpr int kThreads = 4, kRounds = 5000;
  ModelStatistics statistics;
  std::atomic<bool> done{false};
  std::thread reader([&] {
    uint64_t before = 0;
    while (!done) {
      const uint64_t now = statistics.Read().execution_count;
      EXPECT_GE(now, before);
      before = now;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        statistics.AddExecution(static_cast<uint64_t>(i % 40 + 1), 1ns, 1ns, 1ns);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();
  const ModelStatisticsSnapshot read = statistics.Read();
  EXPECT_EQ(read.execution_count, static_cast<uint64_t>(kThreads * kRounds));
  uint64_t by_size = 0;
  for (const auto& [rows, batch] : read.batches) by_size += batch.compute_infer.count;
  EXPECT_EQ(by_size, read.execution_count);
  EXPECT_EQ(read.batches.size(), 40u);
}

}  // namespace
}  // namespace tepal
