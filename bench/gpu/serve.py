#!/usr/bin/env python3
"""`tepal serve` on a GPU under `tepal bench`: serve.py TEPAL BACKENDS FP16.pt UINT8.pt OUT.json.

For each line of PLAN: a server with so many instances, and clients that send requests of so many
images each. Several bench processes share the load so that a client is not what is measured.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import torch

HERE = pathlib.Path(__file__).parent
PORT = 28411
GRAPHS = "1,2,4,8,16,24,32,48,64,80,96,112,128"
PLAN = [
    # input type, instances, images a request, bench processes, clients of each (0: Poisson arrivals
    # at 70 % of the line before)
    ("FP16", 1, 1, 1, 1),
    ("FP16", 1, 8, 1, 1),
    ("FP16", 1, 1, 4, 128),
    ("FP16", 3, 1, 4, 128),
    ("FP16", 6, 1, 4, 32),
    ("FP16", 6, 1, 4, 128),
    ("FP16", 6, 1, 4, 0),
    ("FP16", 6, 8, 4, 24),
    ("FP16", 6, 8, 4, 0),
    ("FP16", 6, 32, 4, 8),
    ("FP16", 6, 32, 4, 0),
    ("FP16", 6, 128, 4, 3),
    ("UINT8", 6, 1, 4, 128),
    ("UINT8", 6, 8, 4, 24),
    ("UINT8", 6, 8, 4, 0),
    ("UINT8", 6, 32, 4, 8),
    ("UINT8", 6, 128, 4, 3),
]
SECONDS = 4
PART_OF_LOAD = 0.7
PROBABILITY_DIFFERENCE_MAX = 1e-3


def repository(folder, kind, instances, model):
    model_folder = pathlib.Path(folder) / "flower"
    (model_folder / "1").mkdir(parents=True)
    (model_folder / "1" / "model.pt").symlink_to(pathlib.Path(model).resolve())
    text = (HERE / "config.pbtxt").read_text()
    for key, value in {"COUNT": instances, "GRAPHS": GRAPHS, "TYPE": kind, "MAX": 128}.items():
        text = text.replace(f"@{key}@", str(value))
    (model_folder / "config.pbtxt").write_text(text)


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
        return answer.read().decode()


def start(tepal, backends, folder):
    server = subprocess.Popen(
        [tepal, "serve", "--model-repository", folder, "--backend-directory", backends,
         "--allow-grpc", "false", "--http-address", "127.0.0.1", "--http-port", str(PORT), "--metrics-port", "0"])
    for _ in range(600):
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        try:
            get("/v2/models/flower/ready")
            return server
        except OSError:
            time.sleep(0.2)
    sys.exit("the server did not become ready")


def check(kind, model):
    """Five random images at once must come back as the bare model has them."""
    if kind == "UINT8":
        images = torch.randint(0, 256, (5, 3, 224, 224), dtype=torch.uint8)
    else:
        images = (torch.rand(5, 3, 224, 224) * 2 - 1).half()
    body = images.numpy().tobytes()
    head = json.dumps({"inputs": [{"name": "INPUT__0", "datatype": kind, "shape": images.shape,
                                   "parameters": {"binary_data_size": len(body)}}]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v2/models/flower/infer", head + body,
        {"Inference-Header-Content-Length": str(len(head))})
    with urllib.request.urlopen(request, timeout=30) as answer:
        served = torch.tensor(json.load(answer)["outputs"][0]["data"]).view(5, -1)
    with torch.inference_mode():
        bare = torch.jit.load(model, "cuda:0")(images.cuda()).cpu()
    difference = float((served - bare).abs().max())
    print(f"{kind}: served against bare: {difference:.1e}", flush=True)
    if not difference < PROBABILITY_DIFFERENCE_MAX:
        sys.exit("the served model answers something else")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statistics():
    model = json.loads(get("/v2/models/flower/stats"))["model_stats"][0]
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    return {"executions": int(model["execution_count"]), "images": int(model["inference_count"]),
            **{p: int(model["inference_stats"][p]["ns"]) for p in parts},
            "requests": int(model["inference_stats"]["success"]["count"])}


def drive(tepal, images, processes, load, folder):
    def bench(number, length):
        return subprocess.Popen(
            [tepal, "bench", "--model", "flower", "--url", f"127.0.0.1:{PORT}",
             "--shape", f"INPUT__0:{images},3,224,224", *load, "--duration", f"{length}s", "--progress", "none", "--seed", str(number),
             "--json", f"{folder}/bench{number}.json"], stdout=subprocess.DEVNULL)
    for process in [bench(i, 1) for i in range(processes)]:
        process.wait()
    before = statistics()
    running = [bench(i, SECONDS) for i in range(processes)]
    codes = [process.wait() for process in running]
    after = statistics()
    phases = [json.load(open(f"{folder}/bench{i}.json"))["phases"][0] for i in range(processes)]
    counted = {key: after[key] - before[key] for key in after}
    requests = max(1, counted["requests"])
    return {
        "images_per_s": round(images * sum(p["throughput_per_s"] for p in phases)),
        "p50_ms": round(max(p["p50_ms"] for p in phases), 2),
        "p99_ms": round(max(p["p99_ms"] for p in phases), 2),
        "failed": sum(p["failed"] for p in phases),
        "images_an_execution": round(counted["images"] / max(1, counted["executions"]), 1),
        **{f"{p}_us": round(counted[p] / requests / 1000)
           for p in ("queue", "compute_input", "compute_infer", "compute_output")},
        "exit_codes": codes,
    }


def main(tepal, backends, fp16, uint8, out):
    models = {"FP16": fp16, "UINT8": uint8}
    table = []
    server, current = None, None
    folder = tempfile.mkdtemp()
    for kind, instances, images, processes, clients in PLAN:
        if (kind, instances) != current:
            if server:
                server.terminate()
                server.wait()
            place = f"{folder}/{kind}{instances}"
            repository(place, kind, instances, models[kind])
            server, current = start(tepal, backends, place), (kind, instances)
            check(kind, models[kind])
        cpu, began = cpu_seconds(server.pid), time.perf_counter()
        row = {"type": kind, "instances": instances, "images": images, "clients": processes * clients}
        load = ["--concurrency", str(clients)]
        if clients == 0:
            requests = PART_OF_LOAD * table[-1]["images_per_s"] / images
            load = ["--rate", f"{requests / processes:.1f}"]
            row["rate_per_s"] = round(requests)
        row.update(drive(tepal, images, processes, load, folder))
        row["server_cores"] = round((cpu_seconds(server.pid) - cpu) /
                                    (time.perf_counter() - began), 1)
        table.append(row)
        print(json.dumps(row), flush=True)
        pathlib.Path(out).write_text(json.dumps(table))
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
