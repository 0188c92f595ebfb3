#!/usr/bin/env python3
"""The recipe's finding on a real Kubernetes: each pod's share of the answers while a Deployment goes from one pod to seven, through a
Service (kube-proxy), through nginx and through `tepal balance`, over kept HTTP/1.1 connections and over one gRPC channel.

    test/kubernetes/build && tools/setup kubernetes && tools/setup peers    # once
    bench/run kubernetes_shares [--clients N] [--seconds N] [--json FILE]   # root

First over HTTP, then over gRPC, all ways at a time over the same pods: each has a model of its own, which takes 50 ms and no processor,
so that they do not disturb each other. Load is `tepal bench`, a closed loop. Answers are counted by the pods' own metrics, for so many
seconds after every pod is ready and ten more have passed; then everybody connects anew, and they are counted again.
"""
import argparse
import contextlib
import json
import pathlib
import sys
import time

import balance_vs_peers
import peers

sys.path.insert(0, str(peers.ROOT / "test/kubernetes"))
import chart  # noqa: E402
import harness  # noqa: E402

PODS, SETTLE_SECONDS = 7, 10
# What of the recipe's nginx.conf is not NGINX Plus's own. Connections are not closed after 1,000 requests, as they are by default.
NGINX = """worker_processes 1; daemon off; master_process off; pid %(folder)s/pid; error_log %(folder)s/error warn;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
 client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3; uwsgi_temp_path %(folder)s/t4;
 scgi_temp_path %(folder)s/t5;
 resolver %(address)s valid=5s;
 upstream backend { zone upstream-backend 64k; server flower.default.svc.cluster.local:8000 resolve; }
 upstream backendgrpc { zone upstream-backendgrpc 64k; server flower.default.svc.cluster.local:8001 resolve; }
 server { listen %(address)s:9100; location / { proxy_pass http://backend; } }
 server { listen %(address)s:9101; http2 on; location / { grpc_pass grpc://backendgrpc; } }
}
"""


def start_nginx(cluster, stack):
    folder = cluster.folder / "nginx"
    folder.mkdir()
    (folder / "conf").write_text(NGINX % {"folder": folder, "address": cluster.address})
    command = [balance_vs_peers.binary("**/bin/linux-x86_64/nginx"), "-c", folder / "conf", "-p", folder]
    stack.enter_context(peers.running(command, cluster.folder / "log/nginx.log"))
    return f"{cluster.address}:9100", f"{cluster.address}:9101"


def start_tepal(cluster, stack):
    """Beside nginx, as a process of the same host."""
    address = f"{cluster.address}:9200"
    stack.enter_context(peers.running([chart.TEPAL, "balance", f"--listen={address}", "--admin=none", f"--kubeconfig={cluster.admin}",
                                       "--kubernetes-service=default/flower:http,grpc=grpc", "--policy=round_robin"], cluster.folder / "log/tepal.log"))
    return address, address


def add_service(cluster):
    labels = cluster.get("deployment", "flower")["spec"]["selector"]["matchLabels"]
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "layer-four"}, "spec": {
        "type": "NodePort", "selector": labels, "ports": [{"name": "http", "port": 8000, "nodePort": 30810}, {"name": "grpc", "port": 8001, "nodePort": 30811}]}})
    return f"{cluster.nodes[0].address}:30810", f"{cluster.nodes[0].address}:30811"


class Way:
    """One protocol through one balancer, to a model of its own."""

    def __init__(self, name, protocol, url):
        self.name, self.protocol, self.url = name, protocol, url
        self.model = f"{name}_{protocol}".lower().replace(", ", "_").replace(" ", "_")
        self.first = {}  # Pod -> when it was first seen to have answered.

    def start(self, cluster, clients):
        flags = [f"--concurrency={clients}"] if self.protocol == "HTTP" else ["--protocol=grpc", "--connections=1", f"--streams={clients}"]
        self.load = chart.Load(cluster, self.model, self.url, "--duration=1h", "--wait=1m", *flags, model=self.model)


def wait_seven(release, ways):
    """Until seven pods are ready and then so long that whoever looks for them has found them. Pod -> when it was ready; notes in `ways`
    when each pod was first seen to have answered."""
    ready, end = {}, None
    while end is None or time.monotonic() < end:
        for pod, models in release.served_models().items():
            now = time.monotonic()
            ready.setdefault(pod, now)
            for way in ways:
                if models.get(way.model, 0) > 0:
                    way.first.setdefault(pod, now)
        if end is None and len(ready) == PODS:
            end = time.monotonic() + SETTLE_SECONDS
        time.sleep(0.05)
    return ready


def count(release, ways, seconds):
    """Way's model -> the answers of each pod, in order."""
    before = release.served_models()
    time.sleep(seconds)
    after = release.served_models()
    return {way.model: sorted(int(after[pod].get(way.model, 0) - before[pod].get(way.model, 0)) for pod in after) for way in ways}


def stop(ways):
    for way in ways:
        report = way.load.stop()
        if report["failed"]:
            print(f"{way.name}, {way.protocol}: {report['failed']} of {report['succeeded'] + report['failed']} failed: {report['failures']}")


def rows(ways, counted, took):
    for way in ways:
        shares = counted[way.model]
        yield (f"{way.name}, {way.protocol}", *shares, f"{shares[-1] / shares[0]:.2f}" if shares[0] else "-", took(way))


def measure(cluster, release, ways, options):
    cluster.kubectl("scale", "deployment", "flower", "--replicas=1")
    cluster.wait(lambda: len(release.pods("server")) == len(release.ready("server")) == 1, "one server is there", 300, release.server_states)
    for way in ways:
        way.start(cluster, options.clients)

    def waiting():
        return [way.model for way in ways if next(iter(release.served_models().values())).get(way.model, 0) < 20]
    cluster.wait(lambda: not waiting(), "every way has answers", 90, lambda: f"not {', '.join(waiting())}")
    cluster.kubectl("scale", "deployment", "flower", f"--replicas={PODS}")
    ready = wait_seven(release, ways)
    counted = count(release, ways, options.seconds)
    newest = sorted(ready, key=ready.get)[1:]

    def took(way):
        found = [way.first[pod] - ready[pod] for pod in newest if pod in way.first]
        return (f"{max(found):.1f}" if found else "-") + f" ({len(found)} of {len(newest)})"

    kept = list(rows(ways, counted, took))
    stop(ways)
    for way in ways:
        way.start(cluster, options.clients)
    time.sleep(3)
    fresh = list(rows(ways, count(release, ways, options.seconds), lambda way: ""))
    stop(ways)
    return kept, fresh


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=14, help="HTTP connections, or calls in flight on the one channel")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    names = ("Service", "nginx", "Tepal, as pods", "Tepal, as a process")
    with harness.new_cluster() as cluster, contextlib.ExitStack() as stack:
        chart.load_image(cluster)
        chart.offer_slots(cluster, (4, 3))
        models = chart.copy_models(cluster, flowers=False, slow=[Way(name, protocol, "").model for name in names for protocol in ("HTTP", "gRPC")])
        release = chart.Release(cluster, "flower", "default")
        release.install({
            "image": {"repository": chart.IMAGE}, "server": {"fullnameOverride": "flower", "models": {"hostPath": {"path": str(models)}},
                                                             "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
            "balancer": {"service": {"type": "NodePort", "nodePorts": {"http": 30800, "grpc": 30801}}, "pool": {"policy": "round_robin"},
                         "resources": {"requests": {"cpu": "20m"}}}})
        node = cluster.nodes[0].address
        urls = dict(zip(names, (add_service(cluster), start_nginx(cluster, stack), (f"{node}:30800", f"{node}:30801"), start_tepal(cluster, stack))))
        kept, fresh = [], []
        for at, protocol in enumerate(("HTTP", "gRPC")):
            tables = measure(cluster, release, [Way(name, protocol, urls[name][at]) for name in names], options)
            kept += tables[0]
            fresh += tables[1]
    header = ["way", *(f"pod {n + 1}" for n in range(PODS)), "most/least"]
    print(f"\nConnected when there was one pod; answers of each pod in {options.seconds} s after seven were ready\n")
    print(peers.table(kept, [*header, "s from ready to first answer, at most"]))
    print(f"\nConnected when there were seven; answers of each pod in {options.seconds} s\n")
    print(peers.table(fresh, [*header, ""]))
    if options.json:
        options.json.write_text(json.dumps({"kept": kept, "fresh": fresh}, indent=1) + "\n")


if __name__ == "__main__":
    main()
