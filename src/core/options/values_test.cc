#include "core/options/values.h"

#include <gtest/gtest.h>

#include <vector>

namespace tepal::options {
namespace {

TEST(ValuesTest, Booleans) {
  for (const char* text : {"true", "True", "TRUE", "1", "on", "yes"}) {
    EXPECT_EQ(ParseBool(text), true) << text;
  }
  for (const char* text : {"false", "FALSE", "0", "off", "no"}) {
    EXPECT_EQ(ParseBool(text), false) << text;
  }
  for (const char* text : {"", "2", "maybe", " true", "t"}) {
    EXPECT_EQ(ParseBool(text), std::nullopt) << text;
  }
}

TEST(ValuesTest, Durations) {
  EXPECT_EQ(ParseDuration("250ms"), 250ms);
  EXPECT_EQ(ParseDuration("1.5s"), 1500ms);
  EXPECT_EQ(ParseDuration("5m"), 300s);
  EXPECT_EQ(ParseDuration("2h"), 7200s);
  EXPECT_EQ(ParseDuration("7us"), 7us);
  EXPECT_EQ(ParseDuration("9ns"), 9ns);
  EXPECT_EQ(ParseDuration("1h1m1.5s"), 3661500ms);
  EXPECT_EQ(ParseDuration("10m0s"), 600s);
  EXPECT_EQ(ParseDuration("0"), 0s);
  for (const char* text : {"", "5", "ms", "-1s", "1 s", "1d", "1.2.3s", "1e3s", "99999999999h"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(ValuesTest, DurationTextsReadBack) {
  for (const Duration duration : {Duration(0ns), Duration(1ns), Duration(90s), Duration(1500ms),
                                  Duration(7200s), Duration(1001us)}) {
    EXPECT_EQ(ParseDuration(DurationText(duration)), duration) << DurationText(duration);
  }
  EXPECT_EQ(DurationText(90s), "90s");
  EXPECT_EQ(DurationText(1500ms), "1500ms");
}

TEST(ValuesTest, ByteCounts) {
  EXPECT_EQ(ParseBytes("0"), 0u);
  EXPECT_EQ(ParseBytes("1048576"), 1048576u);
  EXPECT_EQ(ParseBytes("64MiB"), 64u << 20);
  EXPECT_EQ(ParseBytes("2GiB"), 2ull << 30);
  EXPECT_EQ(ParseBytes("3KB"), 3000u);
  EXPECT_EQ(ParseBytes("5B"), 5u);
  for (const char* text : {"", "MiB", "-1", "1.5MiB", "1 MiB", "99999999999GiB", "1kib"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

TEST(ValuesTest, NearestNameIsATypingMistakeAway) {
  const std::vector<std::string_view> names = {"http-port", "http-address", "id", "grpc-port"};
  EXPECT_EQ(NearestName("http-prot", names), "http-port");
  EXPECT_EQ(NearestName("htp-port", names), "http-port");
  EXPECT_EQ(NearestName("http-adress", names), "http-address");
  EXPECT_EQ(NearestName("metrics", names), std::nullopt);
  EXPECT_EQ(NearestName("xy", names), std::nullopt);
  EXPECT_EQ(NearestName("x", {}), std::nullopt);
}

}  // namespace
}  // namespace tepal::options
