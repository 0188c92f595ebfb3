#include "core/json/writer.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include "core/base/text.h"

namespace tepal::json {
namespace {

std::string DoubleText(double value) { return Writer().Double(value).text(); }
std::string FloatText(float value) { return Writer().Float(value).text(); }

TEST(WriterTest, PutsCommasBetweenMembersAndElements) {
  Writer writer;
  writer.BeginObject().Key("a").Int(-1).Key("b").BeginArray().Uint(2).Bool(true).Null();
  writer.BeginObject().EndObject().BeginArray().EndArray().EndArray();
  writer.Key("c").String("x").Key("d").Raw("[0]").EndObject();
  EXPECT_EQ(writer.Take(), R"({"a":-1,"b":[2,true,null,{},[]],"c":"x","d":[0]})");
}

TEST(WriterTest, EscapesWhatJsonMust) {
  EXPECT_EQ(Writer().String("a\"b\\c/\n\r\t\b\f\x01\x1f\u00e9").text(),
            "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0001\\u001F\u00e9\"");
  EXPECT_EQ(Writer().BeginObject().Key("\"").Int(1).EndObject().text(), R"({"\"":1})");
}

TEST(WriterTest, IntegersAtTheirLimits) {
  EXPECT_EQ(Writer().Int(std::numeric_limits<int64_t>::min()).text(), "-9223372036854775808");
  EXPECT_EQ(Writer().Uint(std::numeric_limits<uint64_t>::max()).text(), "18446744073709551615");
}

TEST(WriterTest, NumbersHaveADecimal) {
  EXPECT_EQ(DoubleText(11), "11.0");
  EXPECT_EQ(DoubleText(0), "0.0");
  EXPECT_EQ(DoubleText(-0.0), "-0.0");
  EXPECT_EQ(DoubleText(-9), "-9.0");
  EXPECT_EQ(DoubleText(0.5), "0.5");
  EXPECT_EQ(DoubleText(12.34), "12.34");
  EXPECT_EQ(DoubleText(1e20), "100000000000000000000.0");
  EXPECT_EQ(DoubleText(1e21), "1e21");
  EXPECT_EQ(DoubleText(1.25e22), "1.25e22");
  EXPECT_EQ(DoubleText(0.00001), "0.00001");
  EXPECT_EQ(DoubleText(0.0000012), "0.0000012");
  EXPECT_EQ(DoubleText(1e-7), "1e-7");
  EXPECT_EQ(DoubleText(-1.5e-300), "-1.5e-300");
  EXPECT_EQ(DoubleText(9007199254740993.0), "9007199254740992.0");
}

TEST(WriterTest, FloatsAreShortestForAFloat) {
  EXPECT_EQ(FloatText(0.1f), "0.1");
  EXPECT_EQ(FloatText(16777216.0f), "16777216.0");
  EXPECT_EQ(FloatText(3.4028235e38f), "3.4028235e38");
}

TEST(WriterTest, NotNumbersAreBare) {
  EXPECT_EQ(DoubleText(std::nan("")), "NaN");
  EXPECT_EQ(DoubleText(HUGE_VAL), "Infinity");
  EXPECT_EQ(FloatText(-HUGE_VALF), "-Infinity");
}

TEST(WriterTest, RandomDoublesReadBackTheSame) {
  constexpr uint64_t kSeed = 20260701;
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const std::string text = DoubleText(value);
    const auto read = ParseNumber<double>(text);
    ASSERT_TRUE(read.has_value()) << text << " seed " << kSeed;
    ASSERT_EQ(std::bit_cast<uint64_t>(*read), std::bit_cast<uint64_t>(value))
        << text << " seed " << kSeed;
    const float narrow = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(narrow)) continue;
    ASSERT_EQ(ParseNumber<float>(FloatText(narrow)), narrow) << "seed " << kSeed;
  }
}

}  // namespace
}  // namespace tepal::json
