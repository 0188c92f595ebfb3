#include "balancing/nginx_conf/values.h"

#include <gtest/gtest.h>

namespace tepal::nginx_conf {
namespace {

TEST(NginxValuesTest, Times) {
  EXPECT_EQ(ParseTime("10"), 10s);
  EXPECT_EQ(ParseTime("500ms"), 500ms);
  EXPECT_EQ(ParseTime("1m30s"), 90s);
  EXPECT_EQ(ParseTime("1h"), 3600s);
  EXPECT_EQ(ParseTime("0"), 0s);
  for (const char* bad : {"", "s", "5x", "-1", "1m30x", "99999999999", "400d", "1.5s"}) {
    EXPECT_FALSE(ParseTime(bad).has_value()) << bad;
  }
}

TEST(NginxValuesTest, Sizes) {
  EXPECT_EQ(ParseSize("4096"), 4096u);
  EXPECT_EQ(ParseSize("64k"), 64u << 10);
  EXPECT_EQ(ParseSize("2M"), 2u << 20);
  EXPECT_EQ(ParseSize("3g"), 3ull << 30);
  for (const char* bad : {"", "k", "5x", "-1", "99999999999"}) {
    EXPECT_FALSE(ParseSize(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace tepal::nginx_conf
