// Manifests for tests: a stack as it should be.

#pragma once

namespace tepal::diagnosis::testing {

inline constexpr char kSoundStack[] = R"(# Servers, their balancer, and what scales them.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flower
  labels: {app: flower}
spec:
  selector: {matchLabels: {app: flower}}
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
  template:
    metadata: {labels: {app: flower}}
    spec:
      containers:
      - name: flower
        image: tepal:0.1.0
        command: [/opt/tritonserver/bin/tritonserver, --model-repository=/models]
        ports:
        - {containerPort: 8000, name: http}
        - {containerPort: 8001, name: grpc}
        - {containerPort: 8002, name: metrics}
        startupProbe: {httpGet: {path: /v2/health/ready, port: http}}
        readinessProbe: {httpGet: {path: /v2/health/ready, port: http}}
        livenessProbe: {httpGet: {path: /v2/health/live, port: http}}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
        resources:
          requests: {cpu: 500m, memory: 1Gi}
          limits: {nvidia.com/mig-1g.5gb: 1, memory: 1Gi}
        securityContext: &restricted
          runAsNonRoot: true
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          seccompProfile: {type: RuntimeDefault}
        volumeMounts:
        - {name: models, mountPath: /models, readOnly: true}
      volumes:
      - name: models
        nfs: {server: files.example.com, path: /models, readOnly: true}
---
apiVersion: v1
kind: Service
metadata: {name: flower}
spec:
  clusterIP: None
  selector: {app: flower}
  ports:
  - {port: 8000, name: http, targetPort: http}
  - {port: 8001, name: grpc, targetPort: grpc}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: flower}
spec:
  selector: {matchLabels: {app: flower}}
  podMetricsEndpoints: [{port: metrics, interval: 10s}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: flower}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: flower}
  minReplicas: 1
  maxReplicas: 7
  metrics:
  - type: Pods
    pods:
      metric: {name: avg_time_queue_us}
      target: {type: AverageValue, averageValue: 50k}
)";

}  // namespace tepal::diagnosis::testing
