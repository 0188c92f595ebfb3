#include "balancing/load_balancer/sequence_table.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

TEST(SequenceTableTest, RemembersUntilToldOrSilentOrFull) {
  SequenceTable table;
  Instant now(1s);
  EXPECT_EQ(table.Find(7, now), std::nullopt);
  table.Bind(7, 1, now);
  table.Bind(8, 2, now);
  EXPECT_EQ(table.Find(7, now), 1u);
  table.Bind(7, 3, now);
  EXPECT_EQ(table.Find(7, now), 3u);
  table.Forget(7);
  EXPECT_EQ(table.Find(7, now), std::nullopt);
  EXPECT_EQ(table.Find(8, now + SequenceTable::kIdleMax), 2u);  // Heard of again.
  EXPECT_EQ(table.Find(8, now + 2 * SequenceTable::kIdleMax), 2u);
  EXPECT_EQ(table.Find(8, now + 4 * SequenceTable::kIdleMax), std::nullopt);
  for (uint64_t i = 1; i <= SequenceTable::kSequencesMax + 10; ++i) table.Bind(i, 1, now);
  EXPECT_EQ(table.size(), SequenceTable::kSequencesMax);
  EXPECT_EQ(table.Find(10, now), std::nullopt);
  EXPECT_EQ(table.Find(11, now), 1u);
}

}  // namespace
}  // namespace tepal::lb
