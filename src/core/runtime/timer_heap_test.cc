#include "core/runtime/timer_heap.h"

#include <gtest/gtest.h>

#include <map>

#include "core/env/random.h"

namespace tepal::runtime {
namespace {

const Instant kStart{};

TEST(TimerHeapTest, AgreesWithASortedMapUnderAddsAndRemovals) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    env::SeededRandom random(seed);
    TimerHeap heap;
    std::map<std::pair<Instant, uint64_t>, TimerHeap::TimerId> model;
    uint64_t order = 0;
    uint64_t ran = 0;
    Instant now = kStart;
    for (int step = 0; step < 400; ++step) {
      if (random.Below(3) != 0) {
        const Instant when = now + Duration(static_cast<int64_t>(random.Below(50)));
        const uint64_t mine = ++order;
        model[{when, mine}] = heap.Add(when, [&ran, mine] { ran = mine; });
      } else if (!model.empty() && random.Below(2) == 0) {
        auto victim = model.begin();
        std::advance(victim, static_cast<std::ptrdiff_t>(random.Below(model.size())));
        ASSERT_TRUE(heap.Remove(victim->second));
        ASSERT_FALSE(heap.Remove(victim->second));
        model.erase(victim);
      } else {
        now += Duration(static_cast<int64_t>(random.Below(30)));
        while (env::Task task = heap.PopDue(now, heap.mark())) {
          task();
          ASSERT_FALSE(model.empty());
          ASSERT_EQ(model.begin()->first.second, ran);
          ASSERT_LE(model.begin()->first.first, now);
          model.erase(model.begin());
        }
        ASSERT_TRUE(model.empty() || model.begin()->first.first > now);
      }
      ASSERT_EQ(heap.Next().has_value(), !model.empty());
      if (!model.empty()) {
        ASSERT_EQ(*heap.Next(), model.begin()->first.first);
      }
    }
  }
}

TEST(TimerHeapTest, LeavesOutWhatWasAddedAfterTheMark) {
  TimerHeap heap;
  heap.Add(kStart + 1ns, [] {});
  const uint64_t mark = heap.mark();
  EXPECT_TRUE(heap.PopDue(kStart + 2ns, mark));
  heap.Add(kStart, [] {});
  EXPECT_FALSE(heap.PopDue(kStart + 2ns, mark));
  EXPECT_TRUE(heap.PopDue(kStart + 2ns, heap.mark()));
}

}  // namespace
}  // namespace tepal::runtime
