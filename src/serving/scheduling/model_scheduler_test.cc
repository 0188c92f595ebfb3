#include "serving/scheduling/model_scheduler.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/base/text.h"
#include "core/env/random.h"
#include "serving/scheduling/fakes_test.h"

namespace tepal {
namespace {

class ModelSchedulerTest : public ::testing::Test {
 protected:
  void Start(std::vector<BatchExecutor*> executors) {
    auto started = ModelScheduler::Start(options_, std::move(executors), statistics_,
                                         {world_.clock, world_.threads, *world_.timekeeper});
    ASSERT_TRUE(started.ok());
    scheduler_ = *started;
  }

  static std::unique_ptr<InferenceRequest> Request(const std::string& id,
                                                   std::shared_ptr<ResponseSink> sink) {
    auto request = std::make_unique<InferenceRequest>();
    request->id = id;
    request->sink = std::move(sink);
    return request;
  }
  std::shared_ptr<FakeSink> Send(const std::string& id) {
    auto sink = std::make_shared<FakeSink>();
    EXPECT_TRUE(scheduler_->Enqueue(Request(id, sink)).ok());
    return sink;
  }
  uint64_t Failures(FailureReason reason) const {
    return statistics_->Read().failures[static_cast<int>(reason)];
  }

  FakeWorld world_;
  ModelScheduler::Options options_{.name = "m", .batching = {}, .preserve_ordering = false};
  std::shared_ptr<ModelStatistics> statistics_ = std::make_shared<ModelStatistics>();
  std::shared_ptr<ModelScheduler> scheduler_;
};

TEST_F(ModelSchedulerTest, InlineInstancesRunOnTheCallersThread) {
  FakeExecutor executor(true);
  Start({&executor});
  const auto sink = Send("a");
  ASSERT_EQ(sink->finals(), 1);
  EXPECT_EQ(sink->thread(), std::this_thread::get_id());
  EXPECT_EQ(statistics_->Read().pending, 0);
  EXPECT_EQ(statistics_->Read().in_flight, 0);
}

TEST_F(ModelSchedulerTest, WhoeverFinishesInlineTakesTheWaitingAlong) {
  std::vector<std::shared_ptr<FakeSink>> nested;
  std::string order;
  Gate all_sent;
  FakeExecutor executor(true, [&](Batch batch) {
    if (nested.size() < 40) {
      nested.push_back(Send(Concat(nested.size(), ",")));
      EXPECT_EQ(nested.back()->finals(), 0) << "calls of one instance must not overlap";
      if (nested.size() == 40) all_sent.Open();
    }
    order += batch[0]->id;
    AnswerAll(std::move(batch));
  });
  Start({&executor});
  Send("first,");
  all_sent.Wait();
  for (const auto& sink : nested) sink->Wait();  // Past the bound the timekeeper goes on.
  scheduler_->Stop();
  EXPECT_EQ(order.substr(0, 14), "first,0,1,2,3,");
}

TEST_F(ModelSchedulerTest, WorkersRunOnTheirOwnThread) {
  FakeExecutor executor(false);
  Start({&executor});
  const auto sink = Send("a");
  EXPECT_TRUE(sink->Wait().status.ok());
  EXPECT_NE(sink->thread(), std::this_thread::get_id());
}

TEST_F(ModelSchedulerTest, RequestsGatherWhileTheInstanceIsBusy) {
  options_.batching.batch_rows_max = 8;
  options_.batching.shares_batches = options_.batching.batches = true;
  Gate entered, leave;
  std::vector<size_t> sizes;
  FakeExecutor executor(false, [&](Batch batch) {
    sizes.push_back(batch.size());
    entered.Open();
    leave.Wait();
    AnswerAll(std::move(batch));
  });
  Start({&executor});
  std::vector<std::shared_ptr<FakeSink>> sinks{Send("a")};
  entered.Wait();
  for (int i = 0; i < 5; ++i) sinks.push_back(Send("b"));
  EXPECT_EQ(scheduler_->queued(), 5u);
  EXPECT_EQ(statistics_->Read().pending, 5);
  EXPECT_EQ(statistics_->Read().in_flight, 6);
  leave.Open();
  for (const auto& sink : sinks) sink->Wait();
  scheduler_->Stop();
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 5}));
}

TEST_F(ModelSchedulerTest, TheQueueDelayEndsWithoutAnotherArrival) {
  options_.batching.batch_rows_max = 8;
  options_.batching.shares_batches = options_.batching.batches = true;
  options_.batching.queue_delay_max = 2ms;
  for (const bool runs_inline : {true, false}) {
    std::atomic<size_t> size{0};
    FakeExecutor executor(runs_inline, [&](Batch batch) {
      size = batch.size();
      AnswerAll(std::move(batch));
    });
    Start({&executor});
    const Instant begin = world_.clock.Now();
    const auto a = Send("a"), b = Send("b");
    a->Wait();
    b->Wait();
    EXPECT_GE(world_.clock.Now() - begin, 2ms);
    EXPECT_EQ(size, 2u);
    scheduler_->Stop();
  }
}

TEST_F(ModelSchedulerTest, ATimeoutCountsWhileEveryInstanceIsBusy) {
  options_.batching.queue_policy_default.allow_timeout_override = true;
  for (const bool runs_inline : {true, false}) {
    Gate entered, leave;
    FakeExecutor executor(runs_inline, [&](Batch batch) {
      entered.Open();
      leave.Wait();
      AnswerAll(std::move(batch));
    });
    Start({&executor});
    std::thread busy([&] { Send("a"); });
    entered.Wait();
    const auto late = std::make_shared<FakeSink>();
    auto request = Request("b", late);
    request->timeout_us = 1000;
    ASSERT_TRUE(scheduler_->Enqueue(std::move(request)).ok());
    const InferenceResponse& answer = late->Wait();  // While the instance is still held.
    EXPECT_EQ(answer.status.code(), StatusCode::kUnavailable);
    EXPECT_EQ(answer.status.message(), "Request timeout expired");
    leave.Open();
    busy.join();
    scheduler_->Stop();
  }
  EXPECT_EQ(Failures(FailureReason::kRejected), 2u);
}

TEST_F(ModelSchedulerTest, ACancelledRequestLeavesTheQueueAtOnce) {
  Gate entered, leave;
  FakeExecutor executor(false, [&](Batch batch) {
    entered.Open();
    leave.Wait();
    AnswerAll(std::move(batch));
  });
  Start({&executor});
  const auto first = Send("a");
  entered.Wait();
  auto sink = std::make_shared<FakeSink>();
  auto request = Request("b", sink);
  const auto token = request->cancellation = std::make_shared<CancellationToken>();
  ASSERT_TRUE(scheduler_->Enqueue(std::move(request)).ok());
  token->Cancel();
  ASSERT_EQ(sink->finals(), 1);
  EXPECT_EQ(sink->Wait().status.code(), StatusCode::kCancelled);
  EXPECT_EQ(scheduler_->queued(), 0u);
  EXPECT_EQ(Failures(FailureReason::kCanceled), 1u);
  leave.Open();
  first->Wait();
}

TEST_F(ModelSchedulerTest, WhatIsCancelledOrDeadOnArrivalIsRefused) {
  FakeExecutor executor(true);
  Start({&executor});
  auto cancelled = Request("a", std::make_shared<FakeSink>());
  cancelled->cancellation = std::make_shared<CancellationToken>();
  cancelled->cancellation->Cancel();
  EXPECT_EQ(scheduler_->Enqueue(std::move(cancelled)).code(), StatusCode::kCancelled);
  auto dead = Request("b", std::make_shared<FakeSink>());
  dead->deadline = world_.clock.Now() - 1ms;
  EXPECT_EQ(scheduler_->Enqueue(std::move(dead)).code(), StatusCode::kDeadlineExceeded);
  EXPECT_NE(cancelled, nullptr);
  EXPECT_EQ(statistics_->Read().in_flight, 0);
}

TEST_F(ModelSchedulerTest, AFullQueueRefuses) {
  options_.batching.queue_policy_default.max_queue_size = 1;
  Gate entered, leave;
  FakeExecutor executor(false, [&](Batch batch) {
    entered.Open();
    leave.Wait();
    AnswerAll(std::move(batch));
  });
  Start({&executor});
  const auto a = Send("a");
  entered.Wait();
  const auto b = Send("b");
  auto refused = Request("c", std::make_shared<FakeSink>());
  EXPECT_EQ(scheduler_->Enqueue(std::move(refused)).code(), StatusCode::kUnavailable);
  EXPECT_NE(refused, nullptr);
  EXPECT_EQ(Failures(FailureReason::kRejected), 1u);
  EXPECT_EQ(statistics_->Read().in_flight, 2);
  leave.Open();
  a->Wait();
  b->Wait();
}

TEST_F(ModelSchedulerTest, StopAnswersWhatIsQueuedAndThenRefuses) {
  options_.batching.batch_rows_max = 8;
  options_.batching.shares_batches = options_.batching.batches = true;
  options_.batching.queue_delay_max = 3600s;
  for (const bool runs_inline : {true, false}) {
    FakeExecutor executor(runs_inline);
    Start({&executor});
    const auto waiting = Send("a");
    EXPECT_EQ(waiting->finals(), 0);
    scheduler_->Stop();
    EXPECT_EQ(waiting->finals(), 1);
    EXPECT_TRUE(waiting->Wait().status.ok());
    auto refused = Request("b", std::make_shared<FakeSink>());
    EXPECT_EQ(scheduler_->Enqueue(std::move(refused)).code(), StatusCode::kUnavailable);
    scheduler_->Stop();
  }
}

TEST_F(ModelSchedulerTest, StopWaitsForAnswersThatComeLater) {
  Batch kept;
  FakeExecutor executor(true, [&](Batch batch) { kept = std::move(batch); });
  Start({&executor});
  const auto sink = Send("a");
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    scheduler_->Stop();
    stopped = true;
  });
  EXPECT_FALSE(stopped);
  AnswerAll(std::move(kept));
  stopper.join();
  EXPECT_EQ(sink->finals(), 1);
}

TEST_F(ModelSchedulerTest, KeepsTheOrderOfAnswersWhenAsked) {
  options_.preserve_ordering = true;
  Gate second_done, first_entered;
  std::mutex mutex;
  std::string order;
  const auto execute = [&](Batch batch) {
    if (batch[0]->id == "a") {
      first_entered.Open();
      second_done.Wait();
    }
    const bool second = batch[0]->id == "b";
    AnswerAll(std::move(batch));
    if (second) second_done.Open();
  };
  struct Sink final : ResponseSink {
    Sink(std::mutex& m, std::string& o) : mutex(m), order(o) {}
    void OnResponse(std::unique_ptr<InferenceResponse> response, bool) override {
      const std::lock_guard lock(mutex);
      order += response->id;
    }
    std::mutex& mutex;
    std::string& order;
  };
  FakeExecutor one(false, execute), two(false, execute);
  Start({&one, &two});
  const auto sink = std::make_shared<Sink>(mutex, order);
  ASSERT_TRUE(scheduler_->Enqueue(Request("a", sink)).ok());
  first_entered.Wait();
  ASSERT_TRUE(scheduler_->Enqueue(Request("b", sink)).ok());
  scheduler_->Stop();
  EXPECT_EQ(order, "ab");
}

// Many threads send, cancel and time out; every request is answered exactly once.
TEST_F(ModelSchedulerTest, EveryRequestIsAnsweredExactlyOnceUnderStress) {
  constexpr int kThreads = 3, kRequests = 600;
  for (const bool runs_inline : {true, false}) {
    for (const bool ordering : {false, true}) {
      options_.preserve_ordering = ordering;
      options_.batching.batch_rows_max = 8;
      options_.batching.shares_batches = options_.batching.batches = true;
      options_.batching.queue_delay_max = ordering ? 0us : 50us;
      options_.batching.queue_policy_default.default_timeout_us = 300;
      options_.batching.queue_policy_default.max_queue_size = 50;
      FakeExecutor one(runs_inline), two(runs_inline);
      Start({&one, &two});
      std::atomic<int> refused{0};
      std::vector<std::vector<std::shared_ptr<FakeSink>>> sinks(kThreads);
      std::vector<std::thread> senders;
      for (int t = 0; t < kThreads; ++t) {
        senders.emplace_back([&, t] {
          env::SeededRandom random(static_cast<uint64_t>(t));
          for (int i = 0; i < kRequests; ++i) {
            auto sink = std::make_shared<FakeSink>();
            auto request = Request("r", sink);
            const auto token = request->cancellation = std::make_shared<CancellationToken>();
            if (scheduler_->Enqueue(std::move(request)).ok()) {
              sinks[static_cast<size_t>(t)].push_back(sink);
            } else {
              ++refused;
            }
            if (random.Below(4) == 0) token->Cancel();
          }
        });
      }
      for (std::thread& sender : senders) sender.join();
      scheduler_->Stop();
      size_t accepted = 0;
      for (const auto& of_thread : sinks) {
        accepted += of_thread.size();
        for (const auto& sink : of_thread) EXPECT_EQ(sink->finals(), 1);
      }
      EXPECT_EQ(accepted + static_cast<size_t>(refused), size_t{kThreads} * kRequests);
      EXPECT_EQ(scheduler_->in_flight(), 0);
      EXPECT_EQ(statistics_->Read().pending, 0);
      EXPECT_EQ(statistics_->Read().in_flight, 0);
    }
  }
}

// Stopping while others send: what was accepted is answered, what came too late is refused.
TEST_F(ModelSchedulerTest, StopRacesWithSenders) {
  for (int round = 0; round < 20; ++round) {
    FakeExecutor executor(round % 2 == 0);
    Start({&executor});
    std::atomic<int> accepted{0};
    auto sinks = std::make_shared<std::vector<std::shared_ptr<FakeSink>>>();
    std::thread sender([&] {
      for (int i = 0; i < 200; ++i) {
        auto sink = std::make_shared<FakeSink>();
        if (!scheduler_->Enqueue(Request("r", sink)).ok()) return;
        sinks->push_back(sink);
        ++accepted;
      }
    });
    while (accepted < 5) std::this_thread::yield();
    scheduler_->Stop();
    sender.join();
    for (const auto& sink : *sinks) EXPECT_EQ(sink->finals(), 1);
  }
}

}  // namespace
}  // namespace tepal
