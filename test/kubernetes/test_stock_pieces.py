"""The chart under other people's operator and Prometheus: they scrape it, and our metrics API and an autoscaler go by what they know.

The methods are one story and run in the order of their numbers. What `tepal explain` and `tepal doctor` say is held against this
cluster too, because here the kinds of the operator exist.
"""
import json
import os
import subprocess
import time
import unittest
import urllib.parse
import urllib.request

import chart
import harness
import stock_pieces

NAMESPACE = "stock"
HTTP, GRPC = 30820, 30821
PHOTOS = harness.REPOSITORY / ".cache/photos"
FLOWERS = {"sunflower": "sunflowers", "rose": "roses", "daisy": "daisy", "daisy2": "daisy"}
GROUP = "custom.metrics.k8s.io"
METRIC = "avg_time_queue_us"
HPA_BINDING = "system:controller:horizontal-pod-autoscaler"


class StockPiecesTest(harness.KubernetesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        chart.load_image(cluster)
        stock_pieces.load_images(cluster)
        chart.offer_slots(cluster, (4, 3))
        cls.models = chart.copy_models(cluster)
        cls.release = chart.Release(cluster, "stock", NAMESPACE)
        small = {"requests": {"cpu": "10m", "memory": "32Mi"}}
        cls.values = {
            "image": {"repository": chart.IMAGE}, "monitoring": {"podMonitor": {"labels": stock_pieces.SELECTED, "interval": "2s"}},
            "server": {"fullnameOverride": "flower", "models": {"hostPath": {"path": str(cls.models)}}, "preStopSeconds": 1,
                       "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi", "cpu": "300m"}}},
            "balancer": {"replicas": 1, "service": {"type": "NodePort", "nodePorts": {"http": HTTP, "grpc": GRPC}}, "resources": small, "preStopSeconds": 1},
            "metricsAPI": {"enabled": True, "replicas": 1, "scrape": {"enabled": False}, "prometheus": {"url": stock_pieces.PROMETHEUS_URL}, "resources": small},
            "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 3, "signal": "queueTime",
                            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}
        cls.address = f"{cluster.nodes[0].address}:{HTTP}"

    @classmethod
    def tearDownClass(cls):
        cls.release.helm("uninstall", "stock", "--ignore-not-found", "--wait")
        stock_pieces.remove_operator(cls.cluster)
        cls.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)
        chart.offer_slots(cls.cluster, (0, 0))

    # What is asked of the pieces.
    def prometheus(self, path, **parameters):
        address = self.cluster.get("pod", "prometheus-k8s-0", "-n", stock_pieces.MONITORING)["status"]["podIP"]
        with urllib.request.urlopen(f"http://{address}:9090/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def sum_of(self, query):
        result = self.prometheus("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    def hpa(self):
        return self.cluster.get("hpa", "flower", "-n", NAMESPACE)

    def active(self):
        conditions = self.hpa()["status"].get("conditions", [])
        return next((one for one in conditions if one["type"] == "ScalingActive"), {"status": "not said yet"})

    def current(self):
        """What the autoscaler has read last, as it wrote it down."""
        read = [metric["pods"]["current"]["averageValue"] for metric in self.hpa()["status"].get("currentMetrics") or [] if "pods" in metric]
        return read[0] if read else None

    def tepal(self, *arguments):
        return subprocess.run([chart.TEPAL, *arguments, f"--kubeconfig={self.cluster.admin}"], capture_output=True, text=True, timeout=60)

    def findings(self, *, errors_only=True):
        done = self.tepal("doctor", "--json")
        found = json.loads(done.stdout)["findings"]
        return {(one["code"], one["place"]) for one in found if one["severity"] == "error" or not errors_only}

    def photos(self, http, grpc):
        for url, protocol in ((http, "http"), (grpc, "grpc")):
            done = subprocess.run([chart.TEPAL, "infer", "--model=resnet50", f"--url={url}", f"--protocol={protocol}", "--json", PHOTOS],
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            lines = map(json.loads, done.stdout.splitlines())
            self.assertEqual({os.path.basename(one["photo"])[:-4]: one["classes"][0]["label"] for one in lines}, FLOWERS)

    def scales(self, whose):
        """With that metrics API the same autoscaler, idle at two servers, goes to three under load."""
        cluster = self.cluster
        cluster.wait(lambda: self.active()["status"] == "True", f"the autoscaler reads {whose}", 90)
        cluster.wait(lambda: len(self.release.ready("server")) == 2 and len(self.release.pods("server")) == 2, "two servers, idle", 120)
        started = time.monotonic()
        load = chart.KeptConnections(self.address, 6)
        try:
            cluster.wait(lambda: self.hpa()["status"].get("desiredReplicas") == 3, f"the autoscaler wants a third server by {whose}", 90)
            seconds, read = time.monotonic() - started, self.current()
            ours = json.loads(cluster.kubectl("get", "--raw", f"/apis/{GROUP}/v1beta1/namespaces/{NAMESPACE}/pods/*/{METRIC}"))
            cluster.wait(lambda: len(self.release.ready("server")) == 3, "the third server is ready", 90)
        finally:
            report = load.stop()
        values = sorted(item["value"] for item in ours["items"])
        print(f"{whose}: the autoscaler read {read} us and wanted 3 servers {seconds:.1f} s after the load began; {report['succeeded']} answers, "
              f"{report['failed']} failed; values of the pods {values}", flush=True)
        self.assertGreaterEqual(len(values), 2)
        self.assertEqual(report["failed"], 0, report["failures"])

    # The story.
    def test_01_the_operator_takes_the_charts_monitors(self):
        stock_pieces.install_operator(self.cluster)
        self.release.install(self.values)
        wanted = {f"podMonitor/{NAMESPACE}/flower/0": 2, f"podMonitor/{NAMESPACE}/stock-tepal-balancer/0": 1}

        def up():
            pools = [target["scrapePool"] for target in self.prometheus("targets", state="active")["activeTargets"] if target["health"] == "up"]
            return {pool: pools.count(pool) for pool in pools} == wanted
        self.cluster.wait(up, "two servers and the balancer are targets, and up", 120)
        self.photos(self.address, f"{self.cluster.nodes[0].address}:{GRPC}")
        served = sum(self.release.served().values())
        self.assertEqual(served, 2 * len(FLOWERS))
        self.cluster.wait(lambda: self.sum_of("sum(nv_inference_request_success)") == served, "Prometheus has counted them", 30)
        sent = self.sum_of("sum(tepal_balancer_requests_total)")
        print(f"\noperator: {wanted} targets are up; Prometheus counts {served:.0f} answers as the servers do, and {sent:.0f} requests of the balancer", flush=True)

    def test_02_our_metrics_api_reads_that_prometheus(self):
        self.scales("tepal metrics-api")

    def test_03_explain_says_what_the_autoscaler_does(self):
        self.cluster.wait(lambda: self.hpa()["status"]["currentReplicas"] == 2, "two servers again", 120)
        done = self.tepal("explain", "hpa", "flower", "-n", NAMESPACE, "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["current"], said["desired"]), (2, 2), said)
        self.assertEqual(said["desired"], self.hpa()["status"]["desiredReplicas"])
        self.assertIn(METRIC, said["metrics"][0]["name"])
        self.assertEqual(said["metrics"][0]["target"], 50)

    def test_04_doctor_finds_nothing_and_then_what_is_broken(self):
        cluster = self.cluster
        self.assertEqual(self.findings(), set())
        every = {code for code, _ in self.findings(errors_only=False)}
        self.assertNotIn("not-read", every)

        def broken(expected, seconds=30):
            cluster.wait(lambda: expected in self.findings(), f"doctor finds {expected}", seconds)
            self.assertEqual(self.tepal("doctor").returncode, 1)

        monitor = ("label", "podmonitor", "flower", "-n", NAMESPACE, "--overwrite")
        cluster.kubectl(*monitor, "release=other")
        broken(("not-selected", f"PodMonitor {NAMESPACE}/flower"))
        cluster.kubectl(*monitor, "release=kube-prometheus-stack")

        binding = cluster.get("clusterrolebinding", HPA_BINDING)
        cluster.kubectl("delete", "clusterrolebinding", HPA_BINDING)
        broken(("autoscaler-rights", "horizontal-pod-autoscaler"))
        binding["metadata"] = {"name": HPA_BINDING}
        cluster.apply(binding)

        owners = {version: cluster.get("apiservice", f"{version}.{GROUP}")["spec"]["service"]["name"] for version in ("v1beta1", "v1beta2")}
        point = lambda version, name: cluster.kubectl("patch", "apiservice", f"{version}.{GROUP}", "--type=merge", "-p",
                                                      json.dumps({"spec": {"service": {"name": name}}}))
        for version in owners:
            point(version, "somebody-elses")
        broken(("api-unavailable", f"APIService v1beta1.{GROUP}"))
        broken(("autoscaler-blind", f"HorizontalPodAutoscaler {NAMESPACE}/flower"))
        explained = self.tepal("explain", "hpa", "flower", "-n", NAMESPACE)
        self.assertEqual(explained.returncode, 1, explained.stdout)
        for version, name in owners.items():
            point(version, name)
        cluster.wait(lambda: self.findings() == set(), "doctor finds nothing again", 60)


if __name__ == "__main__":
    unittest.main()
