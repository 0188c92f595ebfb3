#include "backends/sugar/json.h"

#include <gtest/gtest.h>

namespace tepal_plugin {
namespace {

TEST(Json, ReadsAndWritesBack) {
  const std::string text = R"({"a":[1,-2.5e3,true,null],"b":{"c":"x\"y"},"d":{},"e":[]})";
  EXPECT_EQ(Json::Parse(text).Write(), text);
  EXPECT_EQ(Json::Parse(" { \"a\" : [ 1 , 2 ] } ").Write(), R"({"a":[1,2]})");
}

TEST(Json, MissingMembersAreNullAllTheWayDown) {
  const Json json = Json::Parse(R"({"a":1})");
  EXPECT_EQ(json["b"]["c"].kind(), Json::Kind::kNull);
  EXPECT_EQ(json["b"].AsInt(7), 7);
  EXPECT_EQ(json["a"].AsInt(), 1);
}

TEST(Json, EscapesBecomeUtf8) {
  EXPECT_EQ(Json::Parse(R"("\u00e9\n\ud83c\udf37")").text(), "\xC3\xA9\n\xF0\x9F\x8C\xB7");
}

TEST(Json, WhatIsNotJsonIsNull) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\"}", "\"x", "tru", "1 2", "\"\\u12\"", "{1:2}"}) {
    EXPECT_EQ(Json::Parse(bad).kind(), Json::Kind::kNull) << bad;
  }
  EXPECT_EQ(Json::Parse(std::string(1000, '[')).kind(), Json::Kind::kNull);
}

}  // namespace
}  // namespace tepal_plugin
