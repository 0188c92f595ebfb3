#!/usr/bin/env python3
"""From a burst of requests to the first extra pod that answers, on a real Kubernetes with its own HorizontalPodAutoscaler: `tepal metrics-api`
that asks the pods each second, beside the recipe's chain, in which Prometheus asks them every ten and the metrics API asks Prometheus
by prometheus-adapter's rules.

    test/kubernetes/build && tools/setup kubernetes && tools/setup chart    # once
    bench/run kubernetes_burst [--rounds N] [--sync 1 15] [--only REGEX] [--json FILE]     # root

Each round begins with a new pod that has had no request, whose metric the autoscaler has read, and a random wait, so that the burst falls
anywhere between two scrapes and two looks of the autoscaler. Then fourteen clients ask at once, in a closed loop, for a model that
takes 50 ms. Sync 1 is a controller manager with the tests' flags, 15 one without any.
"""
import argparse
import contextlib
import json
import pathlib
import random
import re
import statistics
import sys
import threading
import time

import peers

sys.path.insert(0, str(peers.ROOT / "test/kubernetes"))
import chart  # noqa: E402
import harness  # noqa: E402

CLIENTS = 14
PROMETHEUS = peers.ROOT / ".cache/prometheus/unpacked/usr/bin/prometheus"
PROMETHEUS_CONFIG = """
global: {scrape_interval: 10s, scrape_timeout: 5s}
scrape_configs:
- {job_name: pods, file_sd_configs: [{files: [%s]}]}
"""
# What is measured: the values that the chart gets.
CHAINS = {
    "Prometheus each 10 s, queue time": lambda url: {"metricsAPI": {"scrape": {"enabled": False}, "prometheus": {"url": url}}, "autoscaling": {"signal": "queueTime"}},
    "pods each second, queue time": lambda url: {"autoscaling": {"signal": "queueTime"}},
    "pods each second, in flight": lambda url: {"autoscaling": {"signal": "inFlight"}},
}


def list_pods(cluster, path, ended):
    """What Prometheus' own discovery does, which Debian leaves out: the file has every pod with an address, at once."""
    known = None
    while not ended.wait(0.2):
        pods = cluster.read("/api/v1/namespaces/default/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dserver")["items"]
        targets = [{"targets": [f"{pod['status']['podIP']}:8002"], "labels": {"namespace": "default", "pod": pod["metadata"]["name"]}}
                   for pod in pods if pod["status"].get("podIP")]
        if targets != known:
            known = targets
            path.with_suffix(".new").write_text(json.dumps(targets))
            path.with_suffix(".new").rename(path)


def start_prometheus(cluster, stack):
    folder = cluster.folder / "prometheus"
    folder.mkdir()
    ended, targets = threading.Event(), folder / "targets.json"
    lister = threading.Thread(target=list_pods, args=(cluster, targets, ended))
    lister.start()
    stack.callback(lister.join)
    stack.callback(ended.set)
    (folder / "prometheus.yml").write_text(PROMETHEUS_CONFIG % targets)
    address = f"{cluster.address}:9090"
    stack.enter_context(peers.running([PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                       f"--web.listen-address={address}", "--log.level=warn"], cluster.folder / "log/prometheus.log"))
    return f"http://{address}/"


class Bench:
    def __init__(self, cluster, models, prometheus):
        self.cluster, self.prometheus = cluster, prometheus
        self.release = chart.Release(cluster, "flower", "default")
        self.values = {
            "image": {"repository": chart.IMAGE}, "server": {
                "fullnameOverride": "flower", "models": {"hostPath": {"path": str(models)}}, "preStopSeconds": 0,
                "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
            "balancer": {"service": {"type": "NodePort", "nodePorts": {"http": 30800, "grpc": 30801}}, "resources": {"requests": {"cpu": "20m"}}},
            "metricsAPI": {"enabled": True, "replicas": 1, "resources": {"requests": {"cpu": "10m"}}},
            # What the autoscaler wanted in the round before stays in its mind, under the name of the object, for as long as this.
            "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}
        self.release.install(self.values)

    def use(self, chain):
        self.release.upgrade(chart.merge(self.values, CHAINS[chain](self.prometheus)))
        self.autoscaler = self.cluster.get("hpa", "flower")
        self.autoscaler.pop("status")
        for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            self.autoscaler["metadata"].pop(name, None)

    def begin(self):
        """One pod that has answered nothing yet, and an autoscaler that knows it."""
        cluster, release = self.cluster, self.release
        cluster.kubectl("delete", "hpa", "flower", "--ignore-not-found")
        for count in (0, 1):
            cluster.kubectl("scale", "deployment", "flower", f"--replicas={count}")
            cluster.wait(lambda: len(release.pods("server")) == len(release.ready("server")) == count, f"{count} servers", 300, release.server_states)
        cluster.apply(self.autoscaler)

        def knows():
            status = cluster.read("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/flower")["status"]
            active = any(one["type"] == "ScalingActive" and one["status"] == "True" for one in status.get("conditions", []))
            return active and any("pods" in one for one in status.get("currentMetrics") or [])
        cluster.wait(knows, "the autoscaler has read its metric", 300, lambda: release.autoscaler_state("flower"))

    def is_idle(self):
        """Whether the autoscaler has let the one pod be one; what it says otherwise."""
        replicas = self.cluster.read("/apis/apps/v1/namespaces/default/deployments/flower")["spec"]["replicas"]
        if replicas != 1:
            print(f"not counted: {replicas} replicas before the burst; {self.release.autoscaler_state('flower')}; {self.release.served()}", flush=True)
        return replicas == 1

    def burst(self):
        """Seconds to the decision, to an extra pod that is ready, and to one that has answered."""
        cluster, release = self.cluster, self.release
        first = {pod["metadata"]["name"] for pod in release.pods("server")}
        started = time.monotonic()
        load = chart.Load(cluster, "burst", f"{cluster.nodes[0].address}:30800", "--duration=1h", f"--concurrency={CLIENTS}", model="slow")
        found = []

        def decided():
            return cluster.read("/apis/apps/v1/namespaces/default/deployments/flower")["spec"]["replicas"] > 1

        def ready():
            return any(pod["metadata"]["name"] not in first for pod in release.ready("server"))

        def answered():
            return any(count > 0 for name, count in release.served().items() if name not in first)

        try:
            for what, seen in (("a decision", decided), ("an extra pod is ready", ready), ("an extra pod answers", answered)):
                cluster.wait(seen, what, 300, lambda: release.autoscaler_state("flower"))
                found.append(time.monotonic() - started)
        finally:
            report = load.stop()
        if report["failed"]:
            raise AssertionError(f"{report['failed']} requests failed: {report['failures']}")
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sync", type=int, nargs="*", choices=(1, 15), default=[1, 15])
    parser.add_argument("--only", default="", help="regular expression for where the metric is from")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    if not PROMETHEUS.exists():
        raise SystemExit("bench: Prometheus is missing; run tools/setup chart")
    dice, results = random.Random(1), {}
    with harness.new_cluster(harness.QUICK_AUTOSCALER) as cluster, contextlib.ExitStack() as stack:
        chart.load_image(cluster)
        chart.offer_slots(cluster, (4, 3))
        models = chart.copy_models(cluster, flowers=False, slow=["slow"])
        bench = Bench(cluster, models, start_prometheus(cluster, stack))
        for sync in options.sync:
            cluster.restart_controller_manager(harness.QUICK_AUTOSCALER if sync == 1 else [])
            for chain in filter(re.compile(options.only).search, CHAINS):
                bench.use(chain)
                while len(results.setdefault((sync, chain), [])) < options.rounds:
                    bench.begin()
                    time.sleep(dice.uniform(0, 15))
                    if not bench.is_idle():
                        continue
                    found = bench.burst()
                    print(f"sync {sync} s, {chain}: decision {found[0]:.1f} s, ready {found[1]:.1f} s, answers {found[2]:.1f} s", flush=True)
                    results[sync, chain].append(found)
    rows = []
    for (sync, chain), found in results.items():
        columns = list(zip(*found))
        rows.append([f"{sync} s", chain, *(f"{statistics.median(column):.1f}" for column in columns), f"{min(columns[2]):.1f} to {max(columns[2]):.1f}"])
    print("\n" + peers.table(rows, ["autoscaler looks each", "its metric from", "decision s", "extra pod ready s", "extra pod answers s", "of all rounds"]))
    if options.json:
        options.json.write_text(json.dumps([{"sync": sync, "chain": chain, "rounds": found} for (sync, chain), found in results.items()], indent=1) + "\n")


if __name__ == "__main__":
    main()
