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
  const auto statuses = HealthMatch::ParseStatuses("200-299,304").value();
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(statuses[0].last, 299);
  EXPECT_EQ(statuses[1].first, 304);
  EXPECT_EQ(HealthMatch::ParseStatuses("200,x").status().message(),
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

}  // namespace
}  // namespace tepal::lb
