#include "apps/supervisor/replica_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/text.h"

namespace tepal::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using Kind = ReplicaSet::Action::Kind;

constexpr Instant kStart{std::chrono::hours(1)};

std::string Text(const ReplicaSet::Action& action) {
  constexpr const char* kNames[] = {"start", "admit", "drain", "remove", "terminate", "kill"};
  return Concat(kNames[static_cast<int>(action.kind)], " ", action.replica, "@", action.slot);
}

// What the set wants done at `now`, as "start 1@0".
std::vector<std::string> Poll(ReplicaSet& set, Instant now) {
  std::vector<std::string> texts;
  for (const ReplicaSet::Action& action : set.Poll(now)) texts.push_back(Text(action));
  return texts;
}

ReplicaSetOptions Slots(int slots) {
  ReplicaSetOptions options;
  options.slots = slots;
  return options;
}

// Replicas 1 … `count`, ready since kStart.
ReplicaSet Ready(int count, ReplicaSetOptions options) {
  ReplicaSet set(options);
  set.SetDesired(count, kStart);
  set.Poll(kStart);
  for (int i = 1; i <= count; ++i) set.OnReady(static_cast<ReplicaId>(i), kStart);
  set.Poll(kStart);
  return set;
}

TEST(ReplicaSet, StartsAdmitsAndRests) {
  ReplicaSet set(Slots(3));
  EXPECT_THAT(Poll(set, kStart), IsEmpty());
  set.SetDesired(2, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("start 1@0", "start 2@1"));
  EXPECT_THAT(Poll(set, kStart), IsEmpty());
  set.OnReady(2, kStart + 1s);
  EXPECT_THAT(Poll(set, kStart + 1s), ElementsAre("admit 2@1"));
  EXPECT_EQ(set.Count(ReplicaState::kReady), 1);
  EXPECT_EQ(set.Count(ReplicaState::kStarting), 1);
  EXPECT_EQ(set.active(), 2);
}

TEST(ReplicaSet, ScalesDownByDrainingTheNewest) {
  ReplicaSet set = Ready(3, Slots(3));
  set.SetDesired(1, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("drain 3@2", "drain 2@1"));
  set.OnDrained(3, kStart + 1s);
  EXPECT_THAT(Poll(set, kStart + 1s), ElementsAre("remove 3@2", "terminate 3@2"));
  EXPECT_EQ(set.slots()[2].state, ReplicaState::kStopping);
  set.OnExit(3, kStart + 2s);
  EXPECT_THAT(Poll(set, kStart + 2s), IsEmpty());
  EXPECT_EQ(set.slots()[2].state, ReplicaState::kFree);
}

TEST(ReplicaSet, ScaleDownTakesThoseNotServingFirst) {
  ReplicaSet set = Ready(2, Slots(4));
  set.SetDesired(4, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("start 3@2", "start 4@3"));
  set.OnExit(1, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("remove 1@0"));
  set.SetDesired(2, kStart);
  // The crashed one is given up without an action, then the newest of those starting.
  EXPECT_THAT(Poll(set, kStart), ElementsAre("terminate 4@3"));
  EXPECT_EQ(set.slots()[0].state, ReplicaState::kFree);
}

TEST(ReplicaSet, ASlotIsUsedAgainOnlyAfterItsProcessHasGone) {
  ReplicaSet set = Ready(2, Slots(2));
  set.SetDesired(1, kStart);
  set.Poll(kStart);
  set.SetDesired(2, kStart + 1s);
  EXPECT_THAT(Poll(set, kStart + 1s), IsEmpty());
  set.OnDrained(2, kStart + 2s);
  EXPECT_THAT(Poll(set, kStart + 2s), ElementsAre("remove 2@1", "terminate 2@1"));
  set.OnExit(2, kStart + 3s);
  EXPECT_THAT(Poll(set, kStart + 3s), ElementsAre("start 3@1"));
}

TEST(ReplicaSet, ACrashedReplicaComesBackLaterEachTime) {
  ReplicaSet set = Ready(1, Slots(1));
  Instant now = kStart + 1s;
  Duration expected = 250ms;
  for (ReplicaId replica = 1; replica < 12; ++replica) {
    set.OnExit(replica, now);
    set.Poll(now);
    EXPECT_EQ(set.slots()[0].state, ReplicaState::kBackingOff);
    EXPECT_THAT(set.NextDeadline(), Optional(now + expected)) << replica;
    EXPECT_THAT(Poll(set, now + expected - 1ns), IsEmpty());
    now += expected;
    EXPECT_THAT(Poll(set, now), ElementsAre(Concat("start ", replica + 1, "@0")));
    expected = std::min<Duration>(expected * 2, 30s);
  }
  EXPECT_EQ(expected, 30s);
}

TEST(ReplicaSet, ALongGoodTimeForgivesCrashes) {
  ReplicaSet set = Ready(1, Slots(1));
  set.OnExit(1, kStart + 1s);
  set.Poll(kStart + 2s);
  set.OnReady(2, kStart + 3s);
  set.Poll(kStart + 3s);
  set.OnExit(2, kStart + 63s);
  EXPECT_THAT(set.NextDeadline(), Optional(kStart + 63s + 250ms));
}

TEST(ReplicaSet, TooSlowToStartIsKilled) {
  ReplicaSet set(Slots(1));
  set.SetDesired(1, kStart);
  set.Poll(kStart);
  EXPECT_THAT(set.NextDeadline(), Optional(kStart + 120s));
  EXPECT_THAT(Poll(set, kStart + 120s), ElementsAre("kill 1@0"));
  EXPECT_THAT(Poll(set, kStart + 121s), IsEmpty());
  set.OnReady(1, kStart + 121s);
  EXPECT_THAT(Poll(set, kStart + 121s), IsEmpty());
  set.OnExit(1, kStart + 122s);
  EXPECT_EQ(set.slots()[0].state, ReplicaState::kBackingOff);
}

TEST(ReplicaSet, DrainingAndStoppingHaveTheirLimits) {
  ReplicaSet set = Ready(1, Slots(1));
  set.SetDesired(0, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("drain 1@0"));
  EXPECT_THAT(Poll(set, kStart + 60s), ElementsAre("terminate 1@0"));
  set.OnDrained(1, kStart + 61s);
  EXPECT_THAT(Poll(set, kStart + 61s), IsEmpty());
  EXPECT_THAT(Poll(set, kStart + 80s), ElementsAre("kill 1@0"));
  EXPECT_EQ(set.NextDeadline(), std::nullopt);
  set.OnExit(1, kStart + 81s);
  EXPECT_THAT(Poll(set, kStart + 81s), ElementsAre("remove 1@0"));
}

TEST(ReplicaSet, AnUnresponsiveReplicaIsReplaced) {
  ReplicaSet set = Ready(2, Slots(2));
  set.OnUnresponsive(1, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("remove 1@0", "kill 1@0"));
  set.OnExit(1, kStart + 1s);
  EXPECT_THAT(Poll(set, kStart + 1s), IsEmpty());
  EXPECT_THAT(Poll(set, kStart + 2s), ElementsAre("start 3@0"));
}

TEST(ReplicaSet, LateNewsOfAnEarlierReplicaIsIgnored) {
  ReplicaSet set = Ready(1, Slots(1));
  set.OnExit(1, kStart);
  EXPECT_THAT(Poll(set, kStart + 1s), ElementsAre("remove 1@0", "start 2@0"));
  set.OnExit(1, kStart + 2s);
  set.OnReady(1, kStart + 2s);
  set.OnDrained(1, kStart + 2s);
  set.OnUnresponsive(1, kStart + 2s);
  EXPECT_THAT(Poll(set, kStart + 2s), IsEmpty());
  EXPECT_EQ(set.slots()[0].state, ReplicaState::kStarting);
}

TEST(ReplicaSet, ShutdownDrainsThenASecondKills) {
  ReplicaSet set = Ready(2, Slots(3));
  set.SetDesired(3, kStart);
  set.Poll(kStart);
  set.Shutdown(false, kStart);
  EXPECT_THAT(Poll(set, kStart), ElementsAre("terminate 3@2", "drain 2@1", "drain 1@0"));
  set.SetDesired(2, kStart);
  EXPECT_THAT(Poll(set, kStart), IsEmpty());
  EXPECT_FALSE(set.finished());
  set.Shutdown(true, kStart);
  EXPECT_THAT(Poll(set, kStart),
              ElementsAre("remove 1@0", "kill 1@0", "remove 2@1", "kill 2@1", "kill 3@2"));
  for (const ReplicaId replica : {1U, 2U, 3U}) set.OnExit(replica, kStart + 1s);
  EXPECT_THAT(Poll(set, kStart + 1s), IsEmpty());
  EXPECT_TRUE(set.finished());
}

}  // namespace
}  // namespace tepal::supervisor
