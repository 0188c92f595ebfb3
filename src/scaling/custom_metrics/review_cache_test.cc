// Answers kept for a while, bounded, and asked once at a time.

#include "scaling/custom_metrics/review_cache.h"

#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Cache = ReviewCache<int>;

struct Asked {
  std::vector<std::string> heard;
  Cache::Done Hear(const std::string& who) {
    return [this, who](const Result<int>& answer) {
      heard.push_back(Concat(who, answer.ok() ? Concat(" ", *answer) : " failed"));
    };
  }
};

TEST(ReviewCacheTest, KeepsAnAnswerUntilItsTimeIsOver) {
  Cache cache({});
  Asked asked;
  Instant now{};
  EXPECT_TRUE(cache.Begin("q", now, asked.Hear("a")));
  EXPECT_FALSE(cache.Begin("q", now, asked.Hear("b")));  // Joins.
  EXPECT_TRUE(asked.heard.empty());
  cache.End("q", 7, 10s, now);
  EXPECT_FALSE(cache.Begin("q", now + 9s, asked.Hear("c")));
  EXPECT_EQ(asked.heard, (std::vector<std::string>{"a 7", "b 7", "c 7"}));
  EXPECT_TRUE(cache.Begin("q", now + 10s, asked.Hear("d")));
  EXPECT_EQ(cache.counts().asked, 2u);
  EXPECT_EQ(cache.counts().hits, 1u);
}

TEST(ReviewCacheTest, KeepsNoErrorAndNothingTooLong) {
  Cache cache({.answers_max = 10, .question_bytes_max = 4});
  Asked asked;
  EXPECT_TRUE(cache.Begin("q", Instant{}, asked.Hear("a")));
  cache.End("q", Unavailable("x"), 10s, Instant{});
  EXPECT_TRUE(cache.Begin("q", Instant{}, asked.Hear("b")));
  EXPECT_TRUE(cache.Begin("too long", Instant{}, asked.Hear("c")));
  cache.End("too long", 1, 10s, Instant{});
  EXPECT_TRUE(cache.Begin("too long", Instant{}, asked.Hear("d")));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(ReviewCacheTest, IsBounded) {
  Cache cache({.answers_max = 3, .question_bytes_max = 100});
  Asked asked;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(cache.Begin(Concat("q", i), Instant{}, asked.Hear("a")));
    cache.End(Concat("q", i), i, 10s, Instant{});
    EXPECT_LE(cache.size(), 3u);
  }
  EXPECT_FALSE(cache.Begin("q99", Instant{}, asked.Hear("b")));
  EXPECT_TRUE(cache.Begin("q96", Instant{}, asked.Hear("b")));
}

}  // namespace
}  // namespace tepal::custom_metrics
