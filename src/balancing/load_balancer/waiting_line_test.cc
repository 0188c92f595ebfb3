#include "balancing/load_balancer/waiting_line.h"

#include <gtest/gtest.h>

#include <vector>

namespace tepal::lb {
namespace {

constexpr Instant kStart{1000s};

WaitingLine::Entry Waiting(Ticket ticket, Instant since = kStart, Duration time_max = 30s) {
  WaitingLine::Entry entry;
  entry.ticket = ticket;
  entry.since = since;
  entry.deadline = since + time_max;
  return entry;
}

std::vector<Ticket> Order(WaitingLine& line) {
  std::vector<Ticket> order;
  line.Walk([&](const WaitingLine::Entry& entry) {
    order.push_back(entry.ticket);
    return WaitingLine::Step::kStay;
  });
  return order;
}

TEST(WaitingLineTest, FirstComeFirstServedAndTheReturnedInFront) {
  WaitingLine line(10);
  EXPECT_TRUE(line.PushBack(Waiting(1)));
  EXPECT_TRUE(line.PushBack(Waiting(2)));
  line.PushFront(Waiting(3));
  EXPECT_EQ(Order(line), (std::vector<Ticket>{3, 1, 2}));
}

TEST(WaitingLineTest, FullMeansFullForNewcomersOnly) {
  WaitingLine line(1);
  EXPECT_TRUE(line.PushBack(Waiting(1)));
  EXPECT_FALSE(line.PushBack(Waiting(2)));
  line.PushFront(Waiting(3));
  EXPECT_EQ(line.size(), 2u);
}

TEST(WaitingLineTest, WalkTakesOutThoseWhoGo) {
  WaitingLine line(10);
  for (Ticket ticket = 1; ticket <= 5; ++ticket) line.PushBack(Waiting(ticket));
  line.Walk([](const WaitingLine::Entry& entry) {
    if (entry.ticket == 4) return WaitingLine::Step::kStop;
    return entry.ticket % 2 == 1 ? WaitingLine::Step::kLeave : WaitingLine::Step::kStay;
  });
  EXPECT_EQ(Order(line), (std::vector<Ticket>{2, 4, 5}));
  EXPECT_FALSE(line.Remove(1).has_value());
  EXPECT_EQ(line.Remove(4)->ticket, 4u);
  EXPECT_EQ(Order(line), (std::vector<Ticket>{2, 5}));
}

TEST(WaitingLineTest, TimeLimitsAndAges) {
  WaitingLine line(10);
  EXPECT_FALSE(line.NextDeadline(kStart).has_value());
  EXPECT_EQ(line.OldestAge(kStart), 0s);
  line.PushBack(Waiting(1, kStart, 30s));
  line.PushBack(Waiting(2, kStart + 1s, 5s));
  EXPECT_EQ(line.NextDeadline(kStart), kStart + 6s);
  EXPECT_EQ(line.OldestAge(kStart + 4s), 4s);
  EXPECT_FALSE(line.PopExpired(kStart + 6s - 1ns).has_value());
  EXPECT_EQ(line.PopExpired(kStart + 6s)->ticket, 2u);
  EXPECT_FALSE(line.PopExpired(kStart + 6s).has_value());
  EXPECT_EQ(line.NextDeadline(kStart + 6s), kStart + 30s);
  line.Remove(1);
  EXPECT_EQ(line.OldestAge(kStart + 60s), 0s);
}

TEST(WaitingLineTest, EndOfAnAvoidanceIsADeadline) {
  WaitingLine line(10);
  WaitingLine::Entry entry = Waiting(1);
  entry.tried = {7};
  entry.avoid_until = kStart + 25ms;
  line.PushFront(entry);
  EXPECT_EQ(line.NextDeadline(kStart), kStart + 25ms);
  EXPECT_EQ(line.NextDeadline(kStart + 25ms), kStart + 30s);
}

TEST(WaitingLineTest, CountsByModel) {
  WaitingLine line(10);
  for (Ticket ticket = 1; ticket <= 5; ++ticket) {
    WaitingLine::Entry entry = Waiting(ticket, kStart, ticket == 5 ? 1s : 30s);
    entry.model = ticket == 1 ? 0 : ticket == 2 ? 7 : 3;
    EXPECT_TRUE(line.PushBack(std::move(entry)));
  }
  EXPECT_EQ(line.size_of(3), 3u);
  EXPECT_EQ(line.size_of(7), 1u);
  EXPECT_EQ(line.size_of(8), 0u);
  EXPECT_TRUE(line.Remove(2).has_value());
  EXPECT_EQ(line.size_of(7), 0u);
  EXPECT_TRUE(line.PopExpired(kStart + 2s).has_value());
  EXPECT_EQ(line.size_of(3), 2u);
  line.Walk([](const WaitingLine::Entry&) { return WaitingLine::Step::kLeave; });
  EXPECT_EQ(line.size_of(3), 0u);
}

}  // namespace
}  // namespace tepal::lb
