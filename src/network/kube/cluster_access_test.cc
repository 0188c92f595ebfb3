#include "network/kube/cluster_access.h"

#include <gtest/gtest.h>

namespace tepal::kube {
namespace {

constexpr std::string_view kConfig = R"(apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: test
clusters:
- name: one
  cluster: {server: "https://10.0.0.1:6443", certificate-authority: pki/ca.crt}
- name: two
  cluster:
    server: https://api.example.test/k8s/c1/
    tls-server-name: kubernetes
    certificate-authority-data: Y2VydA==
    extensions: [{name: x, extension: {y: 1}}]
users:
- name: certificates
  user: {client-certificate: /etc/a.crt, client-key: a.key}
- name: token
  user: {token: secret}
- name: helper
  user:
    exec: {command: login, apiVersion: client.authentication.k8s.io/v1}
contexts:
- name: test
  context: {cluster: one, user: certificates}
- name: other
  context: {cluster: two, user: token, namespace: web}
- name: with-helper
  context: {cluster: one, user: helper}
- name: lost
  context: {cluster: three, user: token}
)";

TEST(Kubeconfig, TakesTheCurrentContext) {
  const auto access = ParseKubeconfig(kConfig, "/home/u/.kube/config");
  ASSERT_TRUE(access.ok()) << access.status().ToString();
  EXPECT_EQ(access->host, "10.0.0.1");
  EXPECT_EQ(access->port, 6443);
  EXPECT_TRUE(access->tls && access->verify_server);
  EXPECT_EQ(access->path_prefix, "");
  EXPECT_EQ(access->ca.path, "/home/u/.kube/pki/ca.crt");
  EXPECT_EQ(access->client_certificate.path, "/etc/a.crt");
  EXPECT_EQ(access->client_key.path, "/home/u/.kube/a.key");
  EXPECT_EQ(access->name_space, "default");
}

TEST(Kubeconfig, TakesANamedContextWithInlineData) {
  const auto access = ParseKubeconfig(kConfig, "config", "other");
  ASSERT_TRUE(access.ok()) << access.status().ToString();
  EXPECT_EQ(access->host, "api.example.test");
  EXPECT_EQ(access->port, 443);
  EXPECT_EQ(access->path_prefix, "/k8s/c1");
  EXPECT_EQ(access->tls_server_name, "kubernetes");
  EXPECT_EQ(access->ca.content, "cert");
  EXPECT_EQ(access->token.content, "secret");
  EXPECT_EQ(access->name_space, "web");
}

std::string WhyNot(std::string_view text, std::string_view context = {}) {
  const auto access = ParseKubeconfig(text, "config", context);
  return access.ok() ? "it was read" : access.status().message();
}

TEST(Kubeconfig, SaysWhichFieldIsWrongAndWhere) {
  EXPECT_EQ(WhyNot(kConfig, "lost"), "config:5: field 'clusters': there is no entry named 'three'");
  EXPECT_EQ(WhyNot(kConfig, "none"), "config:22: field 'contexts': there is no entry named 'none'");
  EXPECT_EQ(WhyNot(kConfig, "with-helper"),
            "config:21: field 'exec' is not supported: expected a client certificate, a token or a "
            "token file");
  EXPECT_EQ(WhyNot("kind: Config\n"),
            "config:1: field 'current-context': got nothing, expected the name of a context");
  const std::string no_url =
      "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters:\n- name: c\n"
      "  cluster: {server: localhost}\n";
  EXPECT_EQ(WhyNot(no_url),
            "config:5: field 'server': got 'localhost', expected a URL as https://HOST:PORT");
}

TEST(ServerUrl, HasHostPortAndPrefix) {
  struct Case {
    std::string_view url, host, prefix;
    int port;
    bool tls;
  };
  for (const Case& c :
       {Case{"https://a", "a", "", 443, true}, Case{"http://a:1", "a", "", 1, false},
        Case{"https://[::1]:6443/p/", "::1", "/p", 6443, true},
        Case{"https://[::1]", "::1", "", 443, true}}) {
    ClusterAccess access;
    ASSERT_TRUE(ParseServerUrl(c.url, access).ok()) << c.url;
    EXPECT_EQ(access.host, c.host);
    EXPECT_EQ(access.port, c.port);
    EXPECT_EQ(access.path_prefix, c.prefix);
    EXPECT_EQ(access.tls, c.tls);
  }
  for (const std::string_view url : {"", "a:1", "ftp://a", "https://", "https://a:0", "https://a:x",
                                     "https://u@a", "https://[a"}) {
    ClusterAccess access;
    EXPECT_FALSE(ParseServerUrl(url, access).ok()) << url;
  }
}

TEST(InCluster, NeedsThePodsEnvironment) {
  const auto access = InClusterAccess("10.96.0.1", "443", "web\n", "/sa");
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->token.path, "/sa/token");
  EXPECT_EQ(access->ca.path, "/sa/ca.crt");
  EXPECT_EQ(access->name_space, "web");
  EXPECT_FALSE(InClusterAccess("", "443", "web").ok());
  EXPECT_EQ(InClusterAccess("h", "x", "web").status().message(),
            "KUBERNETES_SERVICE_PORT: got 'x', expected a port from 1 to 65535");
}

}  // namespace
}  // namespace tepal::kube
