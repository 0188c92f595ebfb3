#!/usr/bin/env python3
"""Our server beside a real Triton 2.51: CPU time per request and latency, over HTTP and gRPC.

The same plugin files run in both, inline in ours or behind an instance thread; a bare epoll server that answers a fixed
text is the floor for HTTP. Servers take turns within a run, so the ratios mean something and the absolute figures little.
usage: serve_vs_triton.py [--quick] [--seconds 4] [--rounds 3] [--only REGEX] [--json FILE]
"""
import argparse
import contextlib
import dataclasses
import json
import pathlib
import re
import statistics
import sys
import tempfile

import bodies
import load
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
SMALL, MEBIBYTE = 16, 262144  # Floats of a request.
PACE = 0.5  # Of the rate at which Triton answers a closed loop.


@dataclasses.dataclass
class Row:
    door: str  # "http", "json" or "grpc".
    model: str
    floats: int
    connections: int
    streams: int = 1
    target: float = 1.0  # Of our CPU time per request over that of the server compared with.
    versus: str = "triton"

    @property
    def name(self):
        size = "1 MiB" if self.floats == MEBIBYTE else f"{self.floats} floats"
        streams = f"x{self.streams}" if self.door == "grpc" else ""
        loops = ", 2 loops" if self.versus == "one loop" else ""
        return f"{self.door} {self.model} {size} {self.connections}{streams}{loops}"


ROWS = [
    *(Row("http", "inline", SMALL, c, target=1 / 3) for c in (1, 16, 64)),
    *(Row("http", "worker", SMALL, c, target=1 / 2) for c in (1, 16, 64)),
    Row("grpc", "inline", SMALL, 1, 16, target=1 / 4),
    Row("grpc", "inline", SMALL, 8, 8, target=1 / 4),
    Row("grpc", "inline", SMALL, 64, 1, target=1 / 3),
    Row("grpc", "worker", SMALL, 8, 8, target=1 / 2),
    *(Row(door, "inline", MEBIBYTE, c, target=1 / 3) for door in ("http", "grpc") for c in (1, 4)),
    Row("json", "inline", MEBIBYTE, 1, target=1 / 4),
    Row("http", "inline", SMALL, 64, target=1.1, versus="one loop"),
    Row("grpc", "inline", SMALL, 8, 8, target=1.1, versus="one loop"),
]


@dataclasses.dataclass
class Server:
    pid: int
    http: int
    grpc: int = 0


class Bench:
    def __init__(self, folder, servers):
        self.folder, self.servers, self.warm, self.bodies = folder, servers, set(), {}

    def body(self, row):
        """The file to post, and how many bytes of it are JSON where binary tensors follow."""
        key = f"{row.door}-{row.model}-{row.floats}"
        if key not in self.bodies:
            values, json_size = bodies.floats(row.floats), None
            if row.door == "http":
                body, json_size = bodies.http_binary(values)
            else:
                body = bodies.http_json(values) if row.door == "json" else bodies.grpc_frame(row.model, values)
            path = self.folder / f"{key}.body"
            path.write_bytes(body)
            self.bodies[key] = path, json_size
        return self.bodies[key]

    def offer(self, row, server, seconds, rate=None):
        """As many requests as are answered, or `rate` a second."""
        body, json_size = self.body(row)
        log = self.folder / "h2load.log"
        if row.door == "grpc":
            return load.h2load(f"http://127.0.0.1:{server.grpc}{load.MODEL_INFER}", body, load.GRPC_HEADERS, row.connections, row.streams,
                               seconds, log, rate)
        path = "" if server is self.servers["floor"] else f"v2/models/{row.model}/infer"
        url = f"http://127.0.0.1:{server.http}/{path}"
        if rate is not None:
            headers = [*load.BINARY_HEADERS, f"inference-header-content-length: {json_size}"]
            return load.h2load(url, body, headers, row.connections, 1, seconds, log, rate, http1=True)
        script = body.with_suffix(".lua")
        load.wrk_script(script, body, json_size)
        return load.wrk(script, url, row.connections, seconds)

    def measure(self, row, name, seconds, rate=None):
        server = self.servers[name]
        if (row.name, name) not in self.warm:
            self.offer(row, server, 1)
            self.warm.add((row.name, name))
        counts = name != "floor"
        before = load.succeeded(server.http, row.model) if counts else None
        cpu = peers.cpu_seconds(server.pid)
        offered = self.offer(row, server, seconds, rate)
        cpu = peers.cpu_seconds(server.pid) - cpu
        if counts:
            success, fail = (b - a for a, b in zip(before, load.succeeded(server.http, row.model)))
            # What is under way when the load tool hangs up is cancelled; the last answers may be sent before they are counted.
            under_way = row.connections * row.streams
            if fail > under_way or success < offered.requests - under_way:
                raise SystemExit(f"bench: {row.name}: {name} answered {offered.requests} requests, {success} well and {fail} not")
        return {"cpu_us": cpu / offered.requests * 1e6, "p50_us": offered.p50_us, "p99_us": offered.p99_us,
                "requests_per_s": offered.requests / seconds}


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def take_turns(bench, row, names, seconds, rounds, rate=None):
    runs = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            runs[name].append(bench.measure(row, name, seconds, rate))
    return {name: medians(measured) for name, measured in runs.items()}


def run_row(bench, row, seconds, rounds):
    if row.versus == "triton":
        names = ["triton", "tepal", *(["floor"] if row.door == "http" else [])]
    else:
        names = ["one loop", "two loops"]
    result = take_turns(bench, row, names, seconds, rounds)
    theirs, ours = result[names[0]], result[names[1]]
    result["ratio"], result["target"] = ours["cpu_us"] / theirs["cpu_us"], row.target
    if row.versus == "triton" and row.floats == SMALL:
        # Whoever answers faster gets more requests from a closed loop, on the cores that the load tool needs too. What a
        # client waits is compared at one rate.
        result["paced"] = take_turns(bench, row, names[:2], seconds, rounds, theirs["requests_per_s"] * PACE)
    return result


def microseconds(value):
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def judge(theirs, ours, target=1.0):
    return "pass" if ours <= theirs * target else "MISS"


def cells(row, result):
    names = ["triton", "tepal"] if row.versus == "triton" else ["one loop", "two loops"]
    theirs, ours = (result[name] for name in names)
    floor = microseconds(result["floor"]["cpu_us"]) if "floor" in result else ""
    line = [row.name, floor, microseconds(theirs["cpu_us"]), microseconds(ours["cpu_us"]), f"{result['ratio']:.2f}", f"{row.target:.2f}",
            judge(theirs["cpu_us"], ours["cpu_us"], row.target)]
    line += [f"{server['requests_per_s']:.0f}" for server in (theirs, ours)]
    line += [microseconds(server["p99_us"]) for server in (theirs, ours)]
    paced = result.get("paced")
    if not paced:
        return [*line, "", "", judge(theirs["p99_us"], ours["p99_us"]) if row.versus == "triton" else ""]
    p99 = [paced[name]["p99_us"] for name in names]
    return [*line, *map(microseconds, p99), judge(*p99)]


HEADER = ["row", "floor", "theirs", "ours", "ratio", "target", "", "req/s theirs", "ours", "p99 theirs", "ours", "paced p99 theirs", "ours", ""]
LEGEND = """
Server CPU time per request in us (floor: a bare epoll server that answers a fixed text, or
1 MiB by as many bytes, without any copy of its own; theirs: Triton, or ours with one event loop;
ratio: ours over theirs). p99 in us, from the load tool: as many requests as are answered, then paced at half of Triton's rate for both.
"""


@contextlib.contextmanager
def servers(folder):
    repository = folder / "models"
    for name, (backend, extra) in MODELS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(CONFIG % (name, backend, extra))
    started = {}
    with contextlib.ExitStack() as stack:
        def start(name, command, http, grpc=0, environment=None):
            process = stack.enter_context(peers.running(command, folder / f"{name}.log", environment))
            started[name] = Server(process.pid, http, grpc)
            return process

        ports = peers.free_ports(13)
        command, environment = peers.triton_command(repository, peers.BACKENDS, *ports[:3])
        processes = [start("triton", command, *ports[:2], environment)]
        for name, flags, at in (("tepal", [], 3), ("one loop", ["--http-thread-count=1"], 6), ("two loops", ["--http-thread-count=2"], 9)):
            command = peers.tepal_command(repository, peers.BACKENDS, *ports[at:at + 3]) + flags
            processes.append(start(name, command, *ports[at:at + 2]))
        start("floor", [peers.BUILD / "bin/epoll_floor", str(ports[12])], ports[12])
        for process, server in zip(processes, started.values()):
            peers.wait_ready(process, server.http)
        yield started


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=4, help="of each measurement")
    arguments.add_argument("--rounds", type=int, default=3, help="measurements of each row and server; medians count")
    arguments.add_argument("--quick", action="store_true", help="1 second, 1 round")
    arguments.add_argument("--only", default="", help="rows whose name this regular expression is found in")
    arguments.add_argument("--json", help="write the figures there")
    options = arguments.parse_args()
    seconds, rounds = (1, 1) if options.quick else (options.seconds, options.rounds)
    results, lines = {}, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        with servers(folder) as started:
            bench = Bench(folder, started)
            for row in (r for r in ROWS if re.search(options.only, r.name)):
                results[row.name] = run_row(bench, row, seconds, rounds)
                lines.append(cells(row, results[row.name]))
                print(*lines[-1], file=sys.stderr, flush=True)
    print(peers.table(lines, HEADER))
    print(LEGEND, end="")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
