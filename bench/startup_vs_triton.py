#!/usr/bin/env python3
"""An empty server beside an empty Triton 2.51: milliseconds from start to ready, and memory when idle.

usage: startup_vs_triton.py [--runs 5] [--json FILE]
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import peers


def start_to_ready(command_of, runs, folder):
    times, memory = [], []
    for _ in range(runs):
        ports = peers.free_ports(3)
        command, environment = command_of(folder / "models", *ports)
        started = time.monotonic()
        with peers.running(command, folder / "log", environment) as process:
            peers.wait_ready(process, ports[0])
            times.append((time.monotonic() - started) * 1e3)
            time.sleep(0.2)
            memory.append(peers.resident_mib(process.pid))
    return {"start_to_ready_ms": statistics.median(times), "idle_mib": statistics.median(memory)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--json", help="write the figures there")
    options = arguments.parse_args()
    commands = {"triton": lambda models, *ports: peers.triton_command(models, peers.BACKENDS, *ports),
                "tepal": lambda models, *ports: (peers.tepal_command(models, peers.BACKENDS, *ports), None)}
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "models").mkdir()
        for name, command_of in commands.items():
            results[name] = start_to_ready(command_of, options.runs, folder)
    rows = [[name, f"{r['start_to_ready_ms']:.0f}", f"{r['idle_mib']:.1f}"] for name, r in results.items()]
    print(peers.table(rows, ["server", "ready after ms", "resident MiB when idle"]))
    print(f"(medians of {options.runs})")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
