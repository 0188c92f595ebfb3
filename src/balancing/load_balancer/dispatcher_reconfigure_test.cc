#include <gtest/gtest.h>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {
namespace {

constexpr Instant kStart{100s};

EndpointSpec Spec(uint16_t port) {
  EndpointSpec spec;
  spec.address = {env::Address::Family::kIp4, "127.0.0.1", port};
  return spec;
}

TEST(DispatcherReconfigureTest, ChecksAreSwitchedOffAndOn) {
  env::SeededRandom random(1);
  Dispatcher::Options options;
  Dispatcher dispatcher(options, random);
  const EndpointId id = dispatcher.Add(Spec(1), kStart);
  Dispatcher::Due due;
  dispatcher.Poll(kStart, due);
  ASSERT_EQ(due.checks.size(), 1u);
  dispatcher.OnCheck(id, due.checks[0].number, "refused", kStart);
  dispatcher.Poll(kStart, due);
  EXPECT_EQ(dispatcher.Endpoints()[0].state, EndpointState::kChecking);

  options.health.enabled = false;
  dispatcher.Reconfigure(options, kStart);
  EXPECT_EQ(dispatcher.Endpoints()[0].state, EndpointState::kUp);

  options.health.enabled = true;
  dispatcher.Reconfigure(options, kStart + 1s);
  due = {};
  dispatcher.Poll(kStart + 1s + options.health.interval, due);
  ASSERT_EQ(due.checks.size(), 1u);
  EXPECT_EQ(dispatcher.Endpoints()[0].state, EndpointState::kUp);  // Until a check fails.
}

TEST(DispatcherReconfigureTest, TheLineIsCutAndGrown) {
  env::SeededRandom random(1);
  Dispatcher::Options options;
  options.health.enabled = false;
  options.queue_size_max = 0;
  Dispatcher dispatcher(options, random);
  EXPECT_EQ(dispatcher.Admit({.ticket = 1}, kStart).admission, Dispatcher::Admission::kFull);
  options.queue_size_max = 1;
  dispatcher.Reconfigure(options, kStart);
  EXPECT_EQ(dispatcher.Admit({.ticket = 2}, kStart).admission, Dispatcher::Admission::kWaiting);
  EXPECT_EQ(dispatcher.Admit({.ticket = 3}, kStart).admission, Dispatcher::Admission::kFull);
  options.queue_size_max = 0;
  dispatcher.Reconfigure(options, kStart);
  EXPECT_EQ(dispatcher.waiting(), 1u);  // Who waits stays.
}

}  // namespace
}  // namespace tepal::lb
