#include "backends/pytorch/block_cache.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>

namespace tepal_plugin {
namespace {

constexpr size_t kMebibyte = size_t{1} << 20;

TEST(BlockCacheTest, BlockOfTheSameSizeIsTakenAgain) {
  BlockCache cache(0, 8 * kMebibyte);
  void* const first = cache.Take(kMebibyte);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % BlockCache::kAlignment, 0u);
  std::memset(first, 1, kMebibyte);
  cache.Give(first);
  EXPECT_EQ(cache.kept(), kMebibyte);
  void* const other = cache.Take(2 * kMebibyte);
  EXPECT_NE(other, first);
  // A little less is the same size, rounded up.
  EXPECT_EQ(cache.Take(kMebibyte - 100), first);
  EXPECT_EQ(cache.kept(), 0u);
  cache.Give(first);
  cache.Give(other);
}

TEST(BlockCacheTest, KeepsNoMoreThanItsLimit) {
  BlockCache cache(4096, 2 * kMebibyte);
  void* const blocks[] = {cache.Take(kMebibyte), cache.Take(kMebibyte), cache.Take(kMebibyte)};
  for (void* block : blocks) cache.Give(block);
  EXPECT_EQ(cache.kept(), 2 * kMebibyte);
  cache.Give(cache.Take(3000));
  EXPECT_EQ(cache.kept(), 2 * kMebibyte);
  void* const large = cache.Take(3 * kMebibyte);
  cache.Give(large);
  EXPECT_EQ(cache.kept(), 2 * kMebibyte);
  cache.Trim();
  EXPECT_EQ(cache.kept(), 0u);
  cache.Give(cache.Take(3000));
  EXPECT_EQ(cache.kept(), 0u);
}

TEST(BlockCacheTest, EverySizeFitsIntoItsBlock) {
  BlockCache cache(0, kMebibyte);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{65}, size_t{511}, size_t{513},
                            size_t{4097}, size_t{150529}, kMebibyte - 1}) {
    void* const block = cache.Take(size);
    ASSERT_NE(block, nullptr) << size;
    std::memset(block, 1, size);
    cache.Give(block);
    EXPECT_GE(cache.kept(), size);
    // No more than an eighth of it is lost, or a line of the processor's cache.
    EXPECT_LE(cache.kept(), size + size / 8 + BlockCache::kAlignment);
    cache.Trim();
  }
}

TEST(BlockCacheTest, NoMemoryIsNull) {
  BlockCache cache(0, kMebibyte);
  EXPECT_EQ(cache.Take(std::numeric_limits<size_t>::max()), nullptr);
}

}  // namespace
}  // namespace tepal_plugin
