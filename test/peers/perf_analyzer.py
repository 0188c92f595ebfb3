#!/usr/bin/env python3
"""Triton's perf_analyzer, as its wheel has it, against `tepal serve` and a real Triton: unary over HTTP and gRPC, a gRPC
stream, system shared memory. Fails when a run does not measure or a request of it fails; the numbers are only printed.

    test/peers/perf_analyzer.py [BUILD]      BUILD: where bin/tepal is; build/release when left out
"""
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
if len(sys.argv) > 1:
    os.environ["TEPAL_BUILD"] = str(pathlib.Path(sys.argv[1]).resolve())
sys.path.insert(0, str(ROOT / "test/clients"))

from server import IDENTITY, Server  # noqa: E402
from stack import BUILD, free_ports, wait_for  # noqa: E402

TRITON = ROOT / ".cache/triton"
THEIRS = ROOT / ".cache/perf_analyzer"
RUNS = (("HTTP", "http", []), ("gRPC", "grpc", []), ("gRPC stream", "grpc", ["--streaming"]),
        ("HTTP, shared memory", "http", ["--shared-memory", "system", "--output-shared-memory-size", "64"]),
        ("gRPC, shared memory", "grpc", ["--shared-memory", "system", "--output-shared-memory-size", "64"]))
RUN_SECONDS_MAX = 60


class Triton:
    """The real one, with the same plugin and the same model."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        model = pathlib.Path(self.folder.name) / "models/echo"
        (model / "1").mkdir(parents=True)
        (model / "config.pbtxt").write_text(IDENTITY)
        http, grpc = free_ports(2)
        self.http, self.grpc = f"localhost:{http}", f"localhost:{grpc}"
        self.log = open(pathlib.Path(self.folder.name) / "log", "wb")
        wheel = next(TRITON.glob("nvidia_pytriton-*.whl"))
        self.process = subprocess.Popen(
            [ROOT / "test/peers/triton.sh", "--wheel", wheel, "--unpacked", TRITON / "unpacked", "--models", model.parent,
             "--backends", BUILD / "lib/tepal/backends", "--http", str(http), "--grpc", str(grpc)],
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait_for(f"http://{self.http}/v2/health/ready", self.process)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        # The script waits for the server it started: both get the signal.
        os.killpg(self.process.pid, signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        self.folder.cleanup()
        return code


def analyze(address, protocol, flags, folder):
    """Inferences a second and the median latency in us."""
    report = pathlib.Path(folder) / "report.csv"
    report.unlink(missing_ok=True)
    libraries = THEIRS / "root/usr/lib/x86_64-linux-gnu"
    run = subprocess.run(
        [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, THEIRS / "perf_analyzer/bin/perf_analyzer", "-m", "echo",
         "--shape", "INPUT0:16", "-u", address, "-i", protocol, "--concurrency-range", "4", "-p", "500", "-r", "3", "-s", "900",
         "-f", report, *flags], capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
    if run.returncode != 0 or not report.exists():
        raise RuntimeError(f"perf_analyzer ended with {run.returncode}: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    row = next(csv.DictReader(report.open()))
    rate = float(row["Inferences/Second"])
    if rate <= 0:
        raise RuntimeError(f"perf_analyzer measured nothing: {run.stdout[-2000:]}")
    return rate, int(row["p50 latency"])


def failures(server):
    """What the server itself counts of its model: requests that went well, and those that did not."""
    with urllib.request.urlopen(f"http://{server.http}/v2/models/echo/stats", timeout=10) as answer:
        stats = json.load(answer)["model_stats"][0]["inference_stats"]
    return stats["success"]["count"], stats["fail"]["count"]


def main():
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, start in (("Tepal", lambda: Server("--allow-client-shm=true")), ("Triton", Triton)):
            server = start()
            try:
                for what, protocol, flags in RUNS:
                    before, _ = failures(server)
                    measured[what, name] = analyze(getattr(server, protocol), protocol, flags, folder)
                    good, bad = failures(server)
                    if bad != 0 or good == before:
                        raise RuntimeError(f"{name}, {what}: {good - before} inferences went well, {bad} did not")
            finally:
                code = server.stop()
            if code != 0:
                raise RuntimeError(f"{name} ended with {code}")
    print(f"{'perf_analyzer, 4 at a time, 16 floats':40}{'Tepal inf/s':>14}{'p50 us':>10}{'Triton inf/s':>14}{'p50 us':>10}")
    for what, _, _ in RUNS:
        (ours, our_p50), (theirs, their_p50) = measured[what, "Tepal"], measured[what, "Triton"]
        print(f"{what:40}{ours:14.0f}{our_p50:10}{theirs:14.0f}{their_p50:10}")


if __name__ == "__main__":
    main()
