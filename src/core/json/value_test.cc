#include "core/json/value.h"

#include <gtest/gtest.h>

#include <limits>

namespace tepal::json {
namespace {

Value Parsed(std::string_view text) {
  Result<Value> value = Parse(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status().ToString();
  return value.ok() ? *std::move(value) : Value();
}

std::string ErrorOf(std::string_view text, int depth_max = 100) {
  const Result<Value> value = Parse(text, depth_max);
  EXPECT_FALSE(value.ok()) << text;
  EXPECT_EQ(value.status().code(), StatusCode::kInvalidArgument);
  return value.status().message();
}

TEST(JsonParseTest, ReadsEveryKindOfValue) {
  const Value value =
      Parsed(" {\"a\" : [1, -2.5e3, true, false, null, \"x\"],\n\"b\":{}, \"c\":[], \"\":\"\"}\t");
  ASSERT_NE(value.AsObject(), nullptr);
  EXPECT_EQ(value.AsObject()->size(), 4u);
  const Value::Array& array = *value.Find("a")->AsArray();
  ASSERT_EQ(array.size(), 6u);
  EXPECT_EQ(*array[0].AsInt(), 1);
  EXPECT_EQ(array[1].AsNumber(), -2500.0);
  EXPECT_EQ(array[1].AsInt(), nullptr);
  EXPECT_TRUE(*array[2].AsBool());
  EXPECT_FALSE(*array[3].AsBool());
  EXPECT_TRUE(array[4].is_null());
  EXPECT_EQ(*array[5].AsString(), "x");
  EXPECT_TRUE(value.Find("b")->AsObject()->empty());
  EXPECT_TRUE(value.Find("c")->AsArray()->empty());
  EXPECT_EQ(value.Find("missing"), nullptr);
  EXPECT_EQ(value.Find("a")->Find("a"), nullptr);
}

TEST(JsonParseTest, KeepsWholeNumbersWhole) {
  EXPECT_EQ(*Parsed("-9223372036854775808").AsInt(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(*Parsed("18446744073709551615").AsUint(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(Parsed("18446744073709551616").AsNumber(), 18446744073709551616.0);
  EXPECT_EQ(Parsed("1e2").AsInt(), nullptr);
}

TEST(JsonParseTest, DecodesEscapes) {
  EXPECT_EQ(*Parsed(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83c\udf37")").AsString(),
            "\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001f337");
  const std::string with_zero = *Parsed(R"("\u0000")").AsString();
  EXPECT_EQ(with_zero, std::string(1, '\0'));
}

TEST(JsonParseTest, SaysWhereAndWhat) {
  EXPECT_EQ(ErrorOf("{nope"), "invalid JSON at byte 1: expected a member's name in quotes or '}'");
  EXPECT_EQ(ErrorOf(""), "invalid JSON at byte 0: the text ends where a value should be");
  EXPECT_EQ(ErrorOf("[1 2]"),
            "invalid JSON at byte 3: expected ',' or ']' after an array's element");
  EXPECT_EQ(ErrorOf("{\"a\" 1}"), "invalid JSON at byte 5: expected ':' after the name 'a'");
  EXPECT_EQ(ErrorOf("1 1"),
            "invalid JSON at byte 2: unexpected text after the end of the document");
  EXPECT_EQ(ErrorOf("NaN"), "invalid JSON at byte 0: expected a value, got 'N'");
  EXPECT_EQ(ErrorOf("1e999"), "invalid JSON at byte 0: the number 1e999 does not fit a double");
}

TEST(JsonParseTest, RefusesWhatIsNotJson) {
  for (const char* text : {"{",
                           "[",
                           "[1,",
                           "[1,]",
                           "{\"a\":1,}",
                           "\"",
                           "\"\\",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12G4\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\n\"",
                           "01",
                           "-",
                           "1.",
                           ".5",
                           "1e",
                           "+1",
                           "tru",
                           "nul",
                           "'a'",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xf5\x80\x80\x80\"",
                           "\"\xe2\x82",
                           "{\"a\"}",
                           "{1:2}"}) {
    ErrorOf(text);
  }
}

TEST(JsonParseTest, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_EQ(FindInvalidUtf8("tulip \u00e9 \U0001f337"), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("ab\xd2OUT"), 2u);
  EXPECT_EQ(FindInvalidUtf8("ab\xe2\x82"), 2u);
}

TEST(JsonParseTest, LimitsDepth) {
  EXPECT_TRUE(Parse("[[[1]]]", 3).ok());
  EXPECT_EQ(ErrorOf("[[[[1]]]]", 3), "invalid JSON at byte 3: nested deeper than 3 levels");
  ErrorOf(std::string(200000, '['));
}

}  // namespace
}  // namespace tepal::json
