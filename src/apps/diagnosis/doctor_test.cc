#include "apps/diagnosis/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Cluster {
 public:
  // `items`: objects with commas between.
  Cluster& Has(std::string_view name, std::string_view items) {
    Fetched& fetched = view_.fetched[std::string(name)];
    fetched.http_status = 200;
    auto list = json::Parse(Concat("[", items, "]"));
    EXPECT_TRUE(list.ok()) << list.status().ToString();
    if (list.ok()) fetched.items = *list->AsArray();
    return *this;
  }
  Cluster& Answers(std::string_view name, std::string_view body) {
    view_.fetched[std::string(name)].http_status = 200;
    view_.fetched[std::string(name)].body = json::Parse(body).value();
    return *this;
  }
  Cluster& Refuses(std::string_view name, int status, std::string problem) {
    view_.fetched[std::string(name)].http_status = status;
    view_.fetched[std::string(name)].problem = std::move(problem);
    return *this;
  }
  // "PLACE code"
  std::vector<std::string> Codes() const {
    std::vector<std::string> codes;
    for (const Finding& finding : DiagnoseCluster(view_)) {
      if (finding.code == "not-read" && finding.fault.ends_with(": ")) continue;  // Not asked.
      codes.push_back(Concat(finding.place, " ", finding.code));
    }
    return codes;
  }
  std::string Text() const {
    std::string text;
    for (const Finding& finding : DiagnoseCluster(view_)) text += FindingText(finding);
    return text;
  }

 private:
  ClusterView view_;
};

constexpr char kHpa[] = R"({"metadata":{"name":"web","namespace":"default"},"spec":{"metrics":[
    {"type":"Pods","pods":{"metric":{"name":"queue_ms"}}}]},"status":{"conditions":[
    {"type":"ScalingActive","status":"False","reason":"FailedGetPodsMetric","message":"none"}]}})";

TEST(DoctorTest, ABlindAutoscalerIsToldTheNameThatIsThere) {
  Cluster cluster;
  cluster.Has("horizontalpodautoscalers", kHpa)
      .Answers("custom metrics", R"({"resources":[{"name":"pods/queue_us"}]})");
  EXPECT_THAT(cluster.Codes(), Contains("HorizontalPodAutoscaler default/web autoscaler-blind"));
  EXPECT_THAT(cluster.Text(), HasSubstr("fix: there is no metric 'queue_ms' but 'queue_us'"));
}

TEST(DoctorTest, MetricsApisHaveAnOwnerWhoAnswers) {
  EXPECT_THAT(Cluster().Has("horizontalpodautoscalers", kHpa).Has("apiservices", "").Codes(),
              Contains("APIService custom.metrics.k8s.io no-api"));
  const auto api = [](std::string_view status) {
    return Concat(R"({"metadata":{"name":"v1beta1.custom.metrics.k8s.io"},"spec":{"group":)",
                  R"("custom.metrics.k8s.io","insecureSkipTLSVerify":true,"service":)",
                  R"({"namespace":"m","name":"a"}},"status":{"conditions":[{"type":"Available",)",
                  R"("reason":"MissingEndpoints","status":")", status, R"("}]}})");
  };
  const auto down = Cluster().Has("apiservices", api("False")).Codes();
  EXPECT_THAT(down, Contains("APIService v1beta1.custom.metrics.k8s.io api-unavailable"));
  EXPECT_THAT(down, Contains("APIService v1beta1.custom.metrics.k8s.io insecure-tls"));
  EXPECT_THAT(Cluster().Has("apiservices", api("True")).Text(),
              HasSubstr("Service m/a answers for it"));
}

TEST(DoctorTest, TheAutoscalerMustBeAllowedToRead) {
  EXPECT_THAT(
      Cluster().Answers("rights of the autoscaler", R"({"status":{"allowed":false}})").Codes(),
      Contains("horizontal-pod-autoscaler autoscaler-rights"));
  EXPECT_THAT(
      Cluster().Answers("rights of the autoscaler", R"({"status":{"allowed":true}})").Codes(),
      IsEmpty());
}

TEST(DoctorTest, WhatMayNotBeReadIsSaidAndNotGuessed) {
  Cluster cluster;
  cluster.Has("horizontalpodautoscalers", kHpa)
      .Refuses("apiservices", 403, "apiservices is forbidden")
      .Refuses("podmonitors", 404, "not found");
  EXPECT_THAT(cluster.Codes(), Contains("apiservices not-read"));
  EXPECT_THAT(cluster.Codes(), Not(Contains(HasSubstr("no-api"))));
  EXPECT_THAT(cluster.Codes(), Not(Contains(HasSubstr("podmonitors"))));
  EXPECT_THAT(cluster.Text(), HasSubstr("run it as somebody who may list them"));
}

TEST(DoctorTest, MonitorsAreSelectedByLabelAndNamespace) {
  const auto cluster = [](std::string_view label, std::string_view spaces) {
    return Cluster()
        .Has("namespaces", R"({"metadata":{"name":"default","labels":{"team":"a"}}})")
        .Has("pods", R"({"metadata":{"name":"p","namespace":"default","labels":{"app":"web"}},
              "status":{"phase":"Running"}})")
        .Has("podmonitors",
             Concat(R"({"metadata":{"name":"m","namespace":"default","labels":)", R"({"release":")",
                    label, R"("}},"spec":{"selector":{"matchLabels":{"app":"web"}}}})"))
        .Has("prometheuses",
             Concat(R"({"metadata":{"name":"k","namespace":"monitoring"},"spec":)",
                    R"({"podMonitorSelector":{"matchLabels":{"release":"k"}})", spaces, "}}"))
        .Codes();
  };
  const std::string all = R"(,"podMonitorNamespaceSelector":{})";
  EXPECT_THAT(cluster("k", all), IsEmpty());
  EXPECT_THAT(cluster("other", all), Contains("PodMonitor default/m not-selected"));
  // Without a namespace selector Prometheus looks in its own alone.
  EXPECT_THAT(cluster("k", ""), Contains("PodMonitor default/m not-selected"));
  EXPECT_THAT(cluster("k", R"(,"podMonitorNamespaceSelector":{"matchLabels":{"team":"b"}})"),
              Contains("PodMonitor default/m not-selected"));
}

std::string Node(std::string_view allocatable) {
  return Concat(R"({"metadata":{"name":"n","labels":{"nvidia.com/gpu.present":"true"}},)",
                R"("status":{"allocatable":{"cpu":"8")", allocatable, "}}}");
}

std::string Pod(std::string_view name, bool placed) {
  return Concat(
      R"({"metadata":{"name":")", name,
      R"(","namespace":"default","labels":{"app":"web"}},"spec":{)",
      placed ? R"("nodeName":"n",)" : "",
      R"("containers":[{"resources":{"limits":{"nvidia.com/mig-1g.5gb":"1","cpu":"1"}}}]},)",
      R"("status":{"phase":")", placed ? "Running" : "Pending",
      R"(","conditions":[{"type":"PodScheduled","status":")", placed ? "True" : "False",
      R"(","reason":"Unschedulable","message":"Insufficient"}]}})");
}

TEST(DoctorTest, SlotsThatAreShortOrUnknown) {
  EXPECT_THAT(
      Cluster().Has("nodes", Node("")).Has("pods", Pod("a", false)).Codes(),
      ::testing::UnorderedElementsAre("Node n no-device-plugin", "Pod default/a no-such-slot"));
  const Cluster full = Cluster()
                           .Has("nodes", Node(R"(,"nvidia.com/mig-1g.5gb":"1")"))
                           .Has("pods", Concat(Pod("a", true), ",", Pod("b", false)));
  EXPECT_THAT(full.Codes(), ::testing::ElementsAre("Pod default/b waits-for-slot"));
  EXPECT_THAT(full.Text(), HasSubstr("1 of 1 nvidia.com/mig-1g.5gb are held (Insufficient)"));
}

TEST(DoctorTest, ARolloutThatWaitsForItsOwnOldPods) {
  const auto cluster = [](std::string_view strategy) {
    return Cluster()
        .Has("pods", Concat(Pod("a", true), ",", Pod("b", false)))
        .Has("deployments",
             Concat(R"({"metadata":{"name":"web","namespace":"default"},"spec":{"selector":)",
                    R"({"matchLabels":{"app":"web"}},"strategy":)", strategy,
                    R"(,"template":{"spec":{"containers":[{"resources":{"limits":)",
                    R"({"nvidia.com/mig-1g.5gb":"1"}}}]}}},"status":{"replicas":2,)",
                    R"("updatedReplicas":1}})"))
        .Codes();
  };
  EXPECT_THAT(cluster(R"({"rollingUpdate":{"maxSurge":"25%"}})"),
              Contains("Deployment default/web surge-deadlock"));
  EXPECT_THAT(cluster(R"({"rollingUpdate":{"maxSurge":0}})"), IsEmpty());
  EXPECT_THAT(cluster(R"({"type":"Recreate"})"), IsEmpty());
}

TEST(DoctorTest, ThisMachine) {
  MachineFacts facts;
  facts.cgroup_controllers = "cpu memory";
  ASSERT_EQ(DiagnoseMachine(facts).size(), 1u);
  EXPECT_EQ(DiagnoseMachine(facts)[0].code, "no-gpu");
  facts.gpu_devices = true;
  EXPECT_EQ(DiagnoseMachine(facts)[0].code, "no-driver");
  facts.driver_version = "NVRM version: 550\nGCC";
  facts.mig_capabilities = true;
  EXPECT_EQ(DiagnoseMachine(facts)[0].fault, "NVRM version: 550");
  facts.cgroup_controllers.clear();
  EXPECT_TRUE(HasFaults(DiagnoseMachine(facts)));
}

}  // namespace
}  // namespace tepal::diagnosis
