#!/usr/bin/env python3
"""The tables of docs/performance.md from what bench/gpu/run has measured: table.py TRANSPORTS.json BARE.json [COLUMN...]

COLUMN of BARE.json (graph, when none is named): rows whose requests are whole batches are compared with it, and say how much of it
they reach.
"""
import json
import sys

NAMES = {"cuda": "CUDA shm", "system": "system shm", "http": "HTTP", "grpc": "gRPC"}
POOL = "--pinned-memory-pool-byte-size="


def number(value):
    return f"{value:,.1f}".removesuffix(".0") if isinstance(value, float) else f"{value:,}"


def transport(row):
    pools = [int(flag.removeprefix(POOL)) for flag in row["flags"] if flag.startswith(POOL)]
    return NAMES[row["transport"]] + "".join(f", pool of {size >> 20} MiB" if size else ", pool of 0" for size in pools)


def main(transports, bare, *columns):
    columns = columns or ("graph",)
    bare = {row["batch"]: row for row in json.load(open(bare))}
    head = ["part", "max batch", "transport", "images a request", "load", "images/s", *(f"of `{column}`" for column in columns),
            "images an execution", "p50 ms", "p99 ms", "compute_input µs", "server cores", "client cores", "failed"]
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in json.load(open(transports)):
        clients = row["clients"]
        load = f"{row['rate_per_s']:,}/s" if "rate_per_s" in row else f"{clients} client" + "s" * (clients > 1)
        whole = row["images"] == row["largest"] and "rate_per_s" not in row
        parts = [f"{row['images_per_s'] / bare[row['images']][column]:.0%}".replace("%", " %") if whole else "" for column in columns]
        cells = [row["part"], row["largest"], transport(row), row["images"], load, number(row["images_per_s"]), *parts,
                 *(number(row.get(key, "")) for key in ("images_an_execution", "p50_ms", "p99_ms", "compute_input_us", "server_cores", "client_cores")),
                 row.get("failed", row.get("error", ""))]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
