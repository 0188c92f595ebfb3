#include "balancing/load_balancer/try_limit.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

Instant Feed(TryLimit& limit, Duration latency, int count, Instant now) {
  for (int i = 0; i < count; ++i) limit.OnAnswer(latency, now += 1ms);
  return now;
}

TEST(TryLimitTest, NothingIsSaidBeforeEnoughIsKnown) {
  TryLimit limit;
  Instant now = Feed(limit, 10ms, TryLimit::kAnswersMin - 1, Instant(5s));
  EXPECT_EQ(limit.Limit(0, now), std::nullopt);
  now = Feed(limit, 10ms, 1, now);
  EXPECT_EQ(limit.Limit(0, now), Duration(TryLimit::kTryTimeMin));
}

TEST(TryLimitTest, WhatIsUsualIsNotExceededByWhatTakesAlike) {
  for (const Duration each : std::initializer_list<Duration>{700us, 5ms, 5200us, 5500us, 90ms}) {
    TryLimit limit(0.9);
    Instant now = Feed(limit, each, TryLimit::kAnswersMin - 1, Instant(5s));
    EXPECT_EQ(limit.Usual(now), std::nullopt);
    now = Feed(limit, each, 1, now);
    EXPECT_GE(limit.Usual(now).value(), each);
    EXPECT_LE(limit.Usual(now).value(), each * 6 / 5);
    now = Feed(limit, 10 * each, 30, now);  // More than a tenth takes longer.
    now = Feed(limit, each, 128, now);
    EXPECT_GE(limit.Usual(now).value(), 10 * each);
    limit.SetUsualQuantile(0.5);
    now = Feed(limit, each, 1, now);
    EXPECT_LE(limit.Usual(now).value(), each * 6 / 5);
    EXPECT_EQ(limit.Usual(now + 60s), std::nullopt);
  }
}

TEST(TryLimitTest, FollowsNearlyTheLongest) {
  TryLimit limit;
  Instant now(5s);
  for (int i = 0; i < 50; ++i) {
    now = Feed(limit, 100ms, 49, now);
    now = Feed(limit, 400ms, 1, now);  // Two of a hundred.
  }
  EXPECT_NEAR(ToMilliseconds(limit.Limit(0, now).value()), 1600, 1600 * 0.07);
  // What an endpoint has to do counts as well: it is busy, not frozen.
  EXPECT_NEAR(ToMilliseconds(limit.Limit(2, now).value()), 8000, 1);
}

TEST(TryLimitTest, FollowsAModelThatBecomesSlower) {
  TryLimit limit;
  Instant now = Feed(limit, 100ms, 1000, Instant(5s));
  now = Feed(limit, 1s, 100, now);
  EXPECT_NEAR(ToMilliseconds(limit.Limit(0, now).value()), 4000, 4000 * 0.07);
}

TEST(TryLimitTest, WhatIsOldIsForgotten) {
  TryLimit limit;
  Instant now = Feed(limit, 2s, 1000, Instant(5s));
  EXPECT_GT(limit.Limit(0, now).value(), 7s);
  EXPECT_EQ(limit.Limit(0, now + 2 * Duration(TryLimit::kWindow)), std::nullopt);
  now = Feed(limit, 10ms, 1000, now + Duration(TryLimit::kWindow));
  now = Feed(limit, 10ms, 1000, now + Duration(TryLimit::kWindow));
  EXPECT_EQ(limit.Limit(0, now), Duration(TryLimit::kTryTimeMin));
}

TEST(TryLimitTest, QuantilesAreOfWhatIsRecent) {
  TryLimit limit;
  EXPECT_EQ(limit.Quantile(0.5, Instant(5s)), std::nullopt);
  Instant now = Feed(limit, 10ms, 98, Instant(5s));
  now = Feed(limit, 2s, 2, now);
  EXPECT_NEAR(ToMilliseconds(limit.Quantile(0.5, now).value()), 10, 1);
  EXPECT_NEAR(ToMilliseconds(limit.Quantile(0.99, now).value()), 2000, 140);
  // In the next window both count, in the one after it the first does not.
  now = Feed(limit, 100ms, 100, now + Duration(TryLimit::kWindow));
  EXPECT_NEAR(ToMilliseconds(limit.Quantile(0.25, now).value()), 10, 1);
  now = Feed(limit, 100ms, 1, now + Duration(TryLimit::kWindow));
  EXPECT_NEAR(ToMilliseconds(limit.Quantile(0.01, now).value()), 100, 7);
  EXPECT_EQ(limit.Quantile(0.5, now + 2 * Duration(TryLimit::kWindow)), std::nullopt);
}

}  // namespace
}  // namespace tepal::lb
