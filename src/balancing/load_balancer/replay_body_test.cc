#include "balancing/load_balancer/replay_body.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "balancing/load_balancer/replay_budget.h"

namespace tepal::lb {
namespace {

std::string Receive(ReplayBody& body, std::string_view text) {
  std::string received;
  while (!text.empty()) {
    const auto room = body.Room(text.size());
    const size_t bytes = std::min(room.size(), text.size());
    std::memcpy(room.data(), text.data(), bytes);
    text.remove_prefix(bytes);
    received += body.Received(bytes).text();
  }
  return received;
}

std::string Kept(const ReplayBody& body) {
  const Buffer whole = Flatten(body.pieces());
  return std::string(whole.text());
}

TEST(ReplayBodyTest, KnownLengthLiesInOnePiece) {
  Budget budget(1000);
  ReplayBody body(11, 100, budget);
  EXPECT_EQ(budget.used(), 11u);
  EXPECT_EQ(Receive(body, "hello "), "hello ");
  EXPECT_EQ(Receive(body, "world"), "world");
  EXPECT_EQ(body.pieces().size(), 1u);
  EXPECT_EQ(Kept(body), "hello world");
  EXPECT_TRUE(body.full());
}

TEST(ReplayBodyTest, UnknownLengthIsKeptInPieces) {
  Budget budget(1 << 20);
  ReplayBody body(std::nullopt, 100'000, budget);
  std::string sent;
  for (int i = 0; i < 9; ++i) {
    const std::string part(10'007, static_cast<char>('a' + i));
    EXPECT_EQ(Receive(body, part), part);
    sent += part;
  }
  EXPECT_EQ(Kept(body), sent);
  EXPECT_EQ(body.size(), sent.size());
  EXPECT_FALSE(body.full());
}

TEST(ReplayBodyTest, DropGivesTheBudgetBackAndStreamsOn) {
  Budget budget(1000);
  ReplayBody body(5000, 1000, budget);
  EXPECT_EQ(budget.used(), 1000u);
  Receive(body, std::string(1001, 'x'));
  EXPECT_TRUE(body.full());
  body.Drop();
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(Receive(body, "more"), "more");
  EXPECT_TRUE(body.pieces().empty());
}

TEST(ReplayBodyTest, WithoutBudgetNothingIsPromised) {
  Budget budget(10);
  {
    ReplayBody first(10, 100, budget);
    ReplayBody second(10, 100, budget);
    EXPECT_EQ(second.keep_max(), 0u);
    EXPECT_TRUE(second.full());
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ReplayBudgetTest, TheLimitChangesWhilePartsAreHeld) {
  ReplayBudget replay(100);
  Budget& budget = replay.budget();
  EXPECT_TRUE(budget.TryTake(80));
  EXPECT_FALSE(budget.TryTake(21));
  EXPECT_EQ(replay.used(), 80u);
  replay.SetLimit(50);
  EXPECT_EQ(replay.used(), 80u);
  EXPECT_FALSE(budget.TryTake(1));
  budget.Give(60);
  EXPECT_FALSE(budget.TryTake(31));
  EXPECT_TRUE(budget.TryTake(30));
  replay.SetLimit(200);
  EXPECT_TRUE(budget.TryTake(150));
  EXPECT_FALSE(budget.TryTake(1));
  budget.Give(200);
  EXPECT_EQ(replay.used(), 0u);
  replay.SetLimit(SIZE_MAX);
  EXPECT_TRUE(budget.TryTake(size_t{1} << 40));
  EXPECT_EQ(replay.used(), size_t{1} << 40);
  budget.Give(size_t{1} << 40);
}

}  // namespace
}  // namespace tepal::lb
