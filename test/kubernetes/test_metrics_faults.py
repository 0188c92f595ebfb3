"""A blind HorizontalPodAutoscaler: Prometheus, and then the metrics API, dead, broken, lying and slow behind the real API server.

In each case there is load, by the values twice what the target allows. The autoscaler must keep the size it has, although it may scale
down at once and its minimum is 1, and must go on by itself afterwards. At the end a value below the target shows that it would have
scaled down. test_stock_pieces does the same to real ones.
"""
import json
import re
import time
import unittest
import urllib.parse

import harness
from stand_in import StandIn, slowly
from test_metrics_api import FIRST, GROUP, RIGHTS

NAMESPACE, SERVICE, PORT = "faults", "metrics-api", 7444
METRIC = "avg_time_queue_us"
RULES = """rules:
- seriesQuery: 'nv_inference_queue_duration_us{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: nv_inference_queue_duration_us, as: avg_time_queue_us}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
"""
HELD_FOR = 6  # Seconds without a change; the autoscaler looks every second.
# Seconds. A refusal that says Retry-After would be asked for ten times more, a second apart; and a query has 4.
TOLD_WITHIN, SLOW_WITHIN = 9, 30


class Prometheus:
    """As much of one as the rule asks for: every pod has `value`."""

    def __init__(self):
        self.value, self.pods = "100", []
        self.modes = {
            "good": self.answer, "slow": slowly(self.answer),
            "error": lambda path, body: (502, "<html>Bad Gateway</html>"),
            "no JSON": lambda path, body: (200, "<html>It works!</html>"),
            "half of it": lambda path, body: (200, self.answer(path, body)[1][:-20]),
            "nothing": lambda path, body: (200, json.dumps({"status": "success", "data": [] if "/series" in path else {"resultType": "vector", "result": []}})),
            "not a number": lambda path, body: self.answer(path, body, "NaN"),
            "no number": lambda path, body: self.answer(path, body, "many"),
            "another type": lambda path, body: (200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}))}

    def answer(self, path, body, value=None):
        if "/series" in path:
            return 200, json.dumps({"status": "success", "data": [
                {"__name__": "nv_inference_queue_duration_us", "namespace": NAMESPACE, "pod": pod} for pod in self.pods]})
        query = urllib.parse.parse_qs(body or urllib.parse.urlsplit(path).query)["query"][0]
        names = re.search(r'pod=~?"([^"]*)"', query).group(1).replace("\\", "").split("|")
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"pod": name}, "value": [time.time(), value or self.value]} for name in names]}})


class Impostor:
    """Who is no metrics API and sits in its place: what it says of `pods`. Discovery is as it should be, or nobody would ask further."""

    def __init__(self, pods):
        values = json.dumps({"kind": "MetricValueList", "apiVersion": f"{GROUP}/v1beta2", "metadata": {}, "items": [
            {"describedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": pod, "apiVersion": "/v1"}, "metric": {"name": METRIC},
             "timestamp": "2020-01-01T00:00:00Z", "value": "100"} for pod in pods]})
        self.modes = {
            "good": self.say(200, values), "no JSON": self.say(200, "<html>It works!</html>"), "half of it": self.say(200, values[:-20]),
            "an empty list": self.say(200, re.sub(r"\[.*\]", "[]", values)), "another kind": self.say(200, '{"kind":"Status","apiVersion":"v1"}'),
            "error": self.say(500, "<html>Internal Server Error</html>"), "slow": slowly(self.say(200, values))}

    @staticmethod
    def say(status, text):
        def answer(path, body):
            version = re.match(rf"/apis/{re.escape(GROUP)}/(v1beta[12])/?$", path)
            if not version:
                return status, text
            return 200, json.dumps({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{version.group(1)}", "resources": [
                {"name": f"pods/{METRIC}", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}]})
        return answer


class MetricsFaultsTest(harness.KubernetesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.apply(RIGHTS)
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE},
                       "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]}})
        cluster.apply({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                       "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": SERVICE}},
                       "ports": [{"name": "https", "port": PORT}], "endpoints": [{"addresses": [FIRST], "conditions": {"ready": True}}]})
        cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "flower", "namespace": NAMESPACE}, "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "faults"}}, "template": {"metadata": {"labels": {"app": "faults"}}, "spec": {
                "terminationGracePeriodSeconds": 0, "containers": [
                    {"name": "c", "image": "local.test/busybox:1", "command": ["sleep", "3600"]}]}}}})
        pods = lambda: cluster.items("pods", "-n", NAMESPACE, "-l", "app=faults")
        cluster.wait(lambda: sum(map(cluster.ready, pods())) == 4, "four pods are ready")
        cls.certificates = cluster.folder / "faults-certificates"
        (cluster.folder / "faults-rules.yaml").write_text(RULES)
        cls.prometheus = Prometheus()
        cls.prometheus.pods = [pod["metadata"]["name"] for pod in pods()]
        cls.source = StandIn("127.0.0.1", 0, cls.prometheus.modes)
        cls.user = cluster.user("metrics-api", "/CN=metrics-api")
        cls.server = cls.start()
        cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "flower", "namespace": NAMESPACE}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "flower"}, "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "50"}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}]}}}})

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.source.stop()
        cls.cluster.kubectl("delete", "apiservice", f"v1beta1.{GROUP}", f"v1beta2.{GROUP}", "--ignore-not-found")
        cls.cluster.kubectl("delete", "-f", "-", input=RIGHTS)
        cls.cluster.kubectl("delete", "namespace", NAMESPACE, timeout=120)

    @classmethod
    def start(cls):
        server = harness.Lines([harness.BUILD / "bin/tepal", "metrics-api", f"--kubeconfig={cls.user}", f"--bind-address={FIRST}", f"--secure-port={PORT}",
                                f"--cert-dir={cls.certificates}", f"--apiservice-namespace={NAMESPACE}", f"--apiservice-name={SERVICE}",
                                "--register-apiservices", f"--prometheus-url=http://127.0.0.1:{cls.source.port}/",
                                f"--config={cls.cluster.folder}/faults-rules.yaml", "--metrics-relist-interval=5s"])
        server.expect("Metrics API at https://")
        return server

    def scaling_active(self):
        conditions = self.cluster.get("hpa", "flower", "-n", NAMESPACE)["status"].get("conditions", [])
        return next((one for one in conditions if one["type"] == "ScalingActive"), {"status": "not said yet"})

    def replicas(self):
        return self.cluster.get("deployment", "flower", "-n", NAMESPACE)["spec"]["replicas"]

    def sees(self):
        self.cluster.wait(lambda: self.scaling_active()["status"] == "True", "the autoscaler sees", 90)
        self.assertEqual(self.replicas(), 4)

    def holds(self, what):
        def told():
            self.assertEqual(self.replicas(), 4, what)
            return self.scaling_active()["status"] == "False"

        started = time.monotonic()
        self.cluster.wait(told, f"the autoscaler is told: {what}", 120)
        seconds = time.monotonic() - started
        end = time.monotonic() + HELD_FOR
        while time.monotonic() < end:
            self.assertEqual(self.replicas(), 4, what)
            time.sleep(0.5)
        condition = self.scaling_active()
        print(f"{what}: blind after {seconds:.1f} s, size held; {condition['reason']}: {condition['message'][:240]}", flush=True)
        return seconds

    def test_1_prometheus_has_a_fault(self):
        for mode in [one for one in self.prometheus.modes if one != "good"]:
            with self.subTest(mode):
                self.sees()
                self.source.mode = mode
                try:
                    self.assertLess(self.holds(f"Prometheus: {mode}"), SLOW_WITHIN if mode == "slow" else TOLD_WITHIN)
                finally:
                    self.source.mode = "good"
        self.sees()
        port = self.source.port
        self.source.stop()
        self.holds("Prometheus: dead")
        type(self).source = StandIn("127.0.0.1", port, self.prometheus.modes)
        self.sees()

    def test_2_the_metrics_api_has_a_fault(self):
        self.sees()
        self.server.__exit__()
        self.holds("metrics API: dead")
        modes = Impostor(self.prometheus.pods).modes
        impostor = StandIn(FIRST, PORT, modes, (self.certificates / "apiserver.crt", self.certificates / "apiserver.key"))
        self.addCleanup(impostor.stop)
        for mode in [one for one in modes if one != "good"]:
            with self.subTest(mode):
                self.sees()
                impostor.mode = mode
                try:
                    self.holds(f"metrics API: {mode}")
                finally:
                    impostor.mode = "good"
                self.assertTrue([path for at, path in impostor.asked if at == mode and path.startswith("/apis/")], "it was asked")
        self.sees()
        impostor.stop()
        self.holds("metrics API: dead again")
        type(self).server = self.start()
        self.sees()

    def test_3_it_would_have_scaled_down(self):
        self.prometheus.value = "5"
        self.cluster.wait(lambda: self.replicas() == 1, "a tenth of the target is one pod", 60)


if __name__ == "__main__":
    unittest.main()
