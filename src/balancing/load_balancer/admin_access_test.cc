#include "balancing/load_balancer/admin_access.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using Role = AdminAccess::Role;

constexpr char kFile[] = R"(# Who may.
monitor read  0123456789abcdef
  deploy write fedcba9876543210

)";

TEST(AdminAccessTest, TokensHaveRoles) {
  const auto access = AdminAccess::Parse(kFile, "tokens");
  ASSERT_TRUE(access.ok()) << access.status().message();
  EXPECT_FALSE(access->open());
  EXPECT_EQ(access->Find("Bearer 0123456789abcdef").name, "monitor");
  EXPECT_EQ(access->Find("Bearer 0123456789abcdef").role, Role::kRead);
  EXPECT_EQ(access->Find("bearer  fedcba9876543210 ").role, Role::kWrite);
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0",
        "Bearer 0123456789abcdeg", "Basic 0123456789abcdef", "0123456789abcdef",
        "Bearer 0123456789abcdef0123456789abcdef"}) {
    EXPECT_EQ(access->Find(wrong).role, Role::kNone) << wrong;
    EXPECT_EQ(access->Find(wrong).name, "") << wrong;
  }
}

TEST(AdminAccessTest, WithoutTokensEverybodyMay) {
  EXPECT_TRUE(AdminAccess().open());
  EXPECT_EQ(AdminAccess().Find("").role, Role::kWrite);
}

TEST(AdminAccessTest, MistakesAreNamedWithoutTheToken) {
  const auto error = [](std::string_view text) {
    return AdminAccess::Parse(text, "tokens").status().message();
  };
  EXPECT_EQ(error(""), "tokens: no token; expected lines of 'NAME ROLE TOKEN'");
  EXPECT_EQ(error("# Only this."), "tokens: no token; expected lines of 'NAME ROLE TOKEN'");
  EXPECT_EQ(error("\na read"), "tokens:2: expected 'NAME ROLE TOKEN'");
  EXPECT_EQ(error("a admin 0123456789abcdef"), "tokens:1: the role must be read or write");
  EXPECT_EQ(error("a read short"), "tokens:1: the token must have at least 16 bytes");
}

}  // namespace
}  // namespace tepal::lb
