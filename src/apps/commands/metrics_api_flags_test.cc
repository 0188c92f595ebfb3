// prometheus-adapter's flags: honoured, or refused by name with a reason.

#include "apps/commands/metrics_api_flags.h"

#include <gtest/gtest.h>

namespace tepal::commands {
namespace {

struct Parsed {
  MetricsApiFlags flags;
  Status status;
};

Parsed Parse(std::vector<std::string_view> words) {
  Parsed made;
  options::FlagSet set = MakeMetricsApiFlags(made.flags);
  const auto rest = set.Parse(words);
  made.status = rest.status();
  return made;
}

std::string Refusal(std::vector<std::string_view> words) { return Parse(words).status.message(); }

// Of the manifests of prometheus-adapter, of kube-prometheus and of its Helm chart.
TEST(MetricsApiFlagsTest, ManifestsInTheWild) {
  const Parsed made =
      Parse({"--cert-dir=/var/run/serving-cert", "--config=/etc/adapter/config.yaml",
             "--metrics-relist-interval=1m",
             "--prometheus-url=https://prometheus-k8s.monitoring.svc:9090/", "--secure-port=6443",
             "--logtostderr=true", "--v=6", "--tls-cipher-suites=", "--lister-kubeconfig=/k",
             "--metrics-max-age=2m30s", "--requestheader-allowed-names=a,b",
             "--prometheus-header=X-Scope=1", "--prometheus-header=Y=2",
             "--authentication-skip-lookup=false", "--stderrthreshold=2", "--profiling=false"});
  ASSERT_TRUE(made.status.ok()) << made.status.ToString();
  EXPECT_EQ(made.flags.cert_dir, "/var/run/serving-cert");
  EXPECT_EQ(made.flags.sources.relist_interval, 60s);
  EXPECT_EQ(made.flags.sources.max_age, 150s);
  EXPECT_EQ(made.flags.kubeconfig, "/k");
  EXPECT_EQ(made.flags.verbose, 6);
  EXPECT_EQ(made.flags.requestheader_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(made.flags.sources.prometheus_headers, (std::vector<std::string>{"X-Scope=1", "Y=2"}));
  EXPECT_EQ(made.flags.always_allowed.size(), 3u);
}

// The value of kube-prometheus' Deployment and of prometheus-adapter's own.
TEST(MetricsApiFlagsTest, SuitesAreTakenWhenOursAreAmongThem) {
  const std::string published =
      "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,"
      "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"
      "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,"
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA";
  EXPECT_EQ(Refusal({published}), "");
  EXPECT_NE(Refusal({"--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})
                .find("expected a list with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 too"),
            std::string::npos);
}

TEST(MetricsApiFlagsTest, WhatIsNotHonouredIsRefusedWithAReason) {
  EXPECT_NE(Refusal({"--tls-min-version=VersionTLS13"}).find("TLS 1.2"), std::string::npos);
  EXPECT_NE(Refusal({"--audit-log-path=/x"}).find("audit"), std::string::npos);
  EXPECT_TRUE(Parse({"--tls-min-version=VersionTLS12"}).status.ok());
  EXPECT_TRUE(Parse({"--disable-http2-serving=false"}).status.ok());
  EXPECT_FALSE(Parse({"--disable-http2-serving"}).status.ok());
  EXPECT_NE(Refusal({"--prometheus-verb=PUT"}).find("GET or POST"), std::string::npos);
  EXPECT_NE(Refusal({"--metrics-relist-interval=30"}).find("unit"), std::string::npos);
  EXPECT_NE(Refusal({"--secure-port=0"}).find("--secure-port"), std::string::npos);
  EXPECT_NE(Refusal({"--tls-cert-file=/a"}).find("together"), std::string::npos);
  EXPECT_NE(Refusal({"--register-apiservices"}).find("--apiservice-name"), std::string::npos);
  EXPECT_NE(Refusal({"--authentication-skip-lookup"}).find("--client-ca-file"), std::string::npos);
  EXPECT_NE(Refusal({"--metrics-max-age=1m"}).find("must not be less"), std::string::npos);
  EXPECT_NE(Refusal({"--prometheus-auth-incluster", "--prometheus-auth-config=/k"}).find("one of"),
            std::string::npos);
}

}  // namespace
}  // namespace tepal::commands
