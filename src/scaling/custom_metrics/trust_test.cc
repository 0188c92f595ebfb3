// The ConfigMap and the headers of the front proxy.

#include "scaling/custom_metrics/trust.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

json::Value ConfigMap(const std::string& data) {
  return json::Parse("{\"data\":{" + data + "}}").value();
}

TEST(TrustTest, ReadsTheConfigMap) {
  const auto config = ParseTrustConfig(
      ConfigMap(R"("client-ca-file":"A","requestheader-client-ca-file":"B",)"
                R"("requestheader-allowed-names":"[\"front-proxy-client\"]",)"
                R"("requestheader-username-headers":"[\"X-Remote-User\"]",)"
                R"("requestheader-group-headers":"[\"X-Remote-Group\"]",)"
                R"("requestheader-uid-headers":"[\"X-Remote-Uid\"]",)"
                R"("requestheader-extra-headers-prefix":"[\"X-Remote-Extra-\"]")"));
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->client_ca, "A");
  EXPECT_EQ(config->requestheader_ca, "B");
  EXPECT_EQ(config->allowed_names, std::vector<std::string>{"front-proxy-client"});
  EXPECT_EQ(config->extra_prefixes, std::vector<std::string>{"X-Remote-Extra-"});
  EXPECT_TRUE(ParseTrustConfig(ConfigMap("")).ok());
  for (const char* bad : {"front-proxy-client", "{}", "[1]", "[\\\"a"}) {
    const auto refused =
        ParseTrustConfig(ConfigMap(std::string(R"("requestheader-allowed-names":")") + bad + "\""));
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_NE(refused.status().message().find("requestheader-allowed-names"), std::string::npos);
  }
}

TEST(TrustTest, FlagsSayOtherwise) {
  TrustConfig cluster;
  cluster.client_ca = "A";
  cluster.requestheader_ca = "B";
  cluster.allowed_names = {"n"};
  cluster.username_headers = {"X-Remote-User"};
  EXPECT_EQ(Merge(cluster, {}), cluster);
  TrustConfig flags;
  flags.requestheader_ca = "C";
  const TrustConfig merged = Merge(cluster, flags);
  EXPECT_EQ(merged.requestheader_ca, "C");
  EXPECT_TRUE(merged.allowed_names.empty());  // They were another authority's.
  EXPECT_EQ(merged.client_ca, "A");
  EXPECT_EQ(merged.username_headers, cluster.username_headers);
}

TEST(TrustTest, HeadersNameAUser) {
  TrustConfig config;
  config.username_headers = {"X-Remote-User", "X-Other"};
  config.group_headers = {"X-Remote-Group"};
  config.uid_headers = {"X-Remote-Uid"};
  config.extra_prefixes = {"X-Remote-Extra-"};
  http::Headers headers;
  EXPECT_EQ(UserOfHeaders(config, headers), std::nullopt);
  headers.Add("X-Remote-Group", "a");
  EXPECT_EQ(UserOfHeaders(config, headers), std::nullopt);
  headers.Add("X-Remote-User", "");
  headers.Add("X-Other", "hpa");
  headers.Add("X-Remote-Group", "b");
  headers.Add("X-Remote-Uid", "7");
  headers.Add("X-Remote-Extra-Scopes", "one");
  headers.Add("X-Remote-Extra-Scopes", "two");
  headers.Add("X-Remote-Extra-Example.com%2fpod%zz", "x");
  const User user = UserOfHeaders(config, headers).value();
  EXPECT_EQ(user.name, "hpa");
  EXPECT_EQ(user.uid, "7");
  EXPECT_EQ(user.groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(user.extra.at("scopes"), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(user.extra.at("example.com/pod%zz"), std::vector<std::string>{"x"});
}

TEST(TrustTest, EverybodyWhoIsSomebodyIsAuthenticated) {
  EXPECT_EQ(WithAuthenticatedGroup({"a", "", {"b"}, {}}).groups,
            (std::vector<std::string>{"b", kAuthenticatedGroup}));
  EXPECT_EQ(WithAuthenticatedGroup(AnonymousUser()).groups,
            std::vector<std::string>{kUnauthenticatedGroup});
  EXPECT_EQ(UserOfCertificate({}), std::nullopt);
}

}  // namespace
}  // namespace tepal::custom_metrics
