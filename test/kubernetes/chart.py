"""The chart on the test cluster: Helm, our image on every node, slots that nodes offer, load, and each pod's share of it."""
import collections
import http.client
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

from harness import BUILD, REPOSITORY

CHART = REPOSITORY / "deploy/helm/tepal"
IMAGE = "local.test/tepal"
SLOT = "nvidia.com/mig-1g.5gb"
TEPAL = BUILD / "bin/tepal"


def version():
    return re.search(r"^appVersion: (\S+)", (CHART / "Chart.yaml").read_text(), re.M).group(1)


def merge(one, other):
    result = dict(one)
    for key, value in other.items():
        result[key] = merge(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


class Release:
    """A release of the chart, by Helm, in a namespace of its own."""

    def __init__(self, cluster, name, namespace):
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self.program = subprocess.run([REPOSITORY / "test/chart/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.home = cluster.folder / "helm"

    def helm(self, *arguments, values=None, timeout=660):
        folders = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, f"--kubeconfig={self.cluster.admin}", f"--namespace={self.namespace}", *map(str, arguments)]
        done = subprocess.run(command + (["--values=-"] if values is not None else []), input=json.dumps(values) if values is not None else None,
                              capture_output=True, text=True, timeout=timeout, env={**os.environ, **folders})
        if done.returncode != 0:
            raise RuntimeError(f"helm {' '.join(map(str, arguments))}: {done.stderr.strip()}\n{done.stdout.strip()}")
        return done.stdout

    def install(self, values):
        return self.helm("install", self.name, CHART, "--create-namespace", "--wait", "--timeout=10m", values=values)

    def upgrade(self, values):
        return self.helm("upgrade", self.name, CHART, "--wait", "--timeout=10m", values=values)

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def pods(self, component):
        """Those that are not on their way out."""
        selector = urllib.parse.quote(f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}")
        pods = self.cluster.read(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={selector}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, component):
        return [pod for pod in self.pods(component) if self.cluster.ready(pod)]

    def served(self):
        """Pod name -> the requests that it has answered since it started, by its own metrics."""
        return {name: sum(models.values()) for name, models in self.served_models().items()}

    def served_models(self):
        """Pod name -> model -> the requests that it has answered since it started, by its own metrics."""
        found = {}
        for pod in self.ready("server"):
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8002/metrics", timeout=10) as answer:
                text = answer.read().decode()
            found[pod["metadata"]["name"]] = {model: float(value) for model, value in re.findall(
                r'^nv_inference_request_success\{model="([^"]*)".*\} (\S+)$', text, re.M)}
        return found

    def server_states(self):
        """How far the servers are, in some words."""
        def of(pod):
            container = pod["status"].get("containerStatuses", [{}])[0].get("state", {})
            return container.get("waiting", {}).get("reason") or ("starting" if "running" in container else pod["status"]["phase"])

        states = collections.Counter("ready" if self.cluster.ready(pod) else of(pod) for pod in self.pods("server"))
        return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no server"

    def autoscaler_state(self, name):
        """What the HorizontalPodAutoscaler wants and why, in some words."""
        status = self.cluster.read(f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers/{name}")["status"]
        reads = [json.dumps(one[one["type"].lower()]["current"]) for one in status.get("currentMetrics") or [] if one.get("type")]
        trouble = [f"{one['reason']}: {one['message']}" for one in status.get("conditions", []) if one["status"] == "False"]
        return "; ".join([f"the autoscaler wants {status.get('desiredReplicas')}, reads {' '.join(reads) or 'nothing'}", *trouble])


def load_image(cluster):
    """Our image as `make image` makes it, on every node. Returns its size."""
    archive = cluster.folder / "images/tepal-image.tar"
    done = subprocess.run([sys.executable, REPOSITORY / "tools/image", f"--name={IMAGE}:{version()}", f"--output={archive}", f"--build={BUILD}"],
                          check=True, capture_output=True, text=True)
    for node in cluster.nodes:
        node.run(["ctr", "-n", "k8s.io", "images", "import", archive])
    archive.unlink()
    return float(re.search(r"([0-9.]+) MB of files", done.stdout).group(1))


def offer_slots(cluster, counts):
    """As a device plugin would: so many slots on each node."""
    for node, count in zip(cluster.nodes, counts):
        patch = [{"op": "add", "path": "/status/capacity/" + SLOT.replace("/", "~1"), "value": str(count)}]
        cluster.kubectl("patch", "node", node.name, "--subresource=status", "--type=json", "-p", json.dumps(patch))
    cluster.wait(lambda: [int(cluster.get("node", node.name)["status"]["allocatable"].get(SLOT, "0")) for node in cluster.nodes] == list(counts),
                 "the slots are offered")


SLOW_MODEL = """backend: "delay"
max_batch_size: 0
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 16 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 16 ] }]
parameters { key: "sleep_ms" value { string_value: "50" } }
"""


def copy_models(cluster, flowers=True, slow=()):
    """Models where every node's pods can have them, readable for any user as on a file server: the flowers, and of each name in `slow`
    one that takes 50 ms a request, one at a time, without using a processor: load that does not depend on how busy this machine is."""
    folder = cluster.folder / "models"
    if flowers:
        shutil.copytree(REPOSITORY / "examples/flower/models", folder)
    for name in slow:
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(SLOW_MODEL)
        shutil.copy(BUILD / "lib/tepal/backends/delay/libtriton_delay.so", folder / name)  # The image has it not.
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


class Load:
    """`tepal bench` in the background, until stop(): its report."""

    def __init__(self, cluster, name, url, *flags, model="efficientnet_lite0"):
        self.report = cluster.folder / f"load-{name}.json"
        self.process = subprocess.Popen([TEPAL, "bench", f"--url={url}", f"--model={model}", "--progress=none",
                                         "--server-statistics=false", f"--json={self.report}", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self, seconds=60):
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, _ = self.process.communicate()
        if not self.report.exists():
            raise AssertionError(f"the load has ended without a report: {output}")
        return json.loads(self.report.read_text())


class KeptConnections:
    """Clients over HTTP/1.1 with keep-alive that do what real ones do: they connect anew when told `Connection: close`, and send
    again, once, what the other side closed on a kept connection before it answered (RFC 9112, 9.3.1; nobody can avoid that race)."""

    def __init__(self, address, clients, model="efficientnet_lite0", tensor="input", shape=(1, 3, 224, 224)):
        self.address, self.stopping, self.lock = address, threading.Event(), threading.Lock()
        self.succeeded, self.resent, self.failures = 0, 0, {}
        size = 4 * math.prod(shape)
        header = json.dumps({"inputs": [{"name": tensor, "shape": shape, "datatype": "FP32",
                                         "parameters": {"binary_data_size": size}}]}).encode()
        self.path, self.body = f"/v2/models/{model}/infer", header + bytes(size)
        self.headers = {"Inference-Header-Content-Length": str(len(header))}
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        while not self.stopping.is_set():
            try:
                try:
                    kept = connection.sock is not None
                    status = self._send(connection)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    connection.close()
                    if not kept:
                        raise
                    with self.lock:
                        self.resent += 1
                    status = self._send(connection)
                failure = None if status == 200 else f"HTTP {status}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = repr(error)
            with self.lock:
                if failure is None:
                    self.succeeded += 1
                else:
                    self.failures[failure] = self.failures.get(failure, 0) + 1

    def _send(self, connection):
        connection.request("POST", self.path, self.body, self.headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(70)
        return {"succeeded": self.succeeded, "failed": sum(self.failures.values()), "failures": self.failures, "resent": self.resent}
