#include "serving/scheduling/dynamic_batcher.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

const Instant kStart{std::chrono::seconds(1000)};

std::unique_ptr<InferenceRequest> Request(const std::string& id, int64_t rows = 1,
                                          int64_t width = 16) {
  auto request = std::make_unique<InferenceRequest>();
  request->id = id;
  request->batch_rows = rows;
  InputTensor& input = request->inputs.emplace_back();
  input.name = "INPUT0";
  input.type = DataType::kFp32;
  input.shape = {rows, width};
  return request;
}

std::string Ids(const Batch& batch) {
  std::string ids;
  for (const auto& request : batch) ids += request->id;
  return ids;
}

BatcherOptions Sharing(int64_t rows_max, Duration delay) {
  BatcherOptions options;
  options.batches = options.shares_batches = true;
  options.batch_rows_max = rows_max;
  options.queue_delay_max = delay;
  return options;
}

TEST(DynamicBatcherTest, WithoutDynamicBatchingEachRequestIsABatch) {
  BatcherOptions options;
  options.batches = true;
  options.batch_rows_max = 8;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b"), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "a");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "b");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "");
  EXPECT_FALSE(batcher.NextDeadline().has_value());
}

TEST(DynamicBatcherTest, WithoutDelayTakesWhatIsThere) {
  DynamicBatcher batcher(Sharing(4, 0ns));
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    ASSERT_TRUE(batcher.Enqueue(Request(id), kStart).ok());
  }
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "abcd");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "e");
}

TEST(DynamicBatcherTest, WaitsForTheDelayOfTheOldest) {
  DynamicBatcher batcher(Sharing(4, 100us));
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b"), kStart + 60us).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 99us)), "");
  EXPECT_EQ(batcher.NextDeadline(), kStart + 100us);
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 100us)), "ab");
}

TEST(DynamicBatcherTest, AFullBatchGoesAtOnce) {
  DynamicBatcher batcher(Sharing(4, 100us));
  ASSERT_TRUE(batcher.Enqueue(Request("a", 3), kStart).ok());
  EXPECT_NE(batcher.NextBatch(), Instant::min());
  ASSERT_TRUE(batcher.Enqueue(Request("b", 2), kStart).ok());  // Does not fit: nothing can join.
  EXPECT_EQ(batcher.NextBatch(), Instant::min());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "a");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "");
}

TEST(DynamicBatcherTest, APreferredSizeGoesAtOnce) {
  BatcherOptions options = Sharing(16, 100us);
  options.preferred_batch_rows = {4, 8};
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a", 3), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "");
  ASSERT_TRUE(batcher.Enqueue(Request("b", 1), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("c", 1), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "ab");  // Four rows; the fifth waits.
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "");
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 100us)), "c");
}

TEST(DynamicBatcherTest, PastTheLargestPreferredSizeItGoesToo) {
  BatcherOptions options = Sharing(16, 100us);
  options.preferred_batch_rows = {4};
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a", 3), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b", 3), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "a");
  ASSERT_TRUE(batcher.Enqueue(Request("c", 6), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "b");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "c");
}

TEST(DynamicBatcherTest, ShapesThatDifferDoNotMix) {
  DynamicBatcher batcher(Sharing(8, 0ns));
  ASSERT_TRUE(batcher.Enqueue(Request("a", 1, 16), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b", 2, 16), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("c", 1, 32), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("d", 1, 16), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "ab");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "c");
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "d");
}

TEST(DynamicBatcherTest, RaggedInputsMix) {
  BatcherOptions options = Sharing(8, 0ns);
  options.ragged_inputs = {"INPUT0"};
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a", 1, 16), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b", 1, 32), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "ab");
}

TEST(DynamicBatcherTest, HigherPriorityLeavesFirst) {
  BatcherOptions options = Sharing(8, 0ns);
  options.shares_batches = false;
  options.priority_levels = 3;
  options.priority_level_default = 2;
  DynamicBatcher batcher(options);
  for (const auto& [id, priority] : {std::pair("l", 3), {"d", 0}, {"h", 1}, {"x", 9}, {"g", 1}}) {
    auto request = Request(id);
    request->priority = static_cast<uint64_t>(priority);
    ASSERT_TRUE(batcher.Enqueue(std::move(request), kStart).ok());
  }
  std::string order;
  while (!batcher.empty()) order += Ids(batcher.PopDue(kStart));
  EXPECT_EQ(order, "hgdxl");  // An unknown priority is the default one.
}

TEST(DynamicBatcherTest, RefusesWhenTheQueueIsFull) {
  BatcherOptions options = Sharing(8, 100us);
  options.queue_policy_default.max_queue_size = 2;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b"), kStart).ok());
  auto refused = Request("42");
  const Status status = batcher.Enqueue(std::move(refused), kStart).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "[request id: 42] Exceeds maximum queue size");
  EXPECT_NE(refused, nullptr);
  EXPECT_EQ(batcher.size(), 2u);
}

TEST(DynamicBatcherTest, RefusesMoreRowsThanABatchTakes) {
  DynamicBatcher batcher(Sharing(8, 0ns));
  auto request = Request("a", 9);
  EXPECT_EQ(batcher.Enqueue(std::move(request), kStart).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_NE(request, nullptr);
}

TEST(DynamicBatcherTest, RejectsWhenTheTimeoutComes) {
  BatcherOptions options = Sharing(8, 0ns);
  options.queue_policy_default.default_timeout_us = 50;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  EXPECT_EQ(batcher.NextExpiry(), kStart + 50us);
  EXPECT_TRUE(batcher.TakeExpired(kStart + 49us).empty());
  const auto expired = batcher.TakeExpired(kStart + 50us);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].request->id, "a");
  EXPECT_EQ(expired[0].status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(expired[0].status.message(), "Request timeout expired");
  EXPECT_EQ(expired[0].reason, FailureReason::kRejected);
  EXPECT_TRUE(batcher.empty());
}

TEST(DynamicBatcherTest, APoppedBatchHoldsNothingExpired) {
  BatcherOptions options = Sharing(8, 0ns);
  options.queue_policy_default.default_timeout_us = 50;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b"), kStart + 30us).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 60us)), "b");
  EXPECT_EQ(batcher.NextExpiry(), Instant::min());  // "a" still wants its answer.
  EXPECT_EQ(batcher.TakeExpired(kStart + 60us).size(), 1u);
}

TEST(DynamicBatcherTest, DelayedRequestsComeAfterTheirLevel) {
  BatcherOptions options = Sharing(8, 0ns);
  options.shares_batches = false;
  options.queue_policy_default.default_timeout_us = 50;
  options.queue_policy_default.timeout_action = QueuePolicy::TimeoutAction::kDelay;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  ASSERT_TRUE(batcher.Enqueue(Request("b"), kStart + 40us).ok());
  EXPECT_TRUE(batcher.TakeExpired(kStart + 50us).empty());
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 50us)), "b");
  EXPECT_EQ(Ids(batcher.PopDue(kStart + 50us)), "a");
}

TEST(DynamicBatcherTest, ARequestMayShortenItsWaitWhenAllowed) {
  for (const bool allowed : {false, true}) {
    BatcherOptions options = Sharing(8, 0ns);
    options.queue_policy_default.default_timeout_us = 50;
    options.queue_policy_default.allow_timeout_override = allowed;
    DynamicBatcher batcher(options);
    auto shorter = Request("a");
    shorter->timeout_us = 20;
    ASSERT_TRUE(batcher.Enqueue(std::move(shorter), kStart).ok());
    EXPECT_EQ(batcher.NextExpiry(), kStart + (allowed ? 20us : 50us));
    (void)batcher.TakeExpired(kStart + 50us);
    auto longer = Request("b");
    longer->timeout_us = 90;
    ASSERT_TRUE(batcher.Enqueue(std::move(longer), kStart).ok());
    EXPECT_EQ(batcher.NextExpiry(), kStart + 50us);
  }
}

TEST(DynamicBatcherTest, AHugeTimeoutIsNone) {
  BatcherOptions options = Sharing(8, 0ns);
  options.queue_policy_default.default_timeout_us = UINT64_MAX;
  DynamicBatcher batcher(options);
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "a");
}

TEST(DynamicBatcherTest, TheRequestsOwnDeadlineEndsItsWait) {
  DynamicBatcher batcher(Sharing(8, 1s));
  auto request = Request("a");
  request->deadline = kStart + 10ms;
  ASSERT_TRUE(batcher.Enqueue(std::move(request), kStart).ok());
  EXPECT_EQ(batcher.NextDeadline(), kStart + 10ms);
  const auto expired = batcher.TakeExpired(kStart + 10ms);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].status.code(), StatusCode::kDeadlineExceeded);
}

TEST(DynamicBatcherTest, CancelTakesOutOnceAndOnlyThat) {
  DynamicBatcher batcher(Sharing(8, 0ns));
  const auto a = batcher.Enqueue(Request("a"), kStart);
  const auto b = batcher.Enqueue(Request("b"), kStart);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(batcher.Cancel(*a)->id, "a");
  EXPECT_EQ(batcher.Cancel(*a), nullptr);
  ASSERT_TRUE(batcher.Enqueue(Request("c"), kStart).ok());  // In the place of "a".
  EXPECT_EQ(batcher.Cancel(*a), nullptr);
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "bc");
  EXPECT_EQ(batcher.Cancel(*b), nullptr);
  EXPECT_EQ(batcher.Cancel(UINT64_MAX), nullptr);
}

TEST(DynamicBatcherTest, HurryWaitsForNoCompany) {
  DynamicBatcher batcher(Sharing(8, 1s));
  ASSERT_TRUE(batcher.Enqueue(Request("a"), kStart).ok());
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "");
  batcher.Hurry();
  EXPECT_EQ(Ids(batcher.PopDue(kStart)), "a");
}

TEST(BatcherOptionsTest, ComeFromTheConfiguration) {
  ModelConfig config;
  config.max_batch_size = 8;
  EXPECT_FALSE(BatcherOptionsFor(config).shares_batches);
  EXPECT_EQ(BatcherOptionsFor(config).batch_rows_max, 8);
  config.dynamic_batching.emplace();
  config.dynamic_batching->max_queue_delay_us = 100;
  config.dynamic_batching->preferred_batch_size = {4};
  config.inputs.emplace_back().name = "R";
  config.inputs.back().allow_ragged_batch = true;
  const BatcherOptions options = BatcherOptionsFor(config);
  EXPECT_TRUE(options.shares_batches);
  EXPECT_EQ(options.queue_delay_max, 100us);
  EXPECT_EQ(options.preferred_batch_rows, std::vector<int64_t>{4});
  EXPECT_EQ(options.ragged_inputs, std::vector<std::string>{"R"});
  config.max_batch_size = 0;
  EXPECT_FALSE(BatcherOptionsFor(config).shares_batches);
  EXPECT_EQ(BatcherOptionsFor(config).batch_rows_max, 1);
}

}  // namespace
}  // namespace tepal
