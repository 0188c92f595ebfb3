#!/usr/bin/env python3
"""`tepal metrics-api` beside prometheus-adapter: answer time, CPU time and memory of the same answers.

    bench/run metrics_api_vs_adapter           10, 100 and 1,000 pods; 8 minutes; root
    bench/run metrics_api_vs_adapter --pods 100 --rounds 1 --json build/metrics_api.json

One etcd and one kube-apiserver, real ones, whose pods are objects without nodes. The source is Debian's Prometheus, which scrapes one
page with every pod's series each 10 s, and then a stand-in that answers the same queries from memory, so that the servers themselves are
seen. Both servers have the same flags: the recipe's rule, the same kubeconfig. The client shows the front proxy's certificate and
the HorizontalPodAutoscaler's name, as kube-apiserver does, and asks on one kept connection, four times a second, for
`pods/*/avg_time_queue_us`: the adapter lists the pods for each answer, and lets itself do that five times a second. Both lists are compared before. Ours is measured twice: asking the source for every answer
(--prometheus-query-keep=0s), which is what counts, and as it comes, where an answer of the last second is given again.

CPU time is that of the process; that of kube-apiserver and the source is what each answer costs them. Own memory is the part
of the resident memory that is no file's. Exits with 1 when a figure of ours is more than a fifth of the adapter's.
"""
import argparse
import contextlib
import http.client
import http.server
import json
import math
import pathlib
import re
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import peers

sys.path.insert(0, str(peers.ROOT / "test/kubernetes"))

from cluster import Cluster  # noqa: E402

TARGET = 1 / 5
INTERVAL = 0.25  # Seconds.
ADAPTER, ANEW = "prometheus-adapter", "tepal, asked anew"
PATH = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A/avg_time_queue_us?labelSelector=app%3Dflower"
HPA = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
QUEUE, DONE = "nv_inference_queue_duration_us", "nv_inference_request_success"
RULES = """rules:
- seriesQuery: 'nv_inference_queue_duration_us{namespace="default",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "nv_inference_queue_duration_us", as: "avg_time_queue_us"}
  metricsQuery: 'avg(delta(nv_inference_queue_duration_us{<<.LabelMatchers>>}[30s])/(1+delta(nv_inference_request_success{<<.LabelMatchers>>}[30s]))) by (<<.GroupBy>>)'
"""
SCRAPES = "{global: {scrape_interval: 10s}, scrape_configs: [{job_name: flower, honor_labels: true, static_configs: [{targets: ['127.0.0.1:%d']}]}]}"
PROMETHEUS = peers.ROOT / ".cache/prometheus/unpacked/usr/bin/prometheus"


def pod_name(number):
    """As a Deployment's pods are called."""
    return f"flower-7c9f6d58b4-{number:05d}"


def own_mib(pid):
    """Of the resident memory what is no file's, so that nobody else has it and nothing gives it back."""
    return int(re.search(r"^RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) / 1024


class Exporter:
    """The metrics of `pods` pods with two models each, on one page."""

    def __init__(self):
        self.pods, started = 0, time.monotonic()
        outer = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seconds, lines = time.monotonic() - started, []
                for number in range(outer.pods):
                    for model in ("resnet50", "efficientnet_lite0"):
                        labels = f'namespace="default",pod="{pod_name(number)}",model="{model}",version="1"'
                        lines.append(f"{QUEUE}{{{labels}}} {int(seconds * (1000 + number))}\n{DONE}{{{labels}}} {int(seconds * 20)}\n")
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                with contextlib.suppress(OSError):  # Prometheus may have gone.
                    self.wfile.write("".join(lines).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def serve_stand_in(port, pods):
    """Instead of Prometheus: the same answer to every query, as cheaply as Python can."""
    labels = [{"__name__": QUEUE, "namespace": "default", "pod": pod_name(number), "model": "resnet50", "version": "1"} for number in range(pods)]
    series = json.dumps({"status": "success", "data": labels}).encode()
    values = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"pod": pod_name(number)}, "value": [0.5, f"{50 + number / 20:.9f}"]} for number in range(pods)]}}).encode()
    listener, selector, waiting = socket.create_server(("127.0.0.1", port)), selectors.DefaultSelector(), {}
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                one, _ = listener.accept()
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting[one] = b""
                selector.register(one, selectors.EVENT_READ)
                continue
            got = key.fileobj.recv(1 << 17)
            if not got:
                selector.unregister(key.fileobj)
                del waiting[key.fileobj]
                key.fileobj.close()
                continue
            waiting[key.fileobj] += got
            if waiting[key.fileobj].endswith(b"\r\n\r\n"):
                asked_for, waiting[key.fileobj] = waiting[key.fileobj][:30], b""
                body = series if b"/api/v1/series" in asked_for else values.replace(b"[0.5,", b"[%.3f," % time.time())
                key.fileobj.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


class Pods:
    """Pods that run, as far as the API server knows."""

    def __init__(self, cluster):
        self.address, self.count = cluster.address, 0
        self.context = ssl.create_default_context(cafile=cluster.authority.certificate)
        self.context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")

    def grow(self, count):
        self.connection = http.client.HTTPSConnection(self.address, 6443, context=self.context)
        while self.count < count:
            name, now = pod_name(self.count), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 600))
            ready = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
            self._send("POST", "", {"metadata": {"name": name, "labels": {"app": "flower", "pod-template-hash": "7c9f6d58b4"}}, "spec": {
                "containers": [{
                    "name": "triton", "image": "tritonserver", "args": ["tritonserver", "--model-repository=/models"],
                    "ports": [{"containerPort": 8000 + n, "name": port} for n, port in enumerate(("http", "grpc", "metrics"))],
                    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8000}},
                    "resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}, "volumeMounts": [{"name": "models", "mountPath": "/models"}]}],
                "volumes": [{"name": "models", "hostPath": {"path": "/models"}}]}})
            self._send("PATCH", f"/{name}/status", {"status": {
                "phase": "Running", "startTime": now, "podIP": "10.0.0.1", "conditions": ready,
                "containerStatuses": [{"name": "triton", "image": "tritonserver", "imageID": "", "ready": True, "restartCount": 0,
                                       "state": {"running": {"startedAt": now}}}]}})
            self.count += 1
        self.connection.close()

    def _send(self, method, path, body):
        kind = "application/json" if method == "POST" else "application/strategic-merge-patch+json"
        self.connection.request(method, "/api/v1/namespaces/default/pods" + path, json.dumps(body), {"content-type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status // 100 != 2:
            raise SystemExit(f"bench: the API server did not take a pod: {answer.status} {text.decode()[:300]}")


class Asker:
    """One connection; the cheapest client there is, so that it is the server that is seen."""

    def __init__(self, address, path, certificate=None, headers=""):
        self.connection = socket.create_connection(address)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if certificate:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*certificate)
            self.connection = context.wrap_socket(self.connection)
        self.request = f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\nAccept: application/json\r\n{headers}\r\n".encode()
        self.room = memoryview(bytearray(4 << 20))

    def ask(self):
        """The answer, head and all."""
        self.connection.sendall(self.request)
        size, end = 0, None
        while end is None or size < end:
            got = self.connection.recv_into(self.room[size:])
            if got == 0:
                raise SystemExit("bench: the server has closed the connection")
            size += got
            if end is None:
                head, found, _ = bytes(self.room[:min(size, 4096)]).partition(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
                end = len(head) + 4 + length if found and length is not None else None
            if end is None and self.room[:size][-5:] == b"0\r\n\r\n":
                break
        return bytes(self.room[:size])

    def body(self):
        head, _, body = self.ask().partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"bench: {head.decode()}\n{body.decode()[:300]}")
        if b"chunked" not in head.lower():
            return json.loads(body)
        whole = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            if int(size, 16) == 0:
                return json.loads(whole)
            whole, body = whole + body[:int(size, 16)], body[int(size, 16) + 2:]

    def values(self):
        scale = {"k": 1e3, "M": 1e6, "m": 1e-3, "u": 1e-6, "n": 1e-9}
        number = lambda text: float(text[:-1]) * scale[text[-1]] if text[-1] in scale else float(text)
        return {item["describedObject"]["name"]: number(item["value"]) for item in self.body()["items"]}


def cpu_seconds(pid):
    """Of all threads, to the nanosecond: an answer of ours is less than a tick of /proc/PID/stat."""
    return sum(int(thread.read_text().split()[0]) for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Turn:
    """Answers to one connection, `INTERVAL` apart: how long each took, and what processes spent on it."""

    def __init__(self, asker, processes, answers):
        asker.ask()
        before = {name: cpu_seconds(process.pid) for name, process in processes.items()}
        self.taken, due = [], time.monotonic()
        for _ in range(answers):
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + INTERVAL, time.monotonic())
            began = time.perf_counter()
            answer = asker.ask()
            self.taken.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"bench: {answer[:300]}")
        self.cpu_ms = {name: (cpu_seconds(process.pid) - before[name]) * 1e3 / len(self.taken) for name, process in processes.items()}

    @staticmethod
    def median(turns):
        taken = sorted(one for turn in turns for one in turn.taken)
        at = lambda share: taken[min(len(taken) - 1, math.ceil(share * len(taken)) - 1)] * 1e3
        return {"answers": len(taken), "p50 ms": at(0.5), "p99 ms": at(0.99),
                "cpu ms": {name: statistics.median(turn.cpu_ms[name] for turn in turns) for name in turns[0].cpu_ms}}


class Stand:
    """What both servers are asked beside."""

    def __init__(self, cluster, folder, flags):
        self.cluster, self.folder, self.flags = cluster, folder, flags
        self.exporter, self.pods = Exporter(), Pods(cluster)
        (folder / "rules.yaml").write_text(RULES)
        (folder / "prometheus.yaml").write_text(SCRAPES % self.exporter.server.server_port)
        self.prometheus = [PROMETHEUS, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090"]

    def servers(self, source_port):
        """Name -> command. The same flags for all."""
        admin = self.cluster.admin
        shared = [f"--lister-kubeconfig={admin}", f"--authentication-kubeconfig={admin}", f"--authorization-kubeconfig={admin}",
                  f"--prometheus-url=http://127.0.0.1:{source_port}/", "--metrics-relist-interval=30s", f"--config={self.folder}/rules.yaml"]
        command = lambda number, program, *more: [*program, f"--secure-port={7001 + number}", f"--cert-dir={self.folder}/{number}", *shared, *more]
        return {ADAPTER: command(0, [self.flags.adapter]),
                ANEW: command(1, [self.flags.tepal, "metrics-api"], "--prometheus-query-keep=0s"),
                "tepal": command(2, [self.flags.tepal, "metrics-api"])}

    def asker(self, number):
        pki = self.cluster.pki
        return Asker(("127.0.0.1", 7001 + number), PATH, (pki / "front-proxy.crt", pki / "front-proxy.key"),
                     f"X-Remote-User: {HPA}\r\nX-Remote-Group: system:serviceaccounts\r\nX-Remote-Group: system:authenticated\r\n")

    def answering(self, number, pods):
        """Until that server has a value for every pod."""
        deadline = time.monotonic() + 120
        while True:
            try:
                asker = self.asker(number)
                if len(asker.values()) == pods:
                    return asker
                why = "values are missing"
            except (OSError, SystemExit) as error:
                why = error
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: no answer of {pods} values within 120 s: {why}")
            time.sleep(0.5)

    def measure(self, pods):
        """Source -> who was asked -> figures."""
        print(f"{pods} pods ...", file=sys.stderr, flush=True)
        self.pods.grow(pods)
        self.exporter.pods = pods
        if not self.flags.stand_in_only:
            with peers.running(self.prometheus, self.folder / "prometheus.log") as prometheus:
                time.sleep(35)  # A window of the rule's.
                yield "Prometheus", self.beside(pods, 9090, prometheus)
        with peers.running([sys.executable, __file__, f"--serve-stand-in={pods}"], self.folder / "stand-in.log") as stand_in:
            yield "stand-in", self.beside(pods, 9091, stand_in)

    def beside(self, pods, port, source):
        with contextlib.ExitStack() as stack:
            servers = {name: stack.enter_context(peers.running(command, self.folder / f"{number}.log"))
                       for number, (name, command) in enumerate(self.servers(port).items())}
            askers = {name: self.answering(number, pods) for number, name in enumerate(servers)}
            self.compare(askers)
            askers["the source itself"] = Asker(("127.0.0.1", port), "/api/v1/query?query=" + urllib.parse.quote(self.query(pods), safe=""))
            turns = {name: [] for name in askers}
            for _ in range(self.flags.rounds):
                for name, asker in askers.items():
                    processes = {"kube-apiserver": self.cluster.processes["kube-apiserver"], "source": source}
                    if name in servers:
                        processes["server"] = servers[name]
                    turns[name].append(Turn(asker, processes, self.flags.answers))
            rows = {name: Turn.median(turns[name]) for name in turns}
            for name, process in servers.items():
                rows[name].update({"resident MiB": peers.resident_mib(process.pid), "own MiB": own_mib(process.pid)})
        print(f"{pods} pods: {json.dumps(rows)}", file=sys.stderr, flush=True)
        return rows

    @staticmethod
    def query(pods):
        """The rule's, as a server asks it."""
        names = "|".join(pod_name(number) for number in range(pods))
        matchers = f'namespace="default",pod=~"{names}"'
        return f"avg(delta({QUEUE}{{{matchers}}}[30s])/(1+delta({DONE}{{{matchers}}}[30s]))) by (pod)"

    @staticmethod
    def compare(askers):
        """The same pods; values of the same queries some milliseconds apart."""
        first, *others = (asker.values() for asker in askers.values())
        for other in others:
            if other.keys() != first.keys():
                raise SystemExit("bench: the servers name different pods")
            far = {name: (first[name], other[name]) for name in first if abs(first[name] - other[name]) > 0.05 * abs(first[name])}
            if far:
                raise SystemExit(f"bench: values differ by more than 5 %: {dict(list(far.items())[:3])}")


def report(results):
    rows, missed = [], []
    for (pods, source), measured in results.items():
        adapter = measured[ADAPTER]
        theirs = [adapter["p50 ms"], adapter["p99 ms"], adapter["cpu ms"]["server"], adapter["resident MiB"], adapter["own MiB"]]
        for name, row in measured.items():
            cpu = row["cpu ms"]
            figures = [row["p50 ms"], row["p99 ms"], cpu.get("server"), row.get("resident MiB"), row.get("own MiB")]
            ratios = [None if one is None or name == ADAPTER else one / other for one, other in zip(figures, theirs)]
            if name == ANEW:
                missed += [f"{pods} pods, {source}: {what} {ratio:.2f}" for what, ratio in zip(("p50", "p99", "CPU time", "memory", "own memory"), ratios) if ratio > TARGET]
            cells = ["" if one is None else f"{one:.2f}" + (f" ({ratio:.2f})" if ratio is not None else "") for one, ratio in zip(figures, ratios)]
            rows.append([pods, source, name, row["answers"], *cells, f"{cpu['kube-apiserver']:.2f}", f"{cpu['source']:.2f}"])
    print(peers.table(rows, ["pods", "source", "asked", "answers", "p50 ms", "p99 ms", "CPU ms", "MiB", "own MiB", "kube-apiserver CPU ms", "source CPU ms"]))
    print("in brackets: of the adapter's. Over the target of 0.20: " + ("; ".join(missed) or "none"))
    return not missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tepal", default=peers.TEPAL)
    parser.add_argument("--pods", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--answers", type=int, default=50, help="in each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stand-in-only", action="store_true", help="leave Prometheus out")
    parser.add_argument("--json", help="the figures as a file")
    parser.add_argument("--serve-stand-in", type=int, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve_stand_in:
        return serve_stand_in(9091, flags.serve_stand_in)
    made = subprocess.run([peers.ROOT / "test/kubernetes/stock/build", "prometheus-adapter"], check=True, stdout=subprocess.PIPE, text=True)
    flags.adapter = pathlib.Path(made.stdout.strip()) / "adapter"
    # Without its admission plugin the API server wants no service account, which a controller would make.
    with tempfile.TemporaryDirectory() as folder, Cluster(nodes=0, controllers=False, apiserver=["--disable-admission-plugins=ServiceAccount"]) as cluster:
        stand = Stand(cluster, pathlib.Path(folder), flags)
        results = {(pods, source): rows for pods in sorted(flags.pods) for source, rows in stand.measure(pods)}
    if flags.json:
        pathlib.Path(flags.json).write_text(json.dumps({f"{pods} pods, {source}": rows for (pods, source), rows in results.items()}, indent=1))
    return 0 if report(results) else 1


if __name__ == "__main__":
    sys.exit(main())
