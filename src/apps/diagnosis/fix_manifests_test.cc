#include "apps/diagnosis/fix_manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/testing/manifests.h"
#include "core/base/text.h"

namespace tepal::diagnosis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<InputFile> Fixed(std::vector<InputFile> files, const FixOptions& options = {}) {
  std::vector<InputFile> out;
  for (FixedFile& file : FixManifests(files, options).files) {
    out.push_back({file.path, file.text});
  }
  return out;
}

std::string Findings(const std::vector<InputFile>& files) {
  std::string text;
  for (const Finding& finding : CheckManifests(files)) {
    if (finding.severity != Severity::kNote) text += FindingText(finding);
  }
  return text;
}

// Faulty in every way that --fix knows, in our own words.
std::vector<InputFile> Faulty() {
  return {{"servers.yaml", R"(# Our servers.
apiVersion: extensions/v1beta1
kind: Deployment
metadata:
  name: photos
  labels: {app: photo}  # Not the pods' label.
spec:
  replicas: 2
  selector: {matchLabels: {app: photos}}
  template:
    metadata: {labels: {app: photos}}
    spec:
      volumes:
      - name: store
        nfs: {server: , path: "<where>"}
      containers:
      - name: server
        image: nvcr.io/nvidia/tritonserver:20.12-py3
        command: [sh, -c]
        args: ["cd /store /opt/tritonserver/bin/tritonserver --model-repository=/store --strict-model-config=false"]
        ports:
        - {containerPort: 8000, name: web}
        - {containerPort: 8002, name: numbers}
        volumeMounts: [{name: store, mountPath: /store}]
        resources: {limits: {nvidia.com/gpu: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: photos}
spec:
  type: LoadBalancer
  selector: {app: photos}
  ports:
  - {name: grpc, port: 8001}
  - {name: metrics, port: 8002}
---
apiVersion: v1
kind: Service
metadata: {name: photos-all}
Spec:
  clusterIP: None
  selector: {app: photos}
)"},
          {"scaling.yaml", R"(apiVersion: autoscaling/v2beta1
kind: HorizontalPodAutoscaler
metadata: {name: photos}
spec:
  scaleTargetRef: {apiVersion: apps/v1beta1, kind: Deployment, name: photos}
  maxReplicas: 4
  metrics:
  - type: Pods
    pods: {metricName: wait_ms, targetAverageValue: 20}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: rules, namespace: watch}
data:
  rules.yml: |
    rules:
    - seriesQuery: 'queue_us{pod!=""}'
      name: {as: wait_us}
      metricsQuery: 'avg(delta(queue_us{<>}[30s])/(1+delta(requests{<>}[30s]))) by (<>)'
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: adapter, namespace: watch}
spec:
  selector: {matchLabels: {app: adapter}}
  template:
    metadata: {labels: {app: adapter}}
    spec:
      containers:
      - name: adapter
        image: quay.io/coreos/k8s-prometheus-adapter-amd64:v0.4.1
        args: [--cert-dir=/tmp, --prometheus-url=, --v=10, --config=/etc/a/rules.yml, --secure-port=6443]
        ports: [{containerPort: 6443, name: https}]
        volumeMounts: [{name: c, mountPath: /etc/a}]
      volumes: [{name: c, configMap: {name: rules}}]
---
apiVersion: v1
kind: Service
metadata: {name: adapter, namespace: watch}
spec: {selector: {app: adapter}, ports: [{port: 443, targetPort: 6443}]}
---
apiVersion: apiregistration.k8s.io/v1beta1
kind: APIService
metadata: {name: v1beta1.custom.metrics.k8s.io}
spec:
  insecureSkipTLSVerify: true
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 5
  service: {name: adapter, namespace: watch}
)"},
          {"nginx.conf", R"(resolver  valid=5s;
upstream a {
    zone z 64k;
    server  resolve;
}
upstream b {
    zone z 64k;
    server  resolve;
}
server {
    listen 80;
    location / {
        proxy_pass http://a;
        health_check uri=/v2/health/ready;
    }
}
server {
    listen 89;
    location / {
        grpc_pass grpc://b;
    }
}
server {
    listen 8080;
    location /api { api write=on; }
}
)"},
          {"balancer.yaml", R"(apiVersion: v1
kind: ReplicationController
metadata: {name: front}
spec:
  selector: {app: front}
  template:
    metadata: {labels: {app: front}}
    spec:
      imagePullSecrets: [{name: s}]
      containers:
      - name: nginx
        image: nvcr.io/nvidian/x/nginxplus:v1
        command: [/bin/bash, -c, --]
        args: ["nginx; while true; do sleep 9; done;"]
        ports: [{containerPort: 80, hostPort: 81, name: http}, {containerPort: 8000, hostPort: 82}]
        volumeMounts: [{name: conf, mountPath: /etc/nginx/conf.d}]
      volumes: [{name: conf, nfs: {server: , path: }}]
)"}};
}

TEST(FixManifestsTest, WhatItWritesHasNoFaultAndStays) {
  const std::vector<InputFile> once = Fixed(Faulty());
  EXPECT_EQ(Findings(once), "");
  const std::vector<InputFile> twice = Fixed(once);
  ASSERT_EQ(once.size(), twice.size());
  for (size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].text, twice[i].text);
}

TEST(FixManifestsTest, EachPartIsWhatWasMeant) {
  const std::vector<InputFile> fixed = Fixed(Faulty());
  const std::string& servers = fixed.at(0).text;
  EXPECT_THAT(servers, HasSubstr("# Our servers.\napiVersion: apps/v1\nkind: Deployment\n"));
  EXPECT_THAT(servers, HasSubstr("labels:  # Not the pods' label.\n    app: photos\n"));
  EXPECT_THAT(servers, Not(HasSubstr("replicas:")));
  EXPECT_THAT(servers, HasSubstr("command:\n        - /opt/tritonserver/bin/tritonserver\n"));
  EXPECT_THAT(servers, HasSubstr("args:\n        - --model-repository=/store\n"));
  EXPECT_THAT(servers, HasSubstr("claimName: models\n"));
  EXPECT_THAT(servers, HasSubstr("maxSurge: 0\n"));
  EXPECT_THAT(servers, HasSubstr("spec:\n  clusterIP: None\n"));
  EXPECT_THAT(servers, Not(HasSubstr("LoadBalancer")));

  const std::string& scaling = fixed.at(1).text;
  EXPECT_THAT(scaling, HasSubstr("name: wait_us\n"));
  EXPECT_THAT(scaling, HasSubstr("averageValue: 20000\n"));
  EXPECT_THAT(scaling,
              HasSubstr("sum(increase(queue_us{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>) "
                        "/ clamp_min(sum(increase(requests{<<.LabelMatchers>>}[1m])) by "
                        "(<<.GroupBy>>), 1)"));
  EXPECT_THAT(scaling, HasSubstr("name: v1beta2.custom.metrics.k8s.io\n"));
  EXPECT_THAT(scaling, HasSubstr("- --prometheus-url=http://prometheus-operated"));
  EXPECT_THAT(scaling, HasSubstr("serviceAccountName: adapter\n"));
  EXPECT_THAT(scaling, HasSubstr("resources: [pods/wait_us]"));
  EXPECT_THAT(scaling, Not(HasSubstr("insecureSkipTLSVerify")));

  const std::string& nginx = fixed.at(2).text;
  EXPECT_THAT(nginx, HasSubstr("server photos-all.default.svc.cluster.local:8001 resolve;"));
  EXPECT_THAT(nginx, HasSubstr("zone b 64k;"));
  EXPECT_THAT(nginx, HasSubstr("health_check type=grpc;"));

  const std::string& balancer = fixed.at(3).text;
  EXPECT_THAT(balancer, HasSubstr("kind: Deployment\n"));
  EXPECT_THAT(balancer, HasSubstr("- --nginx-conf=/etc/nginx/conf.d/nginx.conf\n"));
  EXPECT_THAT(balancer, HasSubstr("kind: ConfigMap\n"));
  EXPECT_THAT(balancer, Not(HasSubstr("imagePullSecrets")));
  EXPECT_THAT(balancer, Not(HasSubstr("8000\n        hostPort")));
}

TEST(FixManifestsTest, OddNamesStayTexts) {
  std::vector<InputFile> files = Faulty();
  for (InputFile& file : files) {
    for (const std::string_view name :
         {"name: web", "{name: adapter", "{name: front", "as: wait_us"}) {
      for (size_t at = 0; (at = file.text.find(name, at)) != std::string::npos; at += name.size()) {
        file.text.insert(at + name.find(':') + 2, "\"]}\\n{: &\" #");
      }
    }
  }
  (void)Fixed(files);
  files = Faulty();
  const size_t at = files[3].text.find("name: front");
  files[3].text.replace(at + 6, 5, "'a: [b, \"c'");
  EXPECT_THAT(Fixed(files).at(3).text, HasSubstr("name: \"a: [b, \\\"c-conf\""));
}

TEST(FixManifestsTest, WhatIsSoundOrUnknownIsLeftByteForByte) {
  const std::string own =
      "# Ours.\napiVersion: example.com/v1\nkind:   Own\nspec: {template: {spec: {containers: "
      "[{name: a, image: k8s.gcr.io/a}]}}}\n";
  const std::string sound = Concat(testing::kSoundStack, "---\n", own, "--- # end\n");
  const FixResult result = FixManifests(std::vector<InputFile>{{"m.yaml", sound}}, {});
  ASSERT_EQ(result.files.size(), 1u);
  EXPECT_EQ(result.files[0].text, sound);
  EXPECT_FALSE(result.files[0].changed);
}

}  // namespace
}  // namespace tepal::diagnosis
