#include "balancing/load_balancer/retry.h"

#include <gtest/gtest.h>

#include <utility>

namespace tepal::lb {
namespace {

RetryFacts Facts(TryEnd end, RouteKind route, int status = 0) {
  RetryFacts facts;
  facts.end = end;
  facts.route = route;
  facts.status = status;
  facts.body_kept = true;
  return facts;
}

// docs/retries.md, "What happened to the try", row by row.
TEST(RetryTest, TheTable) {
  struct Row {
    TryEnd end;
    int status;
    RetryVerdict repeatable;
    RetryVerdict other;
  };
  using V = RetryVerdict;
  const Row rows[] = {
      {TryEnd::kUnprocessed, 0, V::kBackInLine, V::kBackInLine},
      {TryEnd::kConnectionLost, 0, V::kAgain, V::kFail},
      {TryEnd::kTimedOut, 0, V::kAgain, V::kFail},
      {TryEnd::kSuspected, 0, V::kAgain, V::kGoOnWaiting},
      {TryEnd::kAnswered, 503, V::kAgain, V::kPassOn},
      {TryEnd::kAnswered, 200, V::kPassOn, V::kPassOn},
      {TryEnd::kAnswered, 400, V::kPassOn, V::kPassOn},
      {TryEnd::kAnswered, 500, V::kPassOn, V::kPassOn},
      {TryEnd::kCancelled, 0, V::kForget, V::kForget},
  };
  for (const Row& row : rows) {
    for (RouteKind kind :
         {RouteKind::kInfer, RouteKind::kStream, RouteKind::kRead, RouteKind::kHealth}) {
      EXPECT_EQ(JudgeTry(Facts(row.end, kind, row.status)), row.repeatable)
          << static_cast<int>(row.end) << " " << row.status;
    }
    for (RouteKind kind : {RouteKind::kChangesOneReplica, RouteKind::kOther}) {
      EXPECT_EQ(JudgeTry(Facts(row.end, kind, row.status)), row.other)
          << static_cast<int>(row.end) << " " << row.status;
    }
  }
}

TEST(RetryTest, NothingIsRepeatedOnceTheClientHasPartOfTheAnswer) {
  for (TryEnd end : {TryEnd::kUnprocessed, TryEnd::kConnectionLost, TryEnd::kTimedOut}) {
    RetryFacts facts = Facts(end, RouteKind::kInfer);
    facts.answer_begun = true;
    EXPECT_EQ(JudgeTry(facts), RetryVerdict::kBreakOff);
  }
}

TEST(RetryTest, NothingIsRepeatedWithoutItsBody) {
  const std::pair<TryEnd, RetryVerdict> cases[] = {
      {TryEnd::kUnprocessed, RetryVerdict::kFail},
      {TryEnd::kConnectionLost, RetryVerdict::kFail},
      {TryEnd::kTimedOut, RetryVerdict::kFail},
      {TryEnd::kSuspected, RetryVerdict::kGoOnWaiting},
  };
  for (const auto& [end, verdict] : cases) {
    RetryFacts facts = Facts(end, RouteKind::kInfer);
    facts.body_kept = false;
    EXPECT_EQ(JudgeTry(facts), verdict);
  }
  RetryFacts refused = Facts(TryEnd::kAnswered, RouteKind::kInfer, 503);
  refused.body_kept = false;
  EXPECT_EQ(JudgeTry(refused), RetryVerdict::kPassOn);
}

TEST(RetryTest, TriesAreLimitedButNotThoseThatReachedNobody) {
  RetryFacts facts = Facts(TryEnd::kConnectionLost, RouteKind::kInfer);
  facts.tries_begun = 2;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kAgain);
  facts.tries_begun = 3;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kFail);
  facts.end = TryEnd::kUnprocessed;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kBackInLine);
  facts.end = TryEnd::kAnswered;
  facts.status = 503;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kPassOn);
}

TEST(RetryTest, DelayGrowsToASecond) {
  EXPECT_EQ(RetryDelay(0), 25ms);
  EXPECT_EQ(RetryDelay(1), 50ms);
  EXPECT_EQ(RetryDelay(5), 800ms);
  EXPECT_EQ(RetryDelay(6), 1s);
  EXPECT_EQ(RetryDelay(1000), 1s);
}

TEST(RetryBudgetTest, LongRunShareIsKept) {
  RetryBudget budget({.share = 0.2, .tokens_start = 0, .tokens_max = 10, .active_min = 0});
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.OnRequest();
    if (budget.TryTake()) {
      ++allowed;
      budget.OnRetryEnd();
    }
  }
  EXPECT_NEAR(allowed, 200, 1);
  EXPECT_EQ(budget.refused(), static_cast<uint64_t>(1000 - allowed));
}

TEST(RetryBudgetTest, ABurstIsCoveredAndBounded) {
  RetryBudget budget({.share = 0.2, .tokens_start = 0, .tokens_max = 10, .active_min = 0});
  for (int i = 0; i < 1000; ++i) budget.OnRequest();
  int allowed = 0;
  for (int i = 0; i < 100; ++i) allowed += budget.TryTake() ? 1 : 0;
  EXPECT_EQ(allowed, 10);
}

TEST(RetryBudgetTest, AFewInProgressNeedNoToken) {
  RetryBudget budget({.share = 0, .tokens_start = 0, .tokens_max = 10, .active_min = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.TryTake());
  EXPECT_FALSE(budget.TryTake());
  budget.OnRetryEnd();
  EXPECT_TRUE(budget.TryTake());
}

TEST(RetryTest, SequencesAreNeverRepeated) {
  RetryFacts facts;
  facts.route = RouteKind::kInfer;
  facts.sequence = facts.body_kept = true;
  for (const TryEnd end : {TryEnd::kConnectionLost, TryEnd::kTimedOut, TryEnd::kUnprocessed}) {
    facts.end = end;
    EXPECT_EQ(JudgeTry(facts), RetryVerdict::kFail);
  }
  facts.end = TryEnd::kSuspected;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kGoOnWaiting);
  facts.end = TryEnd::kAnswered;
  facts.status = 503;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kPassOn);
  facts.end = TryEnd::kUnprocessed;
  facts.sequence_start = true;
  EXPECT_EQ(JudgeTry(facts), RetryVerdict::kBackInLine);  // Nobody has its state yet.
}

}  // namespace
}  // namespace tepal::lb
