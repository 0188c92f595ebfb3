#include "serving/frontend/header_forwarding.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

TEST(HeaderForwarding, TakesTheFieldsThatMatch) {
  http::Headers headers;
  headers.Add("X-My-User", "ann");
  headers.Add("content-type", "application/json");
  headers.Add("my-team", "7");
  headers.Add(std::string(60'000, 'a') + "my-tea", "a long name");
  std::vector<Parameter> parameters;
  HeaderForwarding().Forward(headers, parameters);
  EXPECT_TRUE(parameters.empty());

  const Result<HeaderForwarding> forwarding = HeaderForwarding::New("My-(user|team)$");
  ASSERT_TRUE(forwarding.ok());
  forwarding->Forward(headers, parameters);
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].name, "x-my-user");
  EXPECT_EQ(std::get<std::string>(parameters[0].value), "ann");
  EXPECT_EQ(parameters[1].name, "my-team");
}

TEST(HeaderForwarding, RefusesWhatIsNoPattern) {
  EXPECT_EQ(HeaderForwarding::New("(x").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(HeaderForwarding::New("(a)\\1").status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(HeaderForwarding::New("").ok());
}

}  // namespace
}  // namespace tepal
