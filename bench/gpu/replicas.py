#!/usr/bin/env python3
"""Seven servers on one GPU behind `tepal balance`: replicas.py TEPAL BACKENDS UINT8.pt OUT.json.

Prints the rate that clients of the balancer see, and how many images each server answered. Then asks a
server for a batch that no GPU can hold: that must be refused with 503, and the next one answered.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import torch

import serve

REPLICAS = 7
FIRST_PORT = 28420
BALANCER = 28430
LOADS = [(1, 4, 112), (8, 4, 28)]  # Images a request, bench processes, clients of each.
SECONDS = 5


class Hungry(torch.nn.Module):
    """Allocates as many GiB on the GPU as the first number says."""

    def forward(self, x):
        size = int(x[0, 0]) * 1073741824
        return torch.empty([size], dtype=torch.uint8, device=x.device)[:1].float().reshape(1, 1) * 0.0


def ask(port, path, body=None):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=30) as answer:
        return answer.read().decode()


def server(tepal, backends, folder, port):
    return subprocess.Popen(
        [tepal, "serve", "--model-repository", folder, "--backend-directory", backends,
         "--log-info", "false", "--allow-grpc", "false", "--http-address", "127.0.0.1",
         "--http-port", str(port), "--metrics-port", "0", "--lame-duck-secs", "0"])


def wait(port, path):
    for _ in range(600):
        try:
            return ask(port, path)
        except OSError:
            time.sleep(0.2)
    sys.exit(f"port {port} did not become ready")


def answered(port):
    return int(json.loads(ask(port, "/v2/models/flower/stats"))["model_stats"][0]["inference_count"])


def bench(tepal, images, clients, seconds, number, folder):
    return subprocess.Popen(
        [tepal, "bench", "--model", "flower", "--url", f"127.0.0.1:{BALANCER}",
         "--shape", f"INPUT__0:{images},3,224,224", "--concurrency", str(clients),
         "--duration", f"{seconds}s", "--progress", "none", "--json",
         f"{folder}/bench{number}.json"], stdout=subprocess.DEVNULL)


def replicas(tepal, backends, model, folder):
    serve.repository(f"{folder}/flowers", "UINT8", 1, model)
    ports = range(FIRST_PORT, FIRST_PORT + REPLICAS)
    running = [server(tepal, backends, f"{folder}/flowers", port) for port in ports]
    for port in ports:
        wait(port, "/v2/models/flower/ready")
    endpoints = [word for port in ports for word in ("--endpoint", f"127.0.0.1:{port}")]
    running.append(subprocess.Popen([tepal, "balance", "--listen", f"127.0.0.1:{BALANCER}",
                                     "--admin", "none", *endpoints]))
    wait(BALANCER, "/v2/models/flower/ready")
    table = []
    for images, processes, clients in LOADS:
        for process in [bench(tepal, images, clients, 1, i, folder) for i in range(processes)]:
            process.wait()
        before = [answered(port) for port in ports]
        for process in [bench(tepal, images, clients, SECONDS, i, folder)
                        for i in range(processes)]:
            process.wait()
        shares = [answered(port) - b for port, b in zip(ports, before)]
        phases = [json.load(open(f"{folder}/bench{i}.json"))["phases"][0] for i in range(processes)]
        table.append({"images": images, "clients": processes * clients,
                      "images_per_s": round(images * sum(p["throughput_per_s"] for p in phases)),
                      "p50_ms": max(p["p50_ms"] for p in phases),
                      "p99_ms": max(p["p99_ms"] for p in phases),
                      "failed": sum(p["failed"] for p in phases), "images_of_each": shares})
        print(json.dumps(table[-1]), flush=True)
    for process in reversed(running):
        process.terminate()
        process.wait()
    return table


def out_of_memory(tepal, backends, folder):
    place = pathlib.Path(folder) / "memory" / "hungry"
    (place / "1").mkdir(parents=True)
    torch.jit.script(Hungry()).save(str(place / "1" / "model.pt"))
    (place / "config.pbtxt").write_text(
        'platform: "pytorch_libtorch" instance_group { kind: KIND_GPU }\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ 1, 1 ] }\n'
        'output { name: "y" data_type: TYPE_FP32 dims: [ 1, 1 ] }\n')
    running = server(tepal, backends, str(place.parent), FIRST_PORT)
    wait(FIRST_PORT, "/v2/models/hungry/ready")
    try:
        for gibibytes in (1, 1000, 1):
            body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [gibibytes]}]}
            try:
                print(gibibytes, "GiB:", ask(FIRST_PORT, "/v2/models/hungry/infer",
                                             json.dumps(body).encode()), flush=True)
                assert gibibytes == 1
            except urllib.error.HTTPError as error:
                print(gibibytes, "GiB:", error.code, error.read().decode()[:300], flush=True)
                assert gibibytes == 1000 and error.code == 503
    finally:
        running.kill()
        running.wait()


def main(tepal, backends, model, out):
    folder = tempfile.mkdtemp()
    out_of_memory(tepal, backends, folder)
    pathlib.Path(out).write_text(json.dumps(replicas(tepal, backends, model, folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
