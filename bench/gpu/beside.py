#!/usr/bin/env python3
"""Models with CUDA graphs that start beside others at work: beside.py TEPAL BACKENDS FP16.pt MODEL.onnx

The ONNX model and the PyTorch one, four instances each, share a server and GPU 0. While clients load one, the other is loaded
and unloaded, again and again, so that graphs are recorded while other threads use CUDA. No request may fail; the server must
live. Prints a line for each of the two.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import transports

ROUNDS = 2
SECONDS = 25


def change(model, what):
    start = time.perf_counter()
    request = urllib.request.Request(f"http://127.0.0.1:{transports.PORT}/v2/repository/models/{model}/{what}", b"")
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()
    return round(time.perf_counter() - start, 1)


def main(tepal, backends, fp16, onnx):
    models = {"torch": fp16, "onnx": onnx}
    folder = tempfile.mkdtemp()
    for part in models:
        transports.repository(f"{folder}/{part}", part, 32, 4, models)
        pathlib.Path(f"{folder}/all").mkdir(exist_ok=True)
        (pathlib.Path(folder) / "all" / part).symlink_to(f"{folder}/{part}/flower")
    server = transports.start(tepal, backends, f"{folder}/all", ["--model-control-mode=explicit"], "/v2/health/ready")
    good = server is not None
    for busy, other in (("onnx", "torch"), ("torch", "onnx")) if good else ():
        row = {"busy": busy, "starts": other, "load_s": []}
        change(busy, "load")
        out = f"{folder}/{busy}.json"
        load = subprocess.Popen(
            [tepal, "bench", "--model", busy, "--url", f"127.0.0.1:{transports.PORT}", "--shape",
             f"{transports.INPUTS[busy]}:1,3,224,224", "--concurrency", "48", "--duration", f"{SECONDS}s", "--progress",
             "none", "--json", out], stdout=subprocess.DEVNULL)
        for _ in range(ROUNDS):
            row["load_s"].append(change(other, "load"))
            change(other, "unload")
        row["busy_meanwhile"] = load.poll() is None
        row["bench_exit"] = load.wait()
        phase = json.loads(pathlib.Path(out).read_text())["phases"][0]
        row.update({"images_per_s": round(phase["throughput_per_s"]), "failed": phase["failed"]})
        change(busy, "unload")
        good = good and row["failed"] == 0 and server.poll() is None
        print(json.dumps(row), flush=True)
    if server is not None:
        server.terminate()
        server.wait()
    sys.exit(0 if good else "something failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
