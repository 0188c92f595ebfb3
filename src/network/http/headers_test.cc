#include "network/http/headers.h"

#include <gtest/gtest.h>

#include "network/http/message.h"

namespace tepal::http {
namespace {

TEST(HeadersTest, LowersNamesAndKeepsOrderAndValues) {
  Headers headers;
  headers.Add("Content-Type", "Application/JSON");
  headers.Add("X-A", "1");
  headers.Add("x-a", "2");
  ASSERT_EQ(headers.size(), 3u);
  EXPECT_EQ(headers[0].name, "content-type");
  EXPECT_EQ(headers[0].value, "Application/JSON");
  EXPECT_EQ(headers.Get("x-a"), "1");
  EXPECT_EQ(headers.Get("x-b"), std::nullopt);
  EXPECT_EQ(headers.byte_size(), 12u + 16u + 3u + 1u + 3u + 1u);
}

TEST(HeadersTest, SetReplacesEveryFieldOfTheName) {
  Headers headers;
  headers.Add("a", "1");
  headers.Add("b", "2");
  headers.Add("A", "3");
  headers.Set("a", "4");
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers.Get("a"), "4");
  headers.Remove("B");
  EXPECT_FALSE(headers.Has("b"));
  headers.Clear();
  EXPECT_TRUE(headers.empty());
}

TEST(HeadersTest, ListHasFindsTokensInEveryField) {
  Headers headers;
  headers.Add("connection", "Keep-Alive , x-foo");
  headers.Add("connection", "CLOSE");
  EXPECT_TRUE(headers.ListHas("connection", "keep-alive"));
  EXPECT_TRUE(headers.ListHas("connection", "close"));
  EXPECT_FALSE(headers.ListHas("connection", "foo"));
}

TEST(HeadersTest, SurvivesGrowthAndCopies) {
  Headers headers;
  for (int i = 0; i < 500; ++i) headers.Add("n" + std::to_string(i), "v" + std::to_string(i));
  const Headers copy = headers;
  headers.Clear();
  headers.Add("z", "z");
  for (int i = 0; i < 500; ++i)
    EXPECT_EQ(copy.Get("n" + std::to_string(i)), "v" + std::to_string(i));
}

TEST(MessageTest, SplitsTheTargetAtTheQuestionMark) {
  RequestHead head;
  head.target = "/v2/models/m?x=1?y";
  EXPECT_EQ(head.path(), "/v2/models/m");
  EXPECT_EQ(head.query(), "x=1?y");
  head.target = "*";
  EXPECT_EQ(head.path(), "*");
  EXPECT_EQ(head.query(), "");
}

}  // namespace
}  // namespace tepal::http
