#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "core/runtime/runtime.h"

namespace tepal::runtime {
namespace {

std::unique_ptr<EpollLoop> NewLoop() {
  auto loop = EpollLoop::New();
  EXPECT_TRUE(loop.ok()) << loop.status().ToString();
  return std::move(loop).value();
}

TEST(LoopTest, RunsPostedTasksInOrderAndDeferredOnesAtTheEndOfTheTurn) {
  auto loop = NewLoop();
  std::vector<int> seen;
  loop->Post([&] {
    seen.push_back(1);
    loop->Defer([&] { seen.push_back(3); });
  });
  loop->Post([&] { seen.push_back(2); });
  loop->RunAfter(1ms, [&] { loop->Stop(); });
  loop->Run();
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
}

TEST(LoopTest, RunsEveryTaskThatOtherThreadsPost) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 20000;
  auto loop = NewLoop();
  std::vector<int> last(kThreads, -1);
  int left = kThreads * kTasks;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop->Post([&, t, i] {
          EXPECT_EQ(last[static_cast<size_t>(t)], i - 1);
          last[static_cast<size_t>(t)] = i;
          if (--left == 0) loop->Stop();
        });
      }
    });
  }
  loop->Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(left, 0);
}

TEST(LoopTest, TimersRunInOrderOfTimeAndNotBefore) {
  auto loop = NewLoop();
  std::vector<int> seen;
  const Instant start = loop->Now();
  loop->RunAt(start + 3ms, [&] {
    EXPECT_GE(loop->Now(), start + 3ms);
    seen.push_back(3);
    loop->Stop();
  });
  loop->RunAt(start + 1ms, [&] {
    EXPECT_GE(loop->Now(), start + 1ms);
    seen.push_back(1);
  });
  const auto cancelled = loop->RunAt(start + 2ms, [&] { seen.push_back(2); });
  loop->Cancel(cancelled);
  loop->Cancel(cancelled);
  loop->Run();
  EXPECT_EQ(seen, (std::vector<int>{1, 3}));
}

TEST(LoopTest, ATimerThatRearmsForThePastDoesNotStarveTheRest) {
  auto loop = NewLoop();
  int runs = 0;
  Function<void()> again = [&] {
    if (++runs < 1000) loop->RunAt(Instant{}, [&] { again(); });
  };
  loop->RunAt(Instant{}, [&] { again(); });
  loop->Post([&] { loop->Stop(); });
  loop->Run();
  EXPECT_LT(runs, 1000);
}

TEST(LoopTest, TasksOfAStoppedLoopAreDestroyedUnrun) {
  auto token = std::make_shared<int>(1);
  bool ran = false;
  {
    auto loop = NewLoop();
    loop->Stop();
    loop->Run();
    loop->Post([token, &ran] { ran = true; });
    loop->RunAfter(1ms, [token, &ran] { ran = true; });
    EXPECT_EQ(token.use_count(), 3);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(LoopTest, SignalsArriveAsEvents) {
  auto loop = NewLoop();
  int got = 0;
  ASSERT_TRUE(loop->WatchSignals({SIGUSR1},
                                 [&](int number) {
                                   got = number;
                                   loop->Stop();
                                 })
                  .ok());
  kill(getpid(), SIGUSR1);
  loop->Run();
  EXPECT_EQ(got, SIGUSR1);
}

TEST(LoopThreadsTest, EachLoopRunsOnAThreadOfItsOwn) {
  auto threads = LoopThreads::Start("test", 2);
  ASSERT_TRUE(threads.ok());
  auto home = NewLoop();
  int answers = 0;
  for (env::EventLoop* loop : (*threads)->loops()) {
    loop->Post([&, loop] {
      EXPECT_TRUE(loop->InLoopThread());
      EXPECT_FALSE(home->InLoopThread());
      home->Post([&] {
        if (++answers == 2) home->Stop();
      });
    });
  }
  home->Run();
  EXPECT_EQ(answers, 2);
}

}  // namespace
}  // namespace tepal::runtime
