#include "balancing/load_balancer/inference_access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kTokens[] = "# who\nann 0123456789abcdef\r\n\n  bob\tfedcba9876543210 \n";
constexpr WallTime kNow{1'500'000'000s};

TEST(InferenceAccessTest, TokensOfAFileAreKnown) {
  InferenceAccess access({}, 1);
  ASSERT_TRUE(access.AddTokens(kTokens, "tokens").ok());
  EXPECT_EQ(access.Check("Bearer 0123456789abcdef", kNow).value().name, "ann");
  EXPECT_EQ(access.Check("bearer  fedcba9876543210 ", kNow).value().name, "bob");
  for (const char* bad : {"", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef",
                          "Bearer 0123456789abcdeX", "Bearer 0123456789abcde"}) {
    EXPECT_EQ(access.Check(bad, kNow).status().code(), StatusCode::kUnauthenticated) << bad;
  }
}

TEST(InferenceAccessTest, WithoutAnythingNobodyMay) {
  EXPECT_FALSE(InferenceAccess({}, 1).Check("Bearer 0123456789abcdef", kNow).ok());
}

TEST(InferenceAccessTest, MistakesOfAFileAreNamedWithoutTheirText) {
  const auto error = [](std::string_view text) {
    return InferenceAccess({}, 1).AddTokens(text, "tokens").message();
  };
  EXPECT_EQ(error(""), "tokens: no token; expected lines of 'NAME TOKEN'");
  EXPECT_EQ(error("a\n"), "tokens:1: expected 'NAME TOKEN'");
  EXPECT_EQ(error("\na b c\n"), "tokens:2: expected 'NAME TOKEN'");
  EXPECT_THAT(error("a secret\n"), HasSubstr("at least 16 bytes"));
  EXPECT_THAT(error("a secret\n"), Not(HasSubstr("secret")));
}

TEST(InferenceAccessTest, WhatWasVerifiedIsRememberedUntilItsTimeOrAnotherList) {
  AccessSource source;
  const auto with = [](std::string_view tokens) {
    auto access = std::make_shared<InferenceAccess>(std::nullopt, 1);
    EXPECT_TRUE(access->AddTokens(tokens, "tokens").ok());
    return access;
  };
  source.Set(with(kTokens));
  AccessCache cache;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cache.Check(source, "Bearer 0123456789abcdef", kNow).value().name, "ann");
    EXPECT_FALSE(cache.Check(source, "Bearer nobody-knows-this", kNow).ok());
  }
  source.Set(with("eve 0123456789abcdef"));
  EXPECT_EQ(cache.Check(source, "Bearer 0123456789abcdef", kNow).value().name, "eve");
  source.Set(with("eve another-token-now"));
  EXPECT_FALSE(cache.Check(source, "Bearer 0123456789abcdef", kNow).ok());
}

TEST(InferenceAccessTest, AWebTokenIsRememberedNoLongerThanItHolds) {
  constexpr char kSecretKey[] =
      R"({"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]})";
  constexpr char kToken[] =
      "Bearer "
      "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6ImFubiIsImF1ZCI6WyJ0ZXBhbCIsIm9"
      "0aGVyIl0sImV4cCI6MjAwMDAwMDAwMCwibmJmIjoxMDAwMDAwMDAwfQ.AheC6cMKNGrL4d9pYVT603ph"
      "BgjVjtdpr1OXxibq0ls";
  AccessSource source;
  source.Set(std::make_shared<InferenceAccess>(
      InferenceAccess::Jwt{JwtKeys::Parse(kSecretKey, "keys").value(), {"", "tepal"}}, 1));
  AccessCache cache;
  EXPECT_EQ(cache.Check(source, kToken, kNow).value().name, "ann");
  EXPECT_EQ(cache.Check(source, kToken, WallTime(2'000'000'029s)).value().name, "ann");
  EXPECT_FALSE(cache.Check(source, kToken, WallTime(2'000'000'030s)).ok());
}

}  // namespace
}  // namespace tepal::lb
