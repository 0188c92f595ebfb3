#!/usr/bin/env python3
"""`tepal serve` on a GPU under `tepal bench`: serve.py TEPAL BACKENDS MODEL.pt OUT.json.

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

HERE = pathlib.Path(__file__).parent
PORT = 28411
GRAPHS = "1,2,4,8,16,32,64,128"
PLAN = [
    # instances, images a request, bench processes, clients of each, seconds
    (1, 1, 1, 1, 3),
    (3, 1, 4, 32, 4),
    (3, 1, 4, 96, 4),
    (3, 8, 4, 12, 4),
    (3, 32, 4, 4, 4),
    (3, 128, 4, 2, 4),
]


def repository(folder, instances, model):
    model_folder = pathlib.Path(folder) / "flower"
    (model_folder / "1").mkdir(parents=True)
    (model_folder / "1" / "model.pt").symlink_to(pathlib.Path(model).resolve())
    text = (HERE / "config.pbtxt").read_text()
    text = text.replace("@COUNT@", str(instances)).replace("@GRAPHS@", GRAPHS)
    (model_folder / "config.pbtxt").write_text(text)


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
        return answer.read().decode()


def start(tepal, backends, folder):
    server = subprocess.Popen(
        [tepal, "serve", "--model-repository", folder, "--backend-directory", backends,
         "--http-address", "127.0.0.1", "--http-port", str(PORT), "--metrics-port", "0"])
    for _ in range(600):
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        try:
            get("/v2/models/flower/ready")
            return server
        except OSError:
            time.sleep(0.2)
    sys.exit("the server did not become ready")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statistics():
    model = json.loads(get("/v2/models/flower/stats"))["model_stats"][0]
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    return {"executions": int(model["execution_count"]), "images": int(model["inference_count"]),
            **{p: int(model["inference_stats"][p]["ns"]) for p in parts},
            "requests": int(model["inference_stats"]["success"]["count"])}


def drive(tepal, images, processes, clients, seconds, folder):
    def bench(number, length):
        return subprocess.Popen(
            [tepal, "bench", "--model", "flower", "--url", f"127.0.0.1:{PORT}",
             "--shape", f"INPUT__0:{images},3,224,224", "--concurrency", str(clients),
             "--duration", f"{length}s", "--progress", "none",
             "--json", f"{folder}/bench{number}.json"], stdout=subprocess.DEVNULL)
    for process in [bench(i, 1) for i in range(processes)]:
        process.wait()
    before = statistics()
    running = [bench(i, seconds) for i in range(processes)]
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


def main(tepal, backends, model, out):
    table = []
    server, current = None, None
    folder = tempfile.mkdtemp()
    for instances, images, processes, clients, seconds in PLAN:
        if instances != current:
            if server:
                server.terminate()
                server.wait()
            repository(f"{folder}/{instances}", instances, model)
            server, current = start(tepal, backends, f"{folder}/{instances}"), instances
        cpu, began = cpu_seconds(server.pid), time.perf_counter()
        row = {"instances": instances, "images": images, "clients": processes * clients}
        row.update(drive(tepal, images, processes, clients, seconds, folder))
        row["server_cores"] = round((cpu_seconds(server.pid) - cpu) /
                                    (time.perf_counter() - began), 1)
        table.append(row)
        print(json.dumps(row), flush=True)
        pathlib.Path(out).write_text(json.dumps(table))
    server.terminate()
    server.wait()


main(*sys.argv[1:])
