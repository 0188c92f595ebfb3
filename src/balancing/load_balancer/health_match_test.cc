#include "balancing/load_balancer/health_match.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using Op = HealthMatch::Header::Op;

http::ResponseHead Head(int status, std::string_view name = "", std::string_view value = "") {
  http::ResponseHead head;
  head.status = status;
  if (!name.empty()) head.headers.Add(name, value);
  return head;
}

std::string Judge(const HealthMatch::Options& options, const http::ResponseHead& head,
                  std::string_view body = "") {
  return HealthMatch::New(options).value().Judge(head, body);
}

TEST(HealthMatchTest, StatusesAreRangesOrAnyButThose) {
  EXPECT_EQ(Judge({}, Head(200)), "");
  EXPECT_EQ(Judge({}, Head(204)), "status 204, expected 200");
  HealthMatch::Options options;
  options.statuses = {{200, 204}, {301, 301}};
  EXPECT_EQ(Judge(options, Head(203)), "");
  EXPECT_EQ(Judge(options, Head(301)), "");
  EXPECT_EQ(Judge(options, Head(302)), "status 302, expected 200-204, 301");
  options.other_statuses = true;
  EXPECT_EQ(Judge(options, Head(302)), "");
  EXPECT_EQ(Judge(options, Head(301)), "status 301, expected none of 200-204, 301");
}

TEST(HealthMatchTest, HeadersAreThereOrNotAndMatchOrNot) {
  struct Case {
    Op op;
    const char* value;
    bool without, json, text;
  };
  const Case cases[] = {{Op::kPresent, "", false, true, true},
                        {Op::kAbsent, "", true, false, false},
                        {Op::kEquals, "application/json", false, true, false},
                        {Op::kDiffers, "application/json", true, false, true},
                        {Op::kMatches, "^application/", false, true, false},
                        {Op::kMatchesNot, "^application/", true, false, true}};
  for (const Case& c : cases) {
    HealthMatch::Options options;
    options.headers.push_back({"content-type", c.op, c.value});
    EXPECT_EQ(Judge(options, Head(200)).empty(), c.without);
    EXPECT_EQ(Judge(options, Head(200, "content-type", "application/json")).empty(), c.json);
    EXPECT_EQ(Judge(options, Head(200, "content-type", "text/html")).empty(), c.text);
  }
}

TEST(HealthMatchTest, BodiesMatchWithinTheirFirstPart) {
  HealthMatch::Options options;
  options.body = "\"state\":\\s*\"READY\"";
  EXPECT_EQ(Judge(options, Head(200), R"({"state": "READY"})"), "");
  EXPECT_EQ(Judge(options, Head(200), "{}"), "the body does not match '\"state\":\\s*\"READY\"'");
  const std::string late = std::string(HealthMatch::kBodyBytesMax, ' ') + R"("state":"READY")";
  EXPECT_NE(Judge(options, Head(200), late), "");
  options.body_differs = true;
  EXPECT_EQ(Judge(options, Head(200), "{}"), "");
}

TEST(HealthMatchTest, StatusesAsText) {
  HealthMatch::Options options;
  ASSERT_TRUE(HealthMatch::ParseStatuses("200-299,304", options).ok());
  const auto& statuses = options.statuses;
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(statuses[0].last, 299);
  EXPECT_EQ(statuses[1].first, 304);
  EXPECT_EQ(HealthMatch::ParseStatuses("200,x", options).message(),
            "'x', expected a status or a range, as 200-299");
}

TEST(HealthMatchTest, RulesThatMakeNoSenseAreRefused) {
  HealthMatch::Options options;
  options.body = "(";
  EXPECT_NE(HealthMatch::New(options).status().message().find("no regular expression"),
            std::string::npos);
  options.body.clear();
  options.statuses = {{300, 200}};
  EXPECT_NE(HealthMatch::New(options).status().message().find("300-200"), std::string::npos);
  options.statuses.clear();
  EXPECT_FALSE(HealthMatch::New(options).ok());
}

TEST(HealthMatchTest, RulesAreWrittenAsOneText) {
  HealthMatch::Options options;
  ASSERT_TRUE(HealthMatch::ParseStatuses("! 500-599, 404", options).ok());
  EXPECT_TRUE(options.other_statuses);
  EXPECT_EQ(Judge(options, Head(200)), "");
  EXPECT_NE(Judge(options, Head(404)), "");
  struct Case {
    const char* text;
    Op op;
    const char* name;
    const char* value;
  };
  const Case cases[] = {
      {"Server", Op::kPresent, "server", ""},  {"!X-Old", Op::kAbsent, "x-old", ""},
      {" ! x-old ", Op::kAbsent, "x-old", ""}, {"a = b c", Op::kEquals, "a", "b c"},
      {"a=b", Op::kEquals, "a", "b"},          {"a != b", Op::kDiffers, "a", "b"},
      {"a ~ ^b$", Op::kMatches, "a", "^b$"},   {"a !~ b", Op::kMatchesNot, "a", "b"}};
  for (const Case& c : cases) {
    const auto header = HealthMatch::ParseHeader(c.text);
    ASSERT_TRUE(header.ok()) << c.text;
    EXPECT_EQ(header->op, c.op) << c.text;
    EXPECT_EQ(header->name, c.name) << c.text;
    EXPECT_EQ(header->value, c.value) << c.text;
  }
  for (const char* bad : {"", "!", "= b", "a b", "a: b", "! a b", "a !b"}) {
    EXPECT_FALSE(HealthMatch::ParseHeader(bad).ok()) << bad;
  }
  HealthMatch::ParseBody("!~ down", options);
  EXPECT_TRUE(options.body_differs);
  EXPECT_EQ(options.body, "down");
  HealthMatch::ParseBody("up", options);
  EXPECT_FALSE(options.body_differs);
}

}  // namespace
}  // namespace tepal::lb
