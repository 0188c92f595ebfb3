#include "serving/kserve/json_scanner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

namespace tepal::kserve {
namespace {

std::string ErrorOf(std::string_view text) {
  JsonScanner scanner(text);
  if (scanner.Skip() && scanner.End()) return "";
  return scanner.error().message();
}

std::string Said(std::string_view what) {
  return "failed to parse the request JSON buffer: " + std::string(what);
}

TEST(JsonScanner, AcceptsWhatTritonAccepts) {
  for (const char* text : {"{}", "[]", " [1, 2.5, -3e2, \"a\", true, false, null] ",
                           "{\"a\":{\"b\":[[],{}]}}", "[NaN, -NaN, Inf, -Inf, Infinity, -Infinity]",
                           "\"\\u00e9\\ud83d\\ude00\\/\"", "[0, -0, 0.5]", "\"\xff\xfe\""}) {
    EXPECT_EQ(ErrorOf(text), "") << text;
  }
}

TEST(JsonScanner, ReportsErrorsWhereTritonDoes) {
  EXPECT_EQ(ErrorOf("{not json"), Said("Missing a name for object member. at 1"));
  EXPECT_EQ(ErrorOf("{\"da"), Said("Missing a closing quotation mark in string. at 4"));
  EXPECT_EQ(ErrorOf("{} xx"), Said("The document root must not be followed by other values. at 3"));
  EXPECT_EQ(ErrorOf(""), Said("The document is empty. at 0"));
  EXPECT_EQ(ErrorOf("[1 2]"), Said("Missing a comma or ']' after an array element. at 3"));
  EXPECT_EQ(ErrorOf("{\"a\" 1}"), Said("Missing a colon after a name of object member. at 5"));
  EXPECT_EQ(ErrorOf("{\"a\":1 \"b\":2}"),
            Said("Missing a comma or '}' after an object member. at 7"));
  EXPECT_EQ(ErrorOf("{\"a\":1,}"), Said("Missing a name for object member. at 7"));
  EXPECT_EQ(ErrorOf("[1,]"), Said("Invalid value. at 3"));
  EXPECT_EQ(ErrorOf("[tru]"), Said("Invalid value. at 4"));
  EXPECT_EQ(ErrorOf("[1.]"), Said("Miss fraction part in number. at 3"));
  EXPECT_EQ(ErrorOf("[1e]"), Said("Miss exponent in number. at 3"));
  EXPECT_EQ(ErrorOf("[1e999]"), Said("Number too big to be stored in double. at 1"));
  EXPECT_EQ(ErrorOf("\"\\x\""), Said("Invalid escape character in string. at 1"));
  EXPECT_EQ(ErrorOf("\"\\u12g4\""), Said("Incorrect hex digit after \\u escape in string. at 1"));
  EXPECT_EQ(ErrorOf("\"\\ud800\""), Said("The surrogate pair in string is invalid. at 1"));
  EXPECT_EQ(ErrorOf("\"a\nb\""), Said("Invalid encoding in string. at 2"));
}

TEST(JsonScanner, LimitsDepthWithoutRecursion) {
  const std::string deepest = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(ErrorOf(deepest), "");
  EXPECT_EQ(ErrorOf(std::string(101, '[')),
            "JSON nesting depth exceeds maximum allowed limit (100)");
  EXPECT_EQ(ErrorOf(std::string(200'000, '{')), Said("Missing a name for object member. at 1"));
}

JsonNumber NumberOf(std::string_view text) {
  JsonScanner scanner(text);
  JsonNumber number;
  EXPECT_NE(scanner.Peek(), 0);
  EXPECT_TRUE(scanner.Number(number)) << text;
  return number;
}

TEST(JsonScanner, KeepsIntegersWhole) {
  EXPECT_EQ(NumberOf("18446744073709551615").magnitude, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(NumberOf("18446744073709551615").kind, JsonNumber::Kind::kUnsigned);
  EXPECT_EQ(NumberOf("-9223372036854775808").magnitude, 1ull << 63);
  EXPECT_EQ(NumberOf("-9223372036854775808").kind, JsonNumber::Kind::kNegative);
  EXPECT_EQ(NumberOf("-9223372036854775809").kind, JsonNumber::Kind::kReal);
  EXPECT_EQ(NumberOf("18446744073709551616").kind, JsonNumber::Kind::kReal);
  EXPECT_EQ(NumberOf("1.0").kind, JsonNumber::Kind::kReal);
}

TEST(JsonScanner, RoundsRealsCorrectly) {
  for (const char* text : {"0.1", "-0.3", "3.141592653589793238", "1e-7", "123456.789e3", "5e-324",
                           "1e-400", "9007199254740993.5", "0.30000000000000004", "1e22", "-0",
                           "0.000000000000000000000000012345678901234567890123"}) {
    const double expected = std::strtod(text, nullptr);
    EXPECT_EQ(NumberOf(text).value, expected) << text;
    EXPECT_EQ(std::signbit(NumberOf(text).value), std::signbit(expected)) << text;
  }
  EXPECT_TRUE(std::isnan(NumberOf("NaN").value));
  EXPECT_EQ(NumberOf("-Infinity").value, -std::numeric_limits<double>::infinity());
}

// 16 to 19 digits: what float32 and double values look like in JSON.
TEST(JsonScanner, RoundsLongRealsCorrectly) {
  const unsigned seed = 11;
  std::mt19937_64 random(seed);
  const auto check = [&](const std::string& text) {
    EXPECT_EQ(NumberOf(text).value, std::strtod(text.c_str(), nullptr))
        << text << ", seed " << seed;
  };
  for (int i = 0; i < 100'000; ++i) {
    std::string digits = std::to_string(random() % 10'000'000'000'000'000'000u);
    digits.resize(std::min<size_t>(digits.size(), 16 + random() % 4));
    check(std::string(digits).insert(1, ".") + "e-" + std::to_string(random() % 9));
    check("0." + digits);
    // Halfway between two doubles, and a little to either side.
    const std::string whole = std::to_string((1ull << 51) + random() % (1ull << 51));
    for (const char* fraction : {".25", ".249", ".251", ".75"}) check(whole + fraction);
  }
}

TEST(JsonScanner, UnescapesStrings) {
  JsonScanner scanner(R"("h\u00e9llo \"\\\ud83d\ude00\n")");
  std::string_view text;
  ASSERT_EQ(scanner.Peek(), '"');
  ASSERT_TRUE(scanner.String(text));
  EXPECT_EQ(text, "h\u00e9llo \"\\\U0001f600\n");
}

}  // namespace
}  // namespace tepal::kserve
