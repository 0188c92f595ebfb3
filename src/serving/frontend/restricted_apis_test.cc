#include "serving/frontend/restricted_apis.h"

#include <gtest/gtest.h>

namespace tepal {
namespace {

TEST(RestrictedApis, ReadsGroupsAndTheirHeader) {
  RestrictedApis apis;
  ASSERT_TRUE(apis.Add("trace,model-repository:admin-key=a=b:c").ok());
  ASSERT_TRUE(apis.Add("inference:infer-key=x").ok());
  const RestrictedApis::Secret* secret = apis.Find(ApiGroup::kModelRepository);
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(secret->header, "admin-key");
  EXPECT_EQ(secret->value, "a=b:c");
  EXPECT_EQ(apis.Find(ApiGroup::kInference)->header, "infer-key");
  EXPECT_EQ(apis.Find(ApiGroup::kHealth), nullptr);
  EXPECT_TRUE(RestrictedApis::Opens(*secret, "a=b:c"));
  EXPECT_FALSE(RestrictedApis::Opens(*secret, "a=b:d"));
  EXPECT_FALSE(RestrictedApis::Opens(*secret, "a=b:"));
  EXPECT_FALSE(RestrictedApis::Opens(*secret, "a=b:cc"));
  EXPECT_FALSE(RestrictedApis::Opens(*secret, ""));
  EXPECT_FALSE(RestrictedApis::Opens(*secret, std::nullopt));
}

TEST(RestrictedApis, RefusesWhatItCannotKeep) {
  for (const char* text : {"", "trace", "trace:", "trace:key", "trace:=value", "trace:key=", "k=v",
                           "nope:k=v", ":k=v", "trace,:k=v", "trace,trace:k=v", "trace=x:k"}) {
    RestrictedApis apis;
    EXPECT_EQ(apis.Add(text).code(), StatusCode::kInvalidArgument) << text;
  }
  RestrictedApis apis;
  ASSERT_TRUE(apis.Add("trace:k=v").ok());
  EXPECT_FALSE(apis.Add("health,trace:k=v").ok());
}

}  // namespace
}  // namespace tepal
