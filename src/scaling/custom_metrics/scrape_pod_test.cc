#include "scaling/custom_metrics/scrape_pod.h"

#include <gtest/gtest.h>

#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

constexpr char kPod[] = R"({"metadata":{"name":"flower-6f-x","namespace":"default","uid":"u1",
    "labels":{"app":"flower","pod-template-hash":"6f"},"annotations":{"prometheus.io/port":"9000"},
    "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"flower-6f"}]},
  "spec":{"containers":[{"ports":[{"name":"http","containerPort":8000},
                                  {"name":"metrics","containerPort":8002}]}]},
  "status":{"phase":"Running","podIP":"10.0.0.7",
    "conditions":[{"type":"Initialized","status":"True"},{"type":"Ready","status":"True"}]}})";

ScrapePod Read(const std::string& text, std::string_view port = "8002") {
  const auto pod = ReadPod(*json::Parse(text), *PortRule::Parse(port));
  EXPECT_TRUE(pod.has_value());
  return *pod;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(ScrapePod, ReadsAPod) {
  const ScrapePod pod = Read(kPod);
  EXPECT_EQ(pod.key(), "default/flower-6f-x");
  EXPECT_EQ(pod.address->ToString(), "10.0.0.7:8002");
  EXPECT_TRUE(pod.counts());
  EXPECT_EQ(pod.labels.at("app"), "flower");
  ASSERT_EQ(pod.owners.size(), 2u);
  EXPECT_EQ(pod.owners[0],
            (std::pair(GroupResource{"apps", "deployments"}, std::string("flower"))));
  EXPECT_EQ(pod.owners[1].second, "flower-6f");
}

TEST(ScrapePod, FindsThePortInThreeWays) {
  EXPECT_EQ(Read(kPod, "metrics").address->port, 8002);
  EXPECT_EQ(Read(kPod, "annotation:prometheus.io/port").address->port, 9000);
  EXPECT_EQ(Read(kPod, "1234").address->port, 1234);
  EXPECT_EQ(Read(kPod, "nope").address, std::nullopt);
  for (const char* bad : {"", "0", "65536", "annotation:"}) {
    EXPECT_FALSE(PortRule::Parse(bad).ok()) << bad;
  }
}

TEST(ScrapePod, ATrimmedPodReadsTheSame) {
  const auto whole =
      json::Parse(Replaced(kPod, R"("annotations":{)", R"("annotations":{"a":"b",)"));
  for (const char* text : {"8002", "metrics", "annotation:prometheus.io/port"}) {
    const PortRule port = *PortRule::Parse(text);
    const json::Value trimmed = TrimPod(*whole, port);
    const auto pod = ReadPod(trimmed, port);
    ASSERT_TRUE(pod.has_value()) << text;
    EXPECT_EQ(pod->address, ReadPod(*whole, port)->address) << text;
    EXPECT_EQ(pod->key(), "default/flower-6f-x");
    EXPECT_EQ(pod->uid, "u1");
    EXPECT_EQ(pod->labels.size(), 2u);
    EXPECT_EQ(pod->owners.size(), 2u);
    EXPECT_TRUE(pod->counts());
    EXPECT_EQ(kube::AnnotationOf(trimmed, "a"), nullptr);
    EXPECT_EQ(trimmed.Find("spec") != nullptr, port.name == "metrics");
  }
}

TEST(ScrapePod, TellsWhatDoesNotCount) {
  EXPECT_FALSE(
      Read(Replaced(kPod, R"("Ready","status":"True")", R"("Ready","status":"False")")).counts());
  EXPECT_FALSE(
      Read(Replaced(kPod, R"("uid":"u1")", R"("uid":"u1","deletionTimestamp":"x")")).counts());
  EXPECT_FALSE(Read(Replaced(kPod, "Running", "Failed")).counts());
  EXPECT_EQ(Read(Replaced(kPod, R"("podIP":"10.0.0.7",)", "")).address, std::nullopt);
  EXPECT_FALSE(ReadPod(*json::Parse("{}"), PortRule{}).has_value());
}

TEST(ScrapePod, ReadsAFlag) {
  const auto pod = ParseStaticPod("default/flower-0=127.0.0.1:8002,app=flower,tier=");
  ASSERT_TRUE(pod.ok()) << pod.status().ToString();
  EXPECT_EQ(pod->key(), "default/flower-0");
  EXPECT_EQ(pod->address->port, 8002);
  EXPECT_EQ(pod->labels.at("app"), "flower");
  EXPECT_TRUE(pod->counts());
  for (const char* bad :
       {"", "x", "a=1:2", "a/b", "a/b=host:1", "/b=1.1.1.1:1", "a/b=1.1.1.1:1,x"}) {
    EXPECT_FALSE(ParseStaticPod(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace tepal::custom_metrics
