#include "balancing/load_balancer/health_check.h"

#include <gtest/gtest.h>

#include <set>

namespace tepal::lb {
namespace {

using State = HealthCheck::State;

class HealthCheckTest : public testing::Test {
 protected:
  // Runs the check that is due now.
  void Answer(HealthCheck& check, bool passes) {
    const auto number = check.Due(now_);
    ASSERT_TRUE(number.has_value());
    check.OnResult(*number, passes ? "" : "status 503", now_);
  }
  void WaitUntilDue(const HealthCheck& check) { now_ = check.NextDeadline().value(); }

  HealthCheck::Options options_;
  Instant now_{100s};
};

TEST_F(HealthCheckTest, FirstCheckIsAtOnceAndOnePassIsEnough) {
  options_.passes = 3;
  HealthCheck check(options_, now_);
  EXPECT_EQ(check.state(), State::kChecking);
  Answer(check, true);
  EXPECT_EQ(check.state(), State::kHealthy);
  EXPECT_EQ(check.NextDeadline(), now_ + options_.interval);
}

TEST_F(HealthCheckTest, StartingEndpointIsAskedOften) {
  HealthCheck check(options_, now_);
  for (int i = 0; i < 5; ++i) {
    Answer(check, false);
    EXPECT_EQ(check.state(), State::kChecking);
    EXPECT_EQ(check.NextDeadline(), now_ + options_.interval_starting);
    EXPECT_FALSE(check.Due(now_).has_value());
    WaitUntilDue(check);
  }
  Answer(check, true);
  EXPECT_EQ(check.state(), State::kHealthy);
  EXPECT_EQ(check.counters().checks, 6u);
  EXPECT_EQ(check.counters().fails, 5u);
}

TEST_F(HealthCheckTest, FailsInARowMakeUnhealthyAndPassesInARowHealthy) {
  options_.fails = 2;
  options_.passes = 2;
  HealthCheck check(options_, now_);
  Answer(check, true);
  const auto next = [&](bool passes) {
    WaitUntilDue(check);
    Answer(check, passes);
  };
  next(false);
  next(true);
  next(false);
  EXPECT_EQ(check.state(), State::kHealthy);
  next(false);
  EXPECT_EQ(check.state(), State::kUnhealthy);
  EXPECT_EQ(check.counters().last_error, "status 503");
  next(true);
  next(false);
  next(true);
  EXPECT_EQ(check.state(), State::kUnhealthy);
  next(true);
  EXPECT_EQ(check.state(), State::kHealthy);
  EXPECT_EQ(check.counters().unhealthy, 1u);
}

TEST_F(HealthCheckTest, SilenceFailsAndItsLateAnswerIsIgnored) {
  options_.fails = 1;
  HealthCheck check(options_, now_);
  Answer(check, true);
  WaitUntilDue(check);
  const uint64_t silent = check.Due(now_).value();
  now_ += options_.time_max;
  EXPECT_EQ(check.NextDeadline(), now_);
  EXPECT_FALSE(check.Due(now_).has_value());
  EXPECT_EQ(check.state(), State::kUnhealthy);
  EXPECT_EQ(check.counters().last_error, "no answer within 2000 ms");
  check.OnResult(silent, "", now_);
  EXPECT_EQ(check.state(), State::kUnhealthy);
}

TEST_F(HealthCheckTest, SuspicionBringsTheNextCheckForwardButNotAStorm) {
  HealthCheck check(options_, now_);
  Answer(check, true);
  check.Suspect(now_);
  EXPECT_EQ(check.NextDeadline(), now_ + options_.interval_starting);
  now_ += 500ms;
  check.Suspect(now_);
  check.Suspect(now_);
  Answer(check, false);
  EXPECT_EQ(check.NextDeadline(), now_ + options_.interval_starting);  // One more to be sure.
}

TEST_F(HealthCheckTest, WithoutChecksAnEndpointIsHealthy) {
  options_.enabled = false;
  HealthCheck check(options_, now_);
  EXPECT_EQ(check.state(), State::kHealthy);
  EXPECT_FALSE(check.Due(now_ + 3600s).has_value());
  EXPECT_FALSE(check.NextDeadline().has_value());
}

TEST_F(HealthCheckTest, OptionsThatMakeNoSenseAreNamed) {
  EXPECT_TRUE(HealthCheck::Validate(options_).ok());
  options_.path = "ready";
  EXPECT_EQ(HealthCheck::Validate(options_).message(),
            "health check: path is 'ready', expected one that begins with '/'");
}

TEST_F(HealthCheckTest, JitterIsAnotherEachTimeAndForEachEndpoint) {
  options_.jitter = 1s;
  HealthCheck one(options_, now_, 1);
  HealthCheck other(options_, now_, 2);
  std::set<Duration> waits;
  for (int i = 0; i < 20; ++i) {
    Answer(one, true);
    Answer(other, true);
    for (const HealthCheck* check : {&one, &other}) {
      const Duration wait = *check->NextDeadline() - now_;
      EXPECT_GE(wait, options_.interval);
      EXPECT_LT(wait, options_.interval + options_.jitter);
      waits.insert(wait);
    }
    now_ += 2s;
  }
  EXPECT_GT(waits.size(), 30u);
}

}  // namespace
}  // namespace tepal::lb
