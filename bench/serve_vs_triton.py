#!/usr/bin/env python3
"""Our server beside a real Triton 2.51 over HTTP: CPU time per request, latency, start-up, idle memory.

The same identity plugin file runs in both, inline in ours and behind an instance thread, and a bare epoll server
that answers a fixed text is the floor. All of it in one run on one machine, so the ratios mean something and the
absolute figures little. Load: wrk with a binary FP32[1,16] body. usage: serve_vs_triton.py [--seconds 4] [--json FILE]
"""
import argparse
import json
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import peers

CONFIG = """name: "%s"
backend: "%s"
max_batch_size: 64
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
instance_group [{ kind: KIND_CPU count: 1 }]
%s"""
# `delay` is an identity too (it may wait; here it does not) and does not ask to run inline, so ours hands requests to an
# instance thread; Triton's dynamic batcher does the same.
MODELS = {"inline": ("identity", ""), "worker": ("delay", "dynamic_batching { }")}

LUA = """
wrk.method = "POST"
wrk.body = io.open("%s", "rb"):read("*a")
wrk.headers["Inference-Header-Content-Length"] = "%d"
wrk.headers["Content-Type"] = "application/octet-stream"
function response(status, headers, body) if status ~= 200 then wrong = (wrong or 0) + 1 end end
"""


def make_repository(folder):
    for name, (backend, extra) in MODELS.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(CONFIG % (name, backend, extra))


def make_load(folder):
    header = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "parameters": {"binary_data_size": 64}}],
                         "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]}).encode()
    (folder / "body").write_bytes(header + struct.pack("<16f", *range(16)))
    (folder / "load.lua").write_text(LUA % (folder / "body", len(header)))
    return folder / "load.lua"


def wrk(lua, url, connections, seconds):
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(lua), url],
                          capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        raise SystemExit(f"bench: {url} answered with errors:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text).groups()
    return requests, float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def measure(pid, lua, url, connections, seconds):
    wrk(lua, url, connections, 1)
    before, started = peers.cpu_seconds(pid), time.monotonic()
    requests, p99_us = wrk(lua, url, connections, seconds)
    cpu_us = (peers.cpu_seconds(pid) - before) / requests * 1e6
    return {"requests_per_s": requests / (time.monotonic() - started), "cpu_us": cpu_us, "p99_us": p99_us}


def start_to_ready(command_of, env, runs, folder):
    times, memory = [], []
    for i in range(runs):
        ports = peers.free_ports(3)
        started = time.monotonic()
        with peers.running(command_of(*ports), folder / "start.log", env) as process:
            peers.wait_ready(process, ports[0])
            times.append((time.monotonic() - started) * 1e3)
            time.sleep(0.2)
            memory.append(peers.resident_mib(process.pid))
    return statistics.median(times), statistics.median(memory)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--json")
    options = arguments.parse_args()
    result = {"cpu_us_per_request": {}, "start_to_ready_ms": {}, "idle_mib": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        repository, empty = folder / "models", folder / "empty"
        repository.mkdir(), empty.mkdir()
        make_repository(repository)
        lua = make_load(folder)
        t_http, t_grpc, t_metrics, o_http, o_metrics, floor = peers.free_ports(6)
        triton, environment = peers.triton_command(repository, peers.BACKENDS, t_http, t_grpc, t_metrics)
        rows = []
        with peers.running(triton, folder / "triton.log", environment) as theirs, \
                peers.running(peers.tepal_command(repository, peers.BACKENDS, o_http, o_metrics), folder / "tepal.log") as ours, \
                peers.running([peers.BUILD / "bin/epoll_floor", str(floor)], folder / "floor.log") as bare:
            peers.wait_ready(theirs, t_http)
            peers.wait_ready(ours, o_http)
            for connections in (1, 16, 64):
                at_floor = measure(bare.pid, lua, f"http://127.0.0.1:{floor}/", connections, options.seconds)
                for model in MODELS:
                    path = f"/v2/models/{model}/infer"
                    a = measure(theirs.pid, lua, f"http://127.0.0.1:{t_http}{path}", connections, options.seconds)
                    b = measure(ours.pid, lua, f"http://127.0.0.1:{o_http}{path}", connections, options.seconds)
                    ratio = b["cpu_us"] / a["cpu_us"]
                    result["cpu_us_per_request"][f"{model}/{connections}"] = {
                        "triton": a, "tepal": b, "floor": at_floor, "ratio": ratio}
                    rows.append([model, connections, f"{at_floor['cpu_us']:.1f}", f"{a['cpu_us']:.1f}", f"{b['cpu_us']:.1f}",
                                 f"{ratio:.2f}", f"{a['requests_per_s']:.0f}", f"{b['requests_per_s']:.0f}",
                                 f"{a['p99_us']:.0f}", f"{b['p99_us']:.0f}"])
        print(peers.table(rows, ["model", "connections", "floor µs", "triton µs", "tepal µs", "ratio", "triton req/s", "tepal req/s",
                                 "triton p99 µs", "tepal p99 µs"]))
        print("\n(µs: server CPU time per request; floor: a bare epoll server that answers a fixed text)")
        for name, command_of, env in (
                ("triton", lambda h, g, m: peers.triton_command(empty, peers.BACKENDS, h, g, m)[0], environment),
                ("tepal", lambda h, g, m: peers.tepal_command(empty, peers.BACKENDS, h, m), None)):
            milliseconds, mib = start_to_ready(command_of, env, 5, folder)
            result["start_to_ready_ms"][name], result["idle_mib"][name] = milliseconds, mib
            print(f"{name}: empty server ready in {milliseconds:.0f} ms, {mib:.1f} MiB resident when idle (medians of 5)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
