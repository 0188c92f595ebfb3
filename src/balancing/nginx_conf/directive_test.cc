#include "balancing/nginx_conf/directive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::nginx_conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Directive> Parse(std::string_view text) {
  auto directives = ParseDirectives(text, "nginx.conf");
  EXPECT_TRUE(directives.ok()) << directives.status().message();
  return directives.ok() ? *directives : std::vector<Directive>();
}
std::string ErrorOf(std::string_view text) {
  return ParseDirectives(text, "nginx.conf").status().message();
}

TEST(NginxDirectiveTest, WordsBlocksAndLines) {
  const auto tree = Parse(R"(# A comment; with { everything }
resolver  10.0.0.1 valid=5s;
upstream backend {
   server a:80 weight=3;   # Behind.
}
location = / { })");
  ASSERT_EQ(tree.size(), 3u);
  EXPECT_EQ(tree[0].name, "resolver");
  EXPECT_EQ(tree[0].line, 2);
  EXPECT_THAT(tree[0].words, ElementsAre("10.0.0.1", "valid=5s"));
  EXPECT_FALSE(tree[0].has_block);
  ASSERT_EQ(tree[1].block.size(), 1u);
  EXPECT_EQ(tree[1].block[0].line, 4);
  EXPECT_THAT(tree[1].block[0].words, ElementsAre("a:80", "weight=3"));
  EXPECT_THAT(tree[2].words, ElementsAre("=", "/"));
  EXPECT_TRUE(tree[2].has_block);
}

TEST(NginxDirectiveTest, QuotesEscapesAndVariables) {
  const auto tree = Parse(R"(log_format main '$remote_addr "$request"' "a\"b\\c\n" x\;y\ z;
set $a ${b}c;
location ~ \.php$ {}
proxy_set_header Connection "";)");
  ASSERT_EQ(tree.size(), 4u);
  EXPECT_THAT(tree[0].words,
              ElementsAre("main", "$remote_addr \"$request\"", "a\"b\\c\n", "x\\;y\\ z"));
  EXPECT_THAT(tree[1].words, ElementsAre("$a", "${b}c"));
  EXPECT_THAT(tree[2].words, ElementsAre("~", "\\.php$"));
  EXPECT_THAT(tree[3].words, ElementsAre("Connection", ""));
}

TEST(NginxDirectiveTest, MistakesHaveTheirLine) {
  EXPECT_EQ(ErrorOf("a {\n b;\n"),
            "nginx.conf:1: the block that begins here is not closed with '}'");
  EXPECT_EQ(ErrorOf("a;\n}\n"), "nginx.conf:2: '}' closes nothing");
  EXPECT_EQ(ErrorOf("a {\n b c }\n"), "nginx.conf:2: '}' where 'b' (line 2) needs ';'");
  EXPECT_EQ(ErrorOf("\na b"), "nginx.conf:2: 'a' has no ';' at its end");
  EXPECT_EQ(ErrorOf(";"), "nginx.conf:1: ';' ends nothing");
  EXPECT_EQ(ErrorOf("{"), "nginx.conf:1: '{' has no name before it");
  EXPECT_EQ(ErrorOf("a 'b\n;"), "nginx.conf:1: the quote ' is not closed");
}

TEST(NginxDirectiveTest, SizesAreBounded) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "a {";
  EXPECT_THAT(ErrorOf(deep), HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(ErrorOf(std::string(kBytesMax + 1, ' ')), HasSubstr("expected at most 1048576"));
  std::string wide = "a";
  for (int i = 0; i < 1001; ++i) wide += " b";
  EXPECT_THAT(ErrorOf(wide + ";"), HasSubstr("more than 1000 parameters"));
  std::string many;
  for (int i = 0; i < 50'001; ++i) many += "a;";
  EXPECT_THAT(ErrorOf(many), HasSubstr("more than 50000 directives"));
}

TEST(NginxDirectiveTest, EveryCutIsReadOrRefused) {
  const std::string text = "a 'b' \"c\\n\" { d ${e} \\; ; } # f\ng h;";
  for (size_t i = 0; i <= text.size(); ++i) {
    (void)ParseDirectives(std::string_view(text).substr(0, i), "cut").ok();
  }
}

}  // namespace
}  // namespace tepal::nginx_conf
