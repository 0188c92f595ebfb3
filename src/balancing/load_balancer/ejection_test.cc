#include "balancing/load_balancer/ejection.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using Outcome = Ejection::Outcome;

constexpr Instant kStart{1000s};

TEST(EjectionTest, FailuresInARowEarnIt) {
  const Ejection::Options options;
  Ejection ejection(options);
  EXPECT_FALSE(ejection.Record(Outcome::kTransportFailure, 0));
  EXPECT_FALSE(ejection.Record(Outcome::kTransportFailure, 0));
  EXPECT_FALSE(ejection.Record(Outcome::kSuccess, 0));
  EXPECT_FALSE(ejection.Record(Outcome::kTransportFailure, 0));
  EXPECT_FALSE(ejection.Record(Outcome::kTransportFailure, 0));
  EXPECT_TRUE(ejection.Record(Outcome::kTransportFailure, 0));
}

TEST(EjectionTest, ErrorsCountOnlyWhileOthersSucceed) {
  const Ejection::Options options;
  Ejection everywhere(options);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(everywhere.Record(Outcome::kErrorAnswer, 42));
  Ejection alone(options);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(alone.Record(Outcome::kErrorAnswer, 42 + 2 * i));
  EXPECT_TRUE(alone.Record(Outcome::kErrorAnswer, 50));
}

TEST(EjectionTest, TimeGrowsAndIsForgiven) {
  const Ejection::Options options;
  Ejection ejection(options);
  Instant now = kStart;
  const auto eject = [&] {
    ejection.Eject(now);
    const Duration time = *ejection.until() - now;
    EXPECT_FALSE(ejection.Release(now + time - 1ns));
    EXPECT_TRUE(ejection.ejected());
    now += time;
    EXPECT_TRUE(ejection.Release(now));
    EXPECT_FALSE(ejection.Release(now));
    return time;
  };
  EXPECT_EQ(eject(), 2s);
  EXPECT_EQ(eject(), 4s);
  EXPECT_EQ(eject(), 8s);
  for (int i = 0; i < 10; ++i) EXPECT_LE(eject(), options.time_max);
  EXPECT_EQ(eject(), options.time_max);
  now += 3600s;
  EXPECT_EQ(eject(), 2s);
  EXPECT_EQ(ejection.count(), 15u);
}

TEST(EjectionTest, ShareOfThePool) {
  const Ejection::Options options;
  EXPECT_FALSE(Ejection::MayEject(options, 0, 1));
  EXPECT_TRUE(Ejection::MayEject(options, 0, 2));
  EXPECT_FALSE(Ejection::MayEject(options, 1, 3));
  EXPECT_TRUE(Ejection::MayEject(options, 2, 7));
  EXPECT_FALSE(Ejection::MayEject(options, 3, 7));
  EXPECT_TRUE(Ejection::Panic(options, 1, 3));
  EXPECT_FALSE(Ejection::Panic(options, 1, 2));
}

TEST(EjectionTest, CanBeSwitchedOff) {
  Ejection::Options options;
  options.enabled = false;
  Ejection ejection(options);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(ejection.Record(Outcome::kTransportFailure, 0));
}

TEST(EjectionTest, OptionsThatMakeNoSenseAreNamed) {
  Ejection::Options options;
  options.share_max = 1.5;
  EXPECT_EQ(Ejection::Validate(options).message(), "ejection: share_max is 1.5, expected 0 to 1");
}

}  // namespace
}  // namespace tepal::lb
