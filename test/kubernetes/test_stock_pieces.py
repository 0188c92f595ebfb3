"""Every piece of the chart beside other people's: the real operator and Prometheus scrape it, prometheus-adapter and nginx stand in
for our metrics API and our balancer, one at a time, and ours for prometheus-adapter in its own Deployment.

The methods are one story and run in the order of their numbers. What `tepal explain`, `tepal doctor` and `tepal check --fix` say is
held against this cluster too, because here the kinds of the operator exist; and the real Prometheus and metrics API die under real
load, or answer as they should not.
"""
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import yaml

import chart
import harness
import stock_pieces
from stand_in import StandIn, slowly

NAMESPACE = "stock"
HTTP, GRPC = 30820, 30821
PHOTOS = harness.REPOSITORY / ".cache/photos"
FLOWERS = {"sunflower": "sunflowers", "rose": "roses", "daisy": "daisy", "daisy2": "daisy"}
GROUP = "custom.metrics.k8s.io"
METRIC = "avg_time_queue_us"
HPA_BINDING = "system:controller:horizontal-pod-autoscaler"
BETWEEN = 9099  # Where a stand-in passes on what is asked of Prometheus.
HELD_FOR = 6  # Seconds without a change; the autoscaler looks every second.


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
        stock_pieces.remove_adapter(cls.cluster)
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

    def idle(self, whose):
        self.cluster.wait(lambda: self.active()["status"] == "True", f"the autoscaler reads {whose}", 90)
        self.cluster.wait(lambda: len(self.release.ready("server")) == 2 and len(self.release.pods("server")) == 2, "two servers, idle", 120)

    def scales(self, whose, address=None):
        """With that metrics API the same autoscaler, idle at two servers, goes to three under load."""
        cluster = self.cluster
        self.idle(whose)
        started = time.monotonic()
        load = chart.KeptConnections(address or self.address, 6)
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

    def answers(self, image):
        """The metrics are prometheus-adapter's Deployment's to answer, which runs that image, and nobody else's."""
        owners = {one["metadata"]["name"]: one["spec"]["service"] for one in self.cluster.items("apiservices") if one["spec"].get("group") == GROUP}
        self.assertEqual({name: (one["namespace"], one["name"]) for name, one in owners.items()},
                         {f"v1beta1.{GROUP}": (stock_pieces.MONITORING, "prometheus-adapter")})
        pods = self.cluster.items("pods", "-n", stock_pieces.MONITORING, "-l", "app.kubernetes.io/name=prometheus-adapter")
        running = {pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
        self.assertEqual(running, {image})

    def wanted(self):
        return self.cluster.get("deployment", "flower", "-n", NAMESPACE)["spec"]["replicas"]

    def blind(self, what):
        """The autoscaler is told that it sees nothing, and keeps three servers where it may have two."""
        def told():
            self.assertEqual(self.wanted(), 3, what)
            return self.active()["status"] == "False"

        started = time.monotonic()
        self.cluster.wait(told, f"the autoscaler is told: {what}", 120)
        seconds, end = time.monotonic() - started, time.monotonic() + HELD_FOR
        while time.monotonic() < end:
            self.assertEqual(self.wanted(), 3, what)
            time.sleep(0.5)
        condition = self.active()
        self.assertEqual(condition["status"], "False", f"{what}, and it sees: {condition}")
        print(f"{what}: blind after {seconds:.1f} s, three servers; {condition['reason']}: {condition['message'][:240]}", flush=True)

    def sees_again(self, what):
        started = time.monotonic()
        self.cluster.wait(lambda: self.active()["status"] == "True", f"the autoscaler sees again after {what}", 120)
        self.assertEqual(self.wanted(), 3, what)
        print(f"{what}: it sees again after {time.monotonic() - started:.1f} s", flush=True)

    def between(self):
        """Asks the real Prometheus, or spoils what it says."""
        def asked(path, body):
            address = self.cluster.get("pod", "prometheus-k8s-0", "-n", stock_pieces.MONITORING)["status"]["podIP"]
            with urllib.request.urlopen(f"http://{address}:9090{path}", data=body.encode() or None, timeout=10) as answer:
                return answer.status, answer.read().decode()

        def half(path, body):
            status, text = asked(path, body)
            return status, text[:len(text) // 2]
        return StandIn(self.cluster.address, BETWEEN, {"good": asked, "half an answer": half, "slow": slowly(asked), "error": lambda *_: (502, "Bad Gateway")})

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
        binding["metadata"] = {"name": HPA_BINDING}
        cluster.kubectl("delete", "clusterrolebinding", HPA_BINDING)
        try:
            broken(("autoscaler-rights", "horizontal-pod-autoscaler"))
        finally:
            cluster.apply(binding)  # Without it no later test scales.

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

    @unittest.skipUnless(os.environ.get("TEPAL_RECIPE"), "TEPAL_RECIPE does not name the recipe's folder")
    def test_05_the_api_server_takes_the_mended_recipe(self):
        def takes(path):
            started = time.monotonic()
            done = self.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", path, check=False)
            return done, time.monotonic() - started

        published, slowest = sorted(pathlib.Path(os.environ["TEPAL_RECIPE"]).glob("*.yml")), 0.0
        refused = [path.name for path in published if takes(path)[0].returncode != 0]
        self.assertTrue(refused, "the API server looks closely enough to refuse some of it as it was published")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([chart.TEPAL, "check", "manifests", "--fix", f"--out={folder}", os.environ["TEPAL_RECIPE"]],
                                  capture_output=True, text=True, timeout=60)
            mended = sorted(pathlib.Path(folder).rglob("*.yml"))
            self.assertEqual([path.name for path in mended], [path.name for path in published], done.stdout + done.stderr)
            for path in mended:
                with self.subTest(path.name):
                    took, seconds = takes(path)
                    slowest = max(slowest, seconds)
                    self.assertEqual(took.returncode, 0, took.stderr)
        print(f"recipe: of {len(published)} files as published the API server refuses {refused}; mended it takes all, each within {slowest:.1f} s", flush=True)

    def test_06_published_configurations_load_as_they_are(self):
        files = stock_pieces.made("prometheus-adapter") / "published"
        inner = self.cluster.folder / "kube-prometheus.yaml"
        inner.write_text(yaml.safe_load((files / "config-map.yaml").read_text())["data"]["config.yaml"])
        prometheus = self.cluster.get("pod", "prometheus-k8s-0", "-n", stock_pieces.MONITORING)["status"]["podIP"]
        series = self.prometheus("series", **{"match[]": '{namespace!="",pod!="",__name__=~".+_total",__name__!~"container_.*"}'})
        wanted = {f"{kind}/{one['__name__'].removesuffix('_total')}" for one in series for kind in ("pods", "namespaces")}
        self.assertIn("pods/tepal_balancer_requests", wanted)
        context = ssl._create_unverified_context()
        context.load_cert_chain(self.cluster.pki / "admin.crt", self.cluster.pki / "admin.key")

        def metrics():
            with urllib.request.urlopen(f"https://127.0.0.1:7446/apis/{GROUP}/v1beta1", context=context, timeout=10) as answer:
                return {one["name"] for one in json.load(answer)["resources"]}
        for file, said, expected in ((files / "sample-config.yaml", "metricsQuery has double quotes within double quotes", wanted),
                                     (inner, "resourceRules are not served", set())):
            with self.subTest(file.name), harness.Lines([
                    chart.TEPAL, "metrics-api", f"--kubeconfig={self.cluster.admin}", "--secure-port=7446", f"--config={file}",
                    f"--prometheus-url=http://{prometheus}:9090/"]) as server:
                server.expect(said)
                server.expect("Metrics API at https://")
                self.cluster.wait(lambda: metrics() >= expected, f"it has the metrics that {file.name} means", 30)
                listed = metrics()
                print(f"{file.name}: loads, and lists {len(listed)} metrics of that Prometheus", flush=True)
                self.assertEqual(bool(listed), bool(expected), listed)

    def test_07_under_load_the_sources_die_and_lie(self):
        self.idle("tepal metrics-api")
        load = chart.KeptConnections(self.address, 6)
        try:
            self.cluster.wait(lambda: len(self.release.ready("server")) == 3, "three servers under load", 90)
            self._die()
            self._lie()
        finally:
            report = load.stop()
        print(f"under load, all the while: {report['succeeded']} answers, {report['failed']} failed", flush=True)
        self.assertEqual(report["failed"], 0, report["failures"])
        self.release.upgrade(self.values)
        self.idle("tepal metrics-api")  # It goes down as soon as it may.

    def _die(self):
        cluster = self.cluster
        end = lambda namespace, selector: cluster.kubectl("delete", "pod", "-n", namespace, "-l", selector, "--force", "--grace-period=0")
        metrics_api = lambda replicas: cluster.kubectl("scale", "deployment", "stock-tepal-metrics-api", "-n", NAMESPACE, f"--replicas={replicas}")
        metrics_api(0)
        end(NAMESPACE, "app.kubernetes.io/component=metrics-api")
        self.blind("the metrics API is dead")
        metrics_api(1)
        self.sees_again("the metrics API was dead")

        prometheus = lambda replicas: cluster.kubectl("patch", "prometheus", "k8s", "-n", stock_pieces.MONITORING, "--type=merge", "-p",
                                                      json.dumps({"spec": {"replicas": replicas}}))
        prometheus(0)
        cluster.wait(lambda: cluster.get("statefulset", "prometheus-k8s", "-n", stock_pieces.MONITORING)["spec"]["replicas"] == 0, "the operator agrees", 60)
        end(stock_pieces.MONITORING, "app.kubernetes.io/name=prometheus")
        self.blind("Prometheus is dead")
        prometheus(1)
        self.sees_again("Prometheus was dead and has forgotten everything")

    def _lie(self):
        between = self.between()
        try:
            url = {"prometheus": {"url": f"http://{self.cluster.address}:{BETWEEN}/"}}
            self.release.upgrade(chart.merge(self.values, {"metricsAPI": url}))
            for mode in ("half an answer", "error", "slow"):
                self.cluster.wait(lambda: any("/query" in path for _, path in between.asked), "Prometheus is asked by way of the stand-in", 60)
                self.sees_again("the way there")
                between.mode = mode
                self.blind(f"Prometheus: {mode}")
                between.mode = "good"
                self.sees_again(f"Prometheus: {mode}")
        finally:
            between.stop()

    def test_08_prometheus_adapter_in_place_of_ours(self):
        before = self.hpa()["metadata"]["uid"]
        self.release.upgrade(chart.merge(self.values, {"metricsAPI": {"enabled": False}}))
        stock_pieces.apply_adapter(self.cluster, self.release, "local.test/prometheus-adapter:1")
        self.answers("local.test/prometheus-adapter:1")
        self.scales("prometheus-adapter v0.12.0")
        self.assertEqual(self.hpa()["metadata"]["uid"], before, "it is the same autoscaler")

    def test_09_ours_in_prometheus_adapters_own_deployment(self):
        image = f"{chart.IMAGE}:{chart.version()}"
        stock_pieces.apply_adapter(self.cluster, self.release, image, command=["/adapter"])
        self.answers(image)
        self.scales("tepal in prometheus-adapter's Deployment")

    def test_10_nginx_in_place_of_our_balancer(self):
        stock_pieces.remove_adapter(self.cluster)  # The chart's own again.
        self.release.upgrade(chart.merge(self.values, {"balancer": {"enabled": False}}))
        self.addCleanup(self.cluster.kubectl, "delete", "pod", "nginx", "-n", NAMESPACE)
        self.idle("tepal metrics-api")
        address = stock_pieces.apply_nginx(self.cluster, NAMESPACE, "flower")
        before = self.release.served()
        self.photos(f"{address}:8085", f"{address}:8087")
        after = self.release.served()
        shares = sorted(int(after[pod] - before.get(pod, 0)) for pod in after)
        print(f"nginx: 8 photos by HTTP and gRPC, answers of each server {shares}", flush=True)
        self.assertEqual(sum(shares), 2 * len(FLOWERS))
        self.assertGreater(shares[0], 0)
        self.scales("tepal metrics-api, with nginx before the servers", f"{address}:8085")


if __name__ == "__main__":
    unittest.main()
