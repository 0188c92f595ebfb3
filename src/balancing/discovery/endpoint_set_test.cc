#include "balancing/discovery/endpoint_set.h"

#include <gtest/gtest.h>

#include "balancing/discovery/testing/fake_control.h"

namespace tepal::discovery {
namespace {

using testing::FakeControl;

WantedEndpoint Wanted(uint16_t port, uint32_t weight = 1) {
  WantedEndpoint wanted;
  wanted.spec.address = {env::Address::Family::kIp4, "127.0.0.1", port};
  wanted.spec.weight = weight;
  return wanted;
}

TEST(EndpointSetTest, AddsRemovesAndChanges) {
  FakeControl control;
  EndpointSet set(control);
  EXPECT_EQ(set.Set({Wanted(1), Wanted(2)}).added, 2u);
  EXPECT_EQ(control.Listed(), "1 2");
  EXPECT_FALSE(set.Set({Wanted(2), Wanted(1)}).any());

  const EndpointSet::Change change = set.Set({Wanted(2, 5), Wanted(3)});
  EXPECT_EQ(change.added, 1u);
  EXPECT_EQ(change.removed, 1u);
  EXPECT_EQ(change.changed, 1u);
  EXPECT_EQ(control.Listed(), "2*5 3");
}

TEST(EndpointSetTest, TheSameAddressTwiceIsOne) {
  FakeControl control;
  EndpointSet set(control);
  EXPECT_EQ(set.Set({Wanted(1, 2), Wanted(1, 3)}).added, 1u);
  EXPECT_EQ(control.Listed(), "1*2");
}

TEST(EndpointSetTest, LeavesWhatOthersDo) {
  FakeControl control;
  EndpointSet set(control);
  set.Set({Wanted(1), Wanted(2)});
  control.AddEndpoint(Wanted(9).spec);
  (void)control.SetWeight(1, 7);
  EXPECT_FALSE(set.Set({Wanted(1), Wanted(2)}).any());
  EXPECT_EQ(control.Listed(), "1*7 2 9");

  (void)control.RemoveEndpoint(2);
  EXPECT_EQ(set.Set({Wanted(1), Wanted(2)}).added, 1u);  // It comes back.
  EXPECT_EQ(control.Listed(), "1*7 9 2");
  set.Set({});
  EXPECT_EQ(control.Listed(), "9");
}

TEST(EndpointSetTest, DownIsKeptAndEnded) {
  FakeControl control;
  EndpointSet set(control);
  WantedEndpoint wanted = Wanted(1);
  wanted.down = true;
  set.Set({wanted});
  EXPECT_EQ(control.Listed(), "1!");
  set.Set({Wanted(1)});
  EXPECT_EQ(control.Listed(), "1");
}

TEST(EndpointSetTest, AnotherNameIsAnotherEndpoint) {
  FakeControl control;
  EndpointSet set(control);
  set.Set({Wanted(1)});
  WantedEndpoint named = Wanted(1);
  named.spec.name = "replica";
  EXPECT_EQ(set.Set({named}).changed, 1u);
  EXPECT_EQ(control.Listed(), "1");
  EXPECT_EQ(control.Read().endpoints[0].status.id, 2u);
}

}  // namespace
}  // namespace tepal::discovery
