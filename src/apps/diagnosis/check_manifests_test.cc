#include "apps/diagnosis/check_manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/diagnosis/testing/manifests.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// "FILE:LINE code", errors and warnings with "!".
std::vector<std::string> Check(std::vector<InputFile> files) {
  std::vector<std::string> found;
  for (const Finding& finding : CheckManifests(files)) {
    found.push_back(Concat(finding.place, ":", finding.line, " ", finding.code,
                           finding.severity == Severity::kNote ? "" : "!"));
  }
  return found;
}

std::vector<std::string> CheckOne(std::string text) { return Check({{"m.yaml", std::move(text)}}); }

std::string TextOf(std::vector<InputFile> files) {
  std::string text;
  for (const Finding& finding : CheckManifests(files)) text += FindingText(finding);
  return text;
}

TEST(CheckManifestsTest, ACurrentStackHasNoFault) {
  EXPECT_EQ(TextOf({{"stack.yaml", testing::kSoundStack}}), "");
}

TEST(CheckManifestsTest, RemovedVersionsSayWhenAndWhatInstead) {
  const std::string text = TextOf({{"m.yaml", R"(apiVersion: autoscaling/v2beta2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec:
  scaleTargetRef: {apiVersion: extensions/v1beta1, kind: Deployment, name: web}
---
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata: {name: b}
---
apiVersion: example.com/v1beta1
kind: Own
)"}});
  EXPECT_THAT(text,
              HasSubstr("m.yaml:1: error: autoscaling/v2beta2 of HorizontalPodAutoscaler was "
                        "removed in Kubernetes 1.26: the API server refuses it [removed-api]"));
  EXPECT_THAT(text, HasSubstr("fix: write apiVersion: autoscaling/v2"));
  EXPECT_THAT(text, HasSubstr("m.yaml:5: error: scaleTargetRef names Deployment of "
                              "extensions/v1beta1"));
  EXPECT_THAT(text, HasSubstr("m.yaml:7: error: policy/v1beta1"));
  EXPECT_THAT(text, HasSubstr("there is no replacement"));
  EXPECT_THAT(text, Not(HasSubstr("example.com")));
}

TEST(CheckManifestsTest, FaultsOfForm) {
  EXPECT_THAT(
      CheckOne("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nSpec:\n  clusterIP: None\n"),
      Contains("m.yaml:4 wrong-case!"));
  EXPECT_THAT(CheckOne("apiVersion: v1\nkind: Pod\nMetadata: {Name: a}\n"),
              Contains("m.yaml:3 wrong-case!"));
  EXPECT_THAT(CheckOne("apiVersion: v1\nkind: Pod\nspec: [\n"), Contains(HasSubstr("not-yaml!")));
  EXPECT_THAT(TextOf({{"m.yaml", "a: {{ .Values.b }}\n"}}), HasSubstr("helm template"));
  EXPECT_THAT(CheckOne("apiVersion: v1\nkind: Pod\nspec:\n  nodeName: <your node>\n"),
              Contains("m.yaml:4 blank!"));
}

// A Deployment of one container; `container` and `spec` are what stands in them.
std::string Web(std::string_view container, std::string_view spec = "") {
  return Concat("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n",
                "  selector: {matchLabels: {app: web}}\n", spec,
                "  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n",
                "      - name: web\n        image: example.com/web:1\n", container);
}

TEST(CheckManifestsTest, ScriptsAndFlags) {
  const auto script = [](std::string_view text) {
    return CheckOne(
        Web(Concat("        command: [sh, -c]\n        args:\n        - ", text, "\n")));
  };
  EXPECT_THAT(script("cd /models /bin/serve --port 1"), Contains("m.yaml:14 missing-and!"));
  EXPECT_THAT(script("cd /models && exec /bin/serve"), Not(Contains(HasSubstr("m.yaml:14"))));
  EXPECT_THAT(script("cd /models && /bin/serve"), Contains("m.yaml:14 shell-as-pid-1!"));
  EXPECT_THAT(script("'serve; while true; do sleep 9; done'"),
              Contains("m.yaml:14 sleep-as-pid-1!"));
  const auto args =
      CheckOne(Web("        args:\n        - --v=10\n        - --strict-model-config=false\n"
                   "        - --prometheus-url=\n        - --v=2\n"));
  EXPECT_THAT(args, Contains("m.yaml:13 verbose!"));
  EXPECT_THAT(args, Contains("m.yaml:14 deprecated-flag!"));
  EXPECT_THAT(args, Contains("m.yaml:15 blank!"));
  EXPECT_THAT(args, Not(Contains(HasSubstr("m.yaml:16"))));
}

TEST(CheckManifestsTest, Images) {
  const auto image = [](std::string_view name) {
    return CheckOne(
        Concat("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n"
               "  - image: ",
               name, "\n"));
  };
  EXPECT_THAT(image("quay.io/x/k8s-prometheus-adapter-amd64:v0.4.1"),
              Contains("m.yaml:6 dead-image!"));
  EXPECT_THAT(image("k8s.gcr.io/pause:3.1"), Contains("m.yaml:6 dead-image!"));
  EXPECT_THAT(image("nvcr.io/nvidia/tritonserver:20.12-py3"), Contains("m.yaml:6 old-image!"));
  EXPECT_THAT(image("nvcr.io/nvidia/tritonserver:24.10-py3"), Not(Contains(HasSubstr("image"))));
  EXPECT_THAT(image("registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0"),
              Not(Contains(HasSubstr("image"))));
}

TEST(CheckManifestsTest, SlotsAndRollouts) {
  const std::string slots = "        resources: {limits: {nvidia.com/mig-1g.5gb: 1}}\n";
  EXPECT_THAT(CheckOne(Web(slots)), Contains("m.yaml:4 surge-deadlock!"));
  EXPECT_THAT(CheckOne(Web(slots)), Contains("m.yaml:12 no-requests!"));
  EXPECT_THAT(CheckOne(Web(slots, "  strategy: {rollingUpdate: {maxSurge: 0}}\n")),
              Not(Contains(HasSubstr("surge"))));
  EXPECT_THAT(CheckOne(Web(slots, "  strategy: {type: Recreate}\n")),
              Not(Contains(HasSubstr("surge"))));
  EXPECT_THAT(CheckOne(Web("        resources: {limits: {cpu: 1}}\n")),
              Not(Contains(HasSubstr("surge"))));
  EXPECT_THAT(CheckOne(Web("        ports: [{containerPort: 80, hostPort: 80}]\n")),
              Contains("m.yaml:4 surge-deadlock!"));
}

constexpr char kRules[] = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: rules, namespace: monitoring}
data:
  config.yml: |
    rules:
    - seriesQuery: 'queue_us{namespace="default",pod!=""}'
      resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
      name: {matches: "^(.*)_us$", as: "avg_${1}_us"}
      metricsQuery: 'sum(increase(queue_us{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)'
)";

std::string Hpa(std::string_view metric, std::string_view target = "4000") {
  return Concat(
      "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n"
      "spec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n"
      "  maxReplicas: 7\n  metrics:\n  - type: Pods\n    pods:\n      metric:\n        "
      "name: ",
      metric, "\n      target: {type: AverageValue, averageValue: ", target, "}\n");
}

TEST(CheckManifestsTest, TheAutoscalersMetricMustBePublished) {
  EXPECT_THAT(Check({{"r.yaml", kRules}, {"h.yaml", Hpa("avg_queue_us")}}), IsEmpty());
  const std::string text = TextOf({{"r.yaml", kRules}, {"h.yaml", Hpa("avg_queue_ms")}});
  EXPECT_THAT(text,
              HasSubstr("h.yaml:11: error: no rule of the adapter publishes 'avg_queue_ms' (it "
                        "publishes avg_queue_us)"));
  EXPECT_THAT(text, HasSubstr("fix: write avg_queue_us"));
  // Without rules nobody knows.
  EXPECT_THAT(Check({{"h.yaml", Hpa("avg_queue_ms")}}), IsEmpty());
  EXPECT_THAT(Check({{"h.yaml", Hpa("avg_queue_us", "50")}}), Contains("h.yaml:12 target-unit!"));
  EXPECT_THAT(Check({{"r.yaml", kRules}, {"h.yaml", Hpa("avg_queue_ms", "50")}}),
              Contains("h.yaml:12 target-unit!"));
}

TEST(CheckManifestsTest, AFindingCanBeAccepted) {
  std::string hpa = Hpa("avg_queue_us", "50");
  hpa.replace(hpa.find("{name: h}"), 9, "{name: h, annotations: {tepal/accept: 'a, target-unit'}}");
  EXPECT_THAT(Check({{"h.yaml", hpa}}), IsEmpty());
}

TEST(CheckManifestsTest, RulesThatMisreadCounters) {
  std::string rules = kRules;
  rules.replace(rules.find("increase"), 8, "delta");
  EXPECT_THAT(Check({{"r.yaml", rules}}), Contains("r.yaml:10 delta-of-counter!"));
  rules = kRules;
  rules.replace(rules.find("<<.LabelMatchers>>"), 18, "<>");
  EXPECT_THAT(Check({{"r.yaml", rules}}), Contains("r.yaml:10 lost-template!"));
  rules = kRules;
  std::string hpa = Hpa("avg_queue_us");
  hpa.replace(hpa.find("{name: h}"), 9, "{name: h, namespace: prod}");
  EXPECT_THAT(Check({{"r.yaml", rules}, {"h.yaml", hpa}}), Contains("r.yaml:7 wrong-namespace!"));
}

TEST(CheckManifestsTest, ServicesAgainstPods) {
  const std::string service =
      "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  selector: {app: webb}\n"
      "  ports: [{port: 80, targetPort: http}]\n";
  EXPECT_THAT(TextOf({{"m.yaml", service}, {"w.yaml", Web("")}}),
              HasSubstr("fix: write app=web\n"));
  EXPECT_THAT(Check({{"m.yaml", service}}), IsEmpty());
  std::string right = service;
  right.replace(right.find("webb"), 4, "web");
  EXPECT_THAT(Check({{"m.yaml", right}, {"w.yaml", Web("")}}), Contains("m.yaml:6 no-such-port!"));
  EXPECT_THAT(CheckOne("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n"
                       "  type: LoadBalancer\n  ports:\n  - {name: metrics, port: 8002}\n"),
              Contains("m.yaml:7 public-metrics!"));
}

TEST(CheckManifestsTest, MonitorsAgainstPods) {
  const auto monitor = [](std::string_view name_space, std::string_view app,
                          std::string_view port) {
    return Concat(
        "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\n"
        "metadata: {name: m, namespace: monitoring, labels: {release: a}}\nspec:\n"
        "  selector: {matchLabels: {app: ",
        app, "}}\n  namespaceSelector: {matchNames: [", name_space,
        "]}\n  podMetricsEndpoints:\n  - port: ", port, "\n");
  };
  const std::string web = Web("        ports: [{containerPort: 1, name: metrics}]\n");
  const auto check = [&](const std::string& text) {
    return Check({{"m.yaml", text}, {"w.yaml", web}});
  };
  EXPECT_THAT(check(monitor("default", "web", "metrics")), Not(Contains(HasSubstr("m.yaml"))));
  EXPECT_THAT(check(monitor("prod", "web", "metrics")), Contains("m.yaml:6 scrapes-nothing!"));
  EXPECT_THAT(check(monitor("default", "wep", "metrics")), Contains("m.yaml:5 scrapes-nothing!"));
  EXPECT_THAT(check(monitor("default", "web", "metric")), Contains("m.yaml:8 no-such-port!"));
  const std::string prometheus =
      "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: p}\nspec:\n"
      "  podMonitorSelector: {matchLabels: {release: b}}\n";
  EXPECT_THAT(Check({{"m.yaml", monitor("default", "web", "metrics")}, {"p.yaml", prometheus}}),
              Contains("m.yaml:3 not-selected!"));
}

TEST(CheckManifestsTest, RightsThatAreTooWide) {
  EXPECT_THAT(CheckOne("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n"
                       "metadata: {name: b}\nroleRef: {kind: ClusterRole, name: cluster-admin}\n"
                       "subjects:\n- {kind: Group, name: 'system:serviceaccounts'}\n"),
              Contains("m.yaml:6 permissive-binding!"));
  EXPECT_THAT(Check({{"notes.txt",
                      "first\n$ kubectl create clusterrolebinding x "
                      "--clusterrole=cluster-admin --group=system:serviceaccounts\n"}}),
              Contains("notes.txt:2 permissive-binding!"));
}

TEST(CheckManifestsTest, TheTextMustNameFilesAsTheyAreCalled) {
  EXPECT_THAT(Check({{"r.yaml", kRules}, {"notes.md", "r.yaml has\nconfigl.yml and more.yaml\n"}}),
              Contains("notes.md:2 file-name!"));
}

TEST(CheckManifestsTest, NginxFaultsHaveTheFilesLines) {
  constexpr char kConf[] = R"(upstream a { zone z 64k; server  resolve; }
upstream b { zone z 64k; server  resolve; }
server { listen 80; location / { proxy_pass http://a; health_check; } }
server { listen 89; location / { grpc_pass grpc://b; } }
server { listen 8080; location /api { api write=on; } }
)";
  const auto found = Check({{"x/nginx.conf", kConf}});
  EXPECT_THAT(found, Contains("x/nginx.conf:1 blank!"));
  EXPECT_THAT(found, Contains("x/nginx.conf:2 blank!"));
  EXPECT_THAT(found, Contains("x/nginx.conf:2 nginx-fault!"));
  EXPECT_THAT(found, Contains("x/nginx.conf:5 open-admin!"));
}

}  // namespace
}  // namespace tepal::diagnosis
