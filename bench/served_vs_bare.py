#!/usr/bin/env python3
"""The flower ResNet50 served, beside a bare loop of the same library: images per second and CPU time per image, on the CPU.

Both have one core to themselves and one thread for the model; the clients have another core. They take turns and execute batches of
the same size, of the same tensors: the server makes its batches of requests with one image each, and its statistics must say so.
usage: served_vs_bare.py [--quick] [--seconds 6] [--rounds 5] [--only REGEX] [--json FILE]
"""
import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import bodies
import peers

FLOWER = peers.ROOT / "examples/flower/models/resnet50/1/model.onnx"
ORT = peers.BACKENDS / "onnxruntime/libonnxruntime.so.1"
TARGET = 0.95  # Of the bare loop's images per second.
TOLERANCE = 1e-4  # Between the probabilities of the two.
CONFIG = """name: "flower"
%s
max_batch_size: %d
input { name: "input" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
output { name: "probabilities" data_type: TYPE_FP32 dims: [ 5 ] }
instance_group { kind: KIND_CPU count: 1 }
dynamic_batching { preferred_batch_size: %d max_queue_delay_microseconds: 5000000 }
parameters { key: "%s" value { string_value: "1" } }
"""
BATCHES = (1, 4, 8)
ROW_FLOATS = 3 * 224 * 224
LEGEND = f"""
Medians of the rounds. ratio: of served to bare; {TARGET} or more passes. CPU ratio: bare CPU time per image to the server's, all of its threads
counted. core: the share of its turn that the process ran, for both; well below 1 says that others took the core, and the ratio moves.
"""

Library = collections.namedtuple("Library", "name backend file threads bare")
LIBRARIES = (
    Library("ONNX Runtime", 'backend: "onnxruntime"', "model.onnx", "intra_op_thread_count", [peers.BUILD / "bin/onnxruntime_bare", ORT]),
    Library("PyTorch", 'platform: "pytorch_libtorch"', "model.pt", "INTRA_OP_THREAD_COUNT", [peers.BUILD / "bin/torchscript_bare"]),
)
Turn = collections.namedtuple("Turn", "images_per_s cpu_s core")  # cpu_s: per image.


def pinned(core, command):
    return command if core is None else ["taskset", "-c", str(core), *command]


def make_torchscript(folder):
    """Of the weights of the ONNX file."""
    work = folder / "torchscript"
    work.mkdir()
    source = peers.ROOT / "backends/pytorch/testing/onnx_source.py"
    subprocess.run([peers.ROOT / ".cache/venv/bin/python", source, FLOWER, work], check=True)
    subprocess.run([peers.BUILD / "bin/torchscript_file", work, folder / "model.pt"], check=True)


class Bare:
    """The program of bench/bare."""

    def __init__(self, process, batch):
        self.process, self.batch = process, batch
        word, *probabilities = process.stdout.readline().split() or ["nothing"]
        if word != "ready":
            raise SystemExit(f"bench: {process.args} said {word}")
        self.probabilities = [float(p) for p in probabilities]

    def turn(self, executions):
        print(executions, file=self.process.stdin, flush=True)
        wall, cpu = (float(x) for x in self.process.stdout.readline().split())
        images = executions * self.batch
        return Turn(images / wall, cpu / images, cpu / wall)


class Served:
    """`tepal serve` and as many clients as fill two batches."""

    def __init__(self, process, port, batch, rows):
        self.process, self.port, self.batch = process, port, batch
        self.requests = [self.request(row) for row in rows]

    @staticmethod
    def request(row):
        header = json.dumps({"inputs": [{"name": "input", "shape": [1, 3, 224, 224], "datatype": "FP32",
                                         "parameters": {"binary_data_size": len(row)}}],
                             "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}).encode()
        return header + row, {"Inference-Header-Content-Length": str(len(header))}

    def ask(self, connection, index):
        body, headers = self.requests[index % len(self.requests)]
        connection.request("POST", "/v2/models/flower/infer", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"bench: the server answered {answer.status}: {content[:300]}")
        return struct.unpack("<5f", content[-20:])

    def executions(self):
        """By batch size, since the model was loaded."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/models/flower/stats", timeout=10) as answer:
            model = json.load(answer)["model_stats"][0]
        return collections.Counter({b["batch_size"]: b["compute_infer"]["count"] for b in model["batch_stats"]})

    def turn(self, executions):
        """From the end of a first batch to that of the last but one: the server had bodies to receive throughout."""
        before = self.executions()
        total, first, last = (executions + 2) * self.batch, self.batch, (executions + 1) * self.batch
        lock, marks = threading.Lock(), {}
        sent = done = 0

        def client():
            nonlocal sent, done
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
                while True:
                    with lock:
                        if sent == total:
                            return
                        sent += 1
                        index = sent
                    self.ask(connection, index)
                    with lock:
                        done += 1
                        if done in (first, last):
                            marks[done] = time.monotonic(), peers.cpu_seconds(self.process.pid)

        with concurrent.futures.ThreadPoolExecutor(2 * self.batch) as pool:
            for finished in [pool.submit(client) for _ in range(2 * self.batch)]:
                finished.result()
        grown = self.executions() - before
        if grown != {self.batch: executions + 2}:
            raise SystemExit(f"bench: {executions + 2} batches of {self.batch} were meant, the server executed {dict(grown)}")
        wall, cpu = (b - a for a, b in zip(marks[first], marks[last]))
        images = executions * self.batch
        return Turn(images / wall, cpu / images, cpu / wall)


@contextlib.contextmanager
def both(library, batch, folder, core):
    """A bare loop and a server with the model, batch size and threads of a row."""
    model = folder / "models/flower"
    (model / "1").mkdir(parents=True, exist_ok=True)
    (model / "config.pbtxt").write_text(CONFIG % (library.backend, batch, batch, library.threads))
    for name in ("model.onnx", "model.pt"):
        (model / "1" / name).unlink(missing_ok=True)
    (model / "1" / library.file).symlink_to(FLOWER if library.file == FLOWER.name else folder / library.file)
    port = peers.free_ports(1)[0]
    server = pinned(core, [peers.TEPAL, "serve", f"--model-repository={folder / 'models'}", "--http-address=127.0.0.1", f"--http-port={port}",
                           "--allow-grpc=false", "--allow-metrics=false", "--lame-duck-secs=0"])
    bare = pinned(core, [*library.bare, str(model / "1" / library.file), str(folder / "input"), str(batch), "1"])
    log = folder / "log"
    with peers.running(server, log) as process, \
            subprocess.Popen([str(c) for c in bare], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loop:
        try:
            peers.wait_ready(process, port)
        except RuntimeError as error:
            raise SystemExit(f"bench: {error}: {log.read_text()}") from error
        yield loop, process, port
        loop.stdin.close()


def run_row(library, batch, rows, folder, core, seconds, rounds):
    with both(library, batch, folder, core) as (loop, process, port):
        bare, served = Bare(loop, batch), Served(process, port, batch, rows)
        rate = bare.turn(2).images_per_s
        executions = max(2, round(seconds * rate / batch))
        served.turn(4)  # Warms it up.
        check_same(bare, served)
        turns = {bare: [], served: []}
        for number in range(rounds):
            for one in (bare, served) if number % 2 == 0 else (served, bare):
                turns[one].append(one.turn(executions))
    median = {one: Turn(*map(statistics.median, zip(*taken))) for one, taken in turns.items()}
    return {"library": library.name, "batch": batch, "executions": executions, "rounds": rounds,
            "bare": median[bare]._asdict(), "served": median[served]._asdict(),
            "ratio": median[served].images_per_s / median[bare].images_per_s, "cpu_ratio": median[bare].cpu_s / median[served].cpu_s}


def check_same(bare, served):
    """A batch of the first row and others: the bare loop's first results come back to whoever sent that row."""
    def one(index):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)) as connection:
            return served.ask(connection, index)

    with concurrent.futures.ThreadPoolExecutor(served.batch) as pool:
        answers = list(pool.map(one, range(served.batch)))
    difference = max(abs(a - b) for a, b in zip(answers[0], bare.probabilities))
    if difference > TOLERANCE:
        raise SystemExit(f"bench: served {answers[0]}, the bare loop found {bare.probabilities}")


HEADER = ["library", "batch", "bare images/s", "served", "ratio", "", "bare CPU ms an image", "served", "CPU ratio", "core bare", "served"]


def cells(result):
    bare, served = result["bare"], result["served"]
    return [result["library"], result["batch"], f"{bare['images_per_s']:.2f}", f"{served['images_per_s']:.2f}", f"{result['ratio']:.3f}",
            "pass" if result["ratio"] >= TARGET else "MISS", f"{bare['cpu_s'] * 1e3:.1f}", f"{served['cpu_s'] * 1e3:.1f}",
            f"{result['cpu_ratio']:.3f}", f"{bare['core']:.2f}", f"{served['core']:.2f}"]


def choose_cores():
    """One for the model, and the clients stay off it."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("bench: one core only: the clients' work counts against the server", file=sys.stderr)
        return None
    os.sched_setaffinity(0, set(cores[:-1]))
    return cores[-1]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=6, help="of each turn")
    arguments.add_argument("--rounds", type=int, default=5, help="turns of each")
    arguments.add_argument("--quick", action="store_true", help="2 seconds, 1 round")
    arguments.add_argument("--only", default="", help='rows whose name, as "PyTorch 4", this regular expression is found in')
    arguments.add_argument("--json", help="write the figures there")
    options = arguments.parse_args()
    seconds, rounds = (2, 1) if options.quick else (options.seconds, options.rounds)
    wanted = [(library, batch) for library in LIBRARIES for batch in BATCHES if re.search(options.only, f"{library.name} {batch}")]
    core = choose_cores()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        numbers = random.Random(8)
        rows = [bodies.packed([numbers.gauss(0, 1) for _ in range(ROW_FLOATS)]) for _ in range(max(BATCHES))]
        (folder / "input").write_bytes(b"".join(rows))
        if any(library.file == "model.pt" for library, _ in wanted):
            make_torchscript(folder)
        for library, batch in wanted:
            results.append(run_row(library, batch, rows, folder, core, seconds, rounds))
            print(*cells(results[-1]), file=sys.stderr, flush=True)
    print(peers.table([cells(result) for result in results], HEADER))
    print(LEGEND, end="")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
