"""The chart on the real cluster: two nodes with seven slots between them, our image, the flower models.

The methods are one story and run in the order of their numbers: installed, asked for photos, scaled by hand as in the recipe,
changed and broken under load without a failed request, scaled by the HorizontalPodAutoscaler, found by EndpointSlices.
"""
import collections
import json
import os
import re
import subprocess
import sys
import time
import unittest
import urllib.request

import chart
import harness
from transcript import Transcript

PHOTOS = harness.REPOSITORY / ".cache/photos"
FLOWERS = {"sunflower": "sunflowers", "rose": "roses", "daisy": "daisy", "daisy2": "daisy"}
HTTP, GRPC = 30800, 30801
SLOTS = (4, 3)
UNEVEN_MAX = 1.10
# Until a state is there, beside whatever else this machine does. Nothing below depends on how long it takes.
PATIENCE = 600
# From ready to the first answer where the balancer watches; one that asks the DNS waits up to the 5 s that its records are good for.
SLICES_SECONDS_MAX = 3


class ChartTest(harness.KubernetesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        started = time.monotonic()
        cls.megabytes = chart.load_image(cls.cluster)
        print(f"our image on the nodes after {time.monotonic() - started:.1f} s", flush=True)
        chart.offer_slots(cls.cluster, SLOTS)
        cls.models = chart.copy_models(cls.cluster, slow=["slow"])
        cls.release = chart.Release(cls.cluster, "flower", "default")
        cls.transcript = Transcript()
        cls.values = {
            "image": {"repository": chart.IMAGE}, "server": {
                "fullnameOverride": "flower", "models": {"hostPath": {"path": str(cls.models)}},
                "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi", "cpu": "300m"}},
                "preStopSeconds": 5},
            "balancer": {"service": {"type": "NodePort", "nodePorts": {"http": HTTP, "grpc": GRPC}}, "pool": {"policy": "round_robin"},
                         "resources": {"requests": {"cpu": "20m"}}}}
        node = cls.cluster.nodes[0].address
        cls.http, cls.grpc = f"{node}:{HTTP}", f"{node}:{GRPC}"

    @classmethod
    def tearDownClass(cls):
        cls.release.helm("uninstall", "flower", "--ignore-not-found", "--wait")
        chart.offer_slots(cls.cluster, (0, 0))

    # Commands as a person types them.
    def shown(self, name, *words):
        """kubectl, recorded for the page."""
        done = self.cluster.kubectl(*words, check=False)
        quoted = [f"'{word}'" if re.search(r"[*?&|<>$ ]", word) else word for word in words]
        self.transcript.add(name, "kubectl " + " ".join(quoted), done.stdout + done.stderr)
        return done

    def server_states(self):
        states = self.release.server_states()
        try:
            return f"{states}; {self.release.autoscaler_state('flower')}"
        except RuntimeError:
            return states  # There is no autoscaler yet.

    def wait_ready(self, count, seconds=PATIENCE):
        self.cluster.wait(lambda: len(self.release.ready("server")) == count and len(self.release.pods("server")) == count,
                          f"{count} servers, all ready", seconds, self.server_states)

    def wait_balanced(self, count, seconds=PATIENCE):
        """Until every balancer sends requests to that many servers."""
        def up():
            balancers = self.release.ready("balancer")
            counts = []
            for pod in balancers:
                try:
                    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080/metrics", timeout=5) as answer:
                        page = answer.read().decode()
                except OSError:
                    return False
                counts.append(len(re.findall(r"^tepal_balancer_endpoint_up\{.*\} 1$", page, re.M)))
            return counts and set(counts) == {count}
        self.cluster.wait(up, f"every balancer has {count} servers", seconds, self.server_states)

    def photos(self, *flags):
        done = subprocess.run([chart.TEPAL, "infer", "--model=resnet50", *flags, PHOTOS], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def fair_share(self, replicas):
        """Most over least, and the answers of each server: over 120 for each of so many, which are the same all the time. Enough that
        who was served last does not show, however slow this machine is."""
        start = {}

        def counted():
            now = self.release.served()
            if now.keys() != start.keys():
                start.clear()
                start.update(now)
            served = {name: now[name] - start[name] for name in now}
            return len(served) == replicas and sum(served.values()) >= 120 * replicas and served

        served = self.cluster.wait(counted, f"{replicas} servers have given 120 answers each", PATIENCE, lambda: f"{self.release.served()} after {start}")
        return max(served.values()) / min(served.values()), served

    # The story.
    def test_01_it_installs_and_its_own_test_passes(self):
        print(f"\nimage: {self.megabytes} MB", flush=True)
        before = self.shown("metrics-before", "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1")
        self.assertIn("NotFound", before.stderr)
        started = time.monotonic()
        notes = self.release.install(self.values)
        print(f"installed and ready after {time.monotonic() - started:.1f} s", flush=True)
        self.transcript.add("install", "helm install flower deploy/helm/tepal -f flower.yaml --wait", notes)
        self.assertIn("Succeeded", self.release.helm("test", "flower"))
        self.shown("pods", "get", "pods")
        self.assertEqual(len(self.release.ready("server")), 1)
        self.assertEqual(len(self.release.ready("balancer")), 2)
        self.assertEqual(len({pod["spec"]["nodeName"] for pod in self.release.pods("balancer")}), 2)

    def test_02_photos_get_their_names(self):
        found = {}
        for url, protocol in ((self.http, "http"), (self.grpc, "grpc")):
            lines = self.photos(f"--url={url}", f"--protocol={protocol}", "--json").splitlines()
            found = {os.path.basename(one["photo"])[:-4]: one["classes"][0]["label"] for one in map(json.loads, lines)}
            self.assertEqual(found, FLOWERS)
        python = harness.REPOSITORY / ".cache/venv/bin/python"
        done = subprocess.run([python, harness.REPOSITORY / "test/kubernetes/photo_client.py", self.http, self.grpc, PHOTOS / "sunflower.jpg"],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.stdout.split(), ["sunflowers", "sunflowers"], done.stderr)
        shown = self.photos(f"--url={self.http}").replace(str(PHOTOS), "photos").replace(" " * (len(str(PHOTOS)) - 6), "")
        self.transcript.add("photos", f"tepal infer --model resnet50 --url {self.http} photos/", shown)

    def test_03_it_scales_by_hand_until_the_slots_are_taken(self):
        cluster = self.cluster
        self.shown("scale", "scale", "deployment", "flower", "--replicas=7")
        self.wait_ready(7)
        self.shown("scale", "get", "pods", "-l", "app.kubernetes.io/component=server", "-o", "wide")
        used = collections.Counter(pod["spec"]["nodeName"] for pod in self.release.pods("server"))
        self.assertEqual(used, {"n1": 4, "n2": 3})

        self.shown("eighth", "scale", "deployment", "flower", "--replicas=8")
        cluster.wait(lambda: "Insufficient " + chart.SLOT in json.dumps(self.release.pods("server")), "the eighth finds no slot")
        self.shown("eighth", "get", "pods", "-l", "app.kubernetes.io/component=server")
        self.assertEqual(len(self.release.ready("server")), 7)
        self.photos(f"--url={self.http}")
        self.shown("eighth", "scale", "deployment", "flower", "--replicas=7")
        self.wait_ready(7)

        self.shown("expose", "expose", "deployment", "flower", "--name=flower-direct", "--port=8000", "--target-port=8000")
        self.shown("expose", "get", "service", "flower-direct")
        address = cluster.get("service", "flower-direct")["spec"]["clusterIP"]
        cluster.wait(lambda: cluster.nodes[1].run(["curl", "-fsS", "-o", "/dev/null", f"http://{address}:8000/v2/health/ready"], check=False).returncode == 0,
                     "the new Service answers")
        cluster.kubectl("delete", "service", "flower-direct")

    def test_04_every_pod_gets_its_share_through_the_balancer_and_not_through_a_service(self):
        """The recipe's finding: a Service balances connections, and clients keep theirs."""
        labels = self.cluster.get("deployment", "flower")["spec"]["selector"]["matchLabels"]
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "layer-four"}, "spec": {
            "type": "NodePort", "selector": labels, "ports": [{"name": "http", "port": 8000, "nodePort": 30810}, {"name": "grpc", "port": 8001, "nodePort": 30811}]}})
        self.addCleanup(self.cluster.kubectl, "delete", "service", "layer-four")
        self.wait_ready(7)
        self.wait_balanced(7)
        node = self.cluster.nodes[0].address
        self.cluster.wait(lambda: urllib.request.urlopen(f"http://{node}:30810/v2/health/ready", timeout=5).status == 200,
                          "kube-proxy knows the Service", PATIENCE)
        shares = {}
        for way, http, grpc in (("Service", f"{node}:30810", f"{node}:30811"), ("balancer", self.http, self.grpc)):
            for name, url, flags in (("7 HTTP connections", http, ["--concurrency=7"]),
                                     ("1 gRPC channel", grpc, ["--protocol=grpc", "--connections=1", "--streams=7"])):
                before = self.release.served()
                report = chart.Load(self.cluster, "share", url, "--duration=10s", *flags).wait()
                after = self.release.served()
                served = sorted(int(after[pod] - before[pod]) for pod in after)
                line = f"{way}, {name}: {report['failed']} of {report['succeeded'] + report['failed']} failed; answers of each pod {served}"
                print(line, flush=True)
                shares[way, name] = served
                self.assertEqual(report["failed"], 0, report["failures"])
        self.transcript.add_text("shares", "".join(f"{way + ', ' + name:<30} {' '.join(f'{n:>5}' for n in served)}\n" for (way, name), served in shares.items()))
        self.assertEqual(sum(n > 0 for n in shares["Service", "1 gRPC channel"]), 1)
        for name in ("7 HTTP connections", "1 gRPC channel"):
            served = shares["balancer", name]
            self.assertLessEqual(served[-1] / served[0], UNEVEN_MAX, served)

    def test_05_no_request_fails_while_everything_is_changed_and_broken(self):
        cluster, release = self.cluster, self.release
        three = chart.merge(self.values, {"server": {"replicas": 3}})
        release.upgrade(three)
        self.wait_ready(3)
        self.wait_balanced(3)
        before = json.loads(release.helm("history", "flower", "-o", "json"))[-1]["revision"]
        # Closed loops: however slow the machine is, there is never more load than servers.
        loads = [chart.KeptConnections(self.http, 2),
                 chart.Load(cluster, "changes-grpc", self.grpc, "--duration=900s", "--protocol=grpc", "--streams=2")]
        try:
            changed = chart.merge(three, {"server": {"flags": ["--log-verbose=0"]}, "balancer": {"pool": {"policy": "least_outstanding"}}})
            old = {pod["metadata"]["name"] for pod in release.pods("server") + release.pods("balancer")}
            self._timed("helm upgrade", lambda: release.upgrade(changed))
            new = {pod["metadata"]["name"] for pod in release.pods("server") + release.pods("balancer")}
            self.assertFalse(old & new, "every pod is another one now")
            self._timed("helm rollback", lambda: release.helm("rollback", "flower", before, "--wait", "--timeout=10m"))
            self.wait_ready(3)
            self._timed("a server deleted by force", lambda: self._replace("server", "--force", "--grace-period=0"))
            self._timed("a balancer deleted", lambda: self._replace("balancer"))
        finally:
            reports = [load.stop() for load in loads]
        for report in reports:
            print(f"under load: {report['succeeded']} answers, {report['failed']} failures {report['failures']}, {report.get('resent', 0)} sent again", flush=True)
            self.assertGreater(report["succeeded"], 100)
        self.assertEqual([report["failed"] for report in reports], [0, 0], [report["failures"] for report in reports])

    def _timed(self, what, act):
        started = time.monotonic()
        act()
        print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)

    def _replace(self, component, *how):
        pods = self.release.ready(component)
        name = pods[0]["metadata"]["name"]
        self.cluster.kubectl("delete", "pod", name, *how, timeout=PATIENCE)
        self.cluster.wait(lambda: len(self.release.ready(component)) == len(pods), f"another {component} is ready", PATIENCE, self.server_states)

    def test_06_the_recipe_s_own_pod_runs_with_another_image_name(self):
        # Its Deployment, but for the volume (there is no NFS server here) and the `&&` that its publication lost.
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "recipe", "labels": {"app": "recipe"}}, "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "recipe"}}, "template": {"metadata": {"labels": {"app": "recipe"}}, "spec": {
                "volumes": [{"name": "models", "hostPath": {"path": str(self.models)}}], "containers": [{
                    "name": "flower", "image": f"{chart.IMAGE}:{chart.version()}", "ports": [{"containerPort": 8000, "name": "http-triton"}],
                    "volumeMounts": [{"mountPath": "/models", "name": "models"}], "command": ["/bin/sh", "-c"],
                    "args": ["cd /models && /opt/tritonserver/bin/tritonserver --model-repository=/models --allow-gpu-metrics=false "
                             "--strict-model-config=false"],
                    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8000}, "periodSeconds": 1},
                    "resources": {"limits": {chart.SLOT: 1}}}]}}}})
        self.addCleanup(self.cluster.kubectl, "delete", "deployment", "recipe", "--wait=true")
        self.cluster.wait(lambda: self.cluster.get("deployment", "recipe")["status"].get("readyReplicas") == 1, "the recipe's pod is ready", 90)
        pod = self.cluster.items("pods", "-l", "app=recipe")[0]["metadata"]["name"]
        self.assertIn("uid=65532(tepal)", self.cluster.kubectl("exec", pod, "--", "bash", "-c", "id; ls /models"))

    def test_07_the_api_server_takes_what_the_chart_and_the_manifests_say(self):
        """Server-side dry run, strict: unknown fields are errors. Kinds of operators that are not here are left out."""
        sys.path.insert(0, str(harness.REPOSITORY / "test/chart"))
        os.environ["HELM"] = self.release.program
        import test_chart as without_cluster
        dry = chart.Release(self.cluster, "dry", "dry")
        texts = {name: dry.helm("template", "dry", chart.CHART, "--skip-tests", values=chart.merge(without_cluster.NFS, values))
                 for name, values in without_cluster.MATRIX.items()}
        for path in sorted((harness.REPOSITORY / "deploy/manifests").glob("*.yaml")):
            texts[path.name] = path.read_text()
        for namespace in ("dry", "tepal"):
            self.cluster.kubectl("create", "namespace", namespace)
        for name, text in texts.items():
            documents = [one for one in re.split(r"^---$", text, flags=re.M)
                         if re.search(r"^kind: ", one, re.M) and not re.search(r"^apiVersion: (monitoring.coreos.com|cert-manager.io)/", one, re.M)]
            with self.subTest(name):
                done = self.cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-",
                                            input="\n---\n".join(documents), check=False) if documents else None
                self.assertTrue(done is None or done.returncode == 0, done and done.stderr)

    def test_08_the_autoscaler_goes_from_one_to_three_to_seven_and_back(self):
        cluster, release = self.cluster, self.release
        quick = {} if harness.STOCK_AUTOSCALER else {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}}}
        scaled = chart.merge(self.values, {
            "metricsAPI": {"enabled": True, "resources": {"requests": {"cpu": "10m"}}},
            "autoscaling": {"enabled": True, "signal": "inFlight", **quick},
            "balancer": {"pool": {"endpoint_in_flight_max": 8}}})
        release.upgrade(scaled)
        cluster.kubectl("scale", "deployment", "flower", "--replicas=1")
        for version in ("v1beta1", "v1beta2"):
            cluster.wait(lambda: any(one["type"] == "Available" and one["status"] == "True" for one in
                                     cluster.get("apiservice", f"{version}.custom.metrics.k8s.io")["status"]["conditions"]),
                         f"{version} is available", PATIENCE)
        self.wait_ready(1)
        self.shown("metrics-after", "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1")
        self.shown("metrics-value", "get", "--raw", "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/avg_time_queue_us")
        self.shown("hpa", "get", "hpa", "flower")
        # One client of a real model all the time; the others ask one that takes its time, however busy this machine is.
        loads = [chart.KeptConnections(self.http, 1)]
        try:
            self._at_size(5, 3, loads)
            self._at_size(17, 7, loads, self._break_one_of_each)
            self.shown("hpa", "get", "hpa", "flower")
            self._timed("back to one server", lambda: self.wait_ready(1))
        finally:
            reports = [load.stop() for load in loads]
        total = {what: sum(report[what] for report in reports) for what in ("succeeded", "failed", "resent")}
        print(f"the autoscaler's whole way: {total}", flush=True)
        self.assertEqual(total["failed"], 0, [report["failures"] for report in reports])

    def _at_size(self, clients, replicas, loads, then=lambda: None):
        """That many more clients until there are so many servers, which get the same share each."""
        started = time.monotonic()
        loads.append(chart.KeptConnections(self.http, clients, "slow", "INPUT0", (16,)))
        self.wait_ready(replicas)
        ready = time.monotonic()
        self.wait_balanced(replicas)
        ratio, served = self.fair_share(replicas)
        print(f"{clients} more clients: {replicas} servers ready after {ready - started:.1f} s; {sum(served.values()):.0f} answers in "
              f"{time.monotonic() - ready:.1f} s, most/least {ratio:.3f}", flush=True)
        self.assertLessEqual(ratio, UNEVEN_MAX, served)
        then()
        loads[-1].stop()

    def _break_one_of_each(self):
        for component, how in (("metrics-api", ()), ("server", ("--force", "--grace-period=0")), ("balancer", ("--force", "--grace-period=0"))):
            self._timed(f"a {component} deleted{' by force' if how else ''}", lambda: self._replace(component, *how))
        self.wait_ready(7)

    def test_09_a_balancer_that_watches_the_service_knows_a_new_pod_at_once(self):
        cluster, release = self.cluster, self.release
        release.upgrade(chart.merge(self.values, {"balancer": {"discovery": "endpointSlices"}}))
        self.wait_ready(1)
        self.wait_balanced(1)

        def may(verb, *what):
            return cluster.kubectl("auth", "can-i", verb, *what, "--as=system:serviceaccount:default:flower-tepal-balancer", check=False).stdout.strip()
        self.assertEqual([may(verb, "endpointslices.discovery.k8s.io") for verb in ("get", "list", "watch", "patch")], ["yes", "yes", "yes", "no"])
        self.assertEqual([may("list", *what) for what in (["pods"], ["secrets"], ["endpointslices.discovery.k8s.io", "-A"])], ["no"] * 3)

        load = chart.KeptConnections(self.http, 8, "slow", "INPUT0", (16,))
        ready, answered = {}, {}
        try:
            cluster.kubectl("scale", "deployment", "flower", "--replicas=3")

            def all_answer():
                for pod, count in release.served().items():  # Of those that are ready.
                    ready.setdefault(pod, time.monotonic())
                    if count > 0:
                        answered.setdefault(pod, time.monotonic())
                return len(answered) == 3
            cluster.wait(all_answer, "three servers answer", PATIENCE, self.server_states)
            cluster.kubectl("scale", "deployment", "flower", "--replicas=1")
            self.wait_ready(1)
            self.wait_balanced(1)
        finally:
            report = load.stop()
        took = sorted(answered[pod] - ready[pod] for pod in answered)
        print(f"EndpointSlices: new pods answered {took[1]:.2f} and {took[2]:.2f} s after they were seen ready; {report['succeeded']} answers, "
              f"{report['failed']} failures, {report['resent']} sent again", flush=True)
        self.assertLess(took[-1], SLICES_SECONDS_MAX)
        self.assertEqual(report["failed"], 0, report["failures"])


if __name__ == "__main__":
    unittest.main()
