"""Slots of unequal speed behind `tepal balance`, nginx, HAProxy and Envoy: latencies at half, 70 % and 85 % of what the slots can do.

    bench/run unequal_slots [--seconds N] [--rounds N] [--load PERCENT ...] [--json FILE]

Seven servers whose model takes 10, 15 and five times 30 ms (3:2:1:1:1:1:1), one request at a time, without using a processor. Requests come
open loop at the moments of a Poisson process, the same for every balancer; a latency counts from that moment, so one that waits for a
connection waits. No balancer is told the speeds. Every balancer has one thread; turns within one run, medians of the rounds. The oracle knows
speeds and queues and sends each request where it is done first: by the same client straight to the servers, and computed, where nothing
costs anything.
"""
import argparse
import asyncio
import contextlib
import itertools
import json
import pathlib
import random
import statistics
import tempfile

import balance_vs_peers
import peers
from peers import free_ports, running, table, wait_for, wait_ready

SLEEPS_MS = [10, 15, 30, 30, 30, 30, 30]
CAPACITY = sum(1000 / ms for ms in SLEEPS_MS)
MODEL = """backend: "delay"
max_batch_size: 0
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
parameters { key: "sleep_ms" value { string_value: "%d" } }
"""
BODY = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "FP32", "data": [1.0]}]}).encode()
REQUEST = (b"POST /v2/models/slow/infer HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)) + BODY


class Oracle:
    """Knows how long each slot takes and what it has to do."""

    def __init__(self):
        self.free_at, self.sent = [0.0] * len(SLEEPS_MS), [0] * len(SLEEPS_MS)

    def send(self, now):
        """The slot that is done first, and when."""
        done, slot = min((max(free_at, now) + ms / 1000, slot) for slot, (free_at, ms) in enumerate(zip(self.free_at, SLEEPS_MS)))
        self.free_at[slot] = done
        self.sent[slot] += 1
        return slot, done

    def answered(self, slot, now):
        """What is left there begins now: the clock of a machine is late sometimes."""
        self.sent[slot] -= 1
        self.free_at[slot] = now + self.sent[slot] * SLEEPS_MS[slot] / 1000


class Client:
    """Sends each request at its moment, over a connection that is free then: to the balancer, or as the oracle says to one of the servers."""

    def __init__(self, ports):
        self.ports, self.free, self.oracle = ports, [[] for _ in ports], Oracle() if len(ports) > 1 else None
        self.taken, self.failed = [], 0

    async def one(self, due):
        slot = self.oracle.send(asyncio.get_running_loop().time())[0] if self.oracle else 0
        free = self.free[slot]
        try:
            reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", self.ports[slot])
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if head.find(b"chunked") >= 0:
                while (await reader.readuntil(b"\r\n")) != b"0\r\n":
                    pass
                await reader.readuntil(b"\r\n")
            else:
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            now = asyncio.get_running_loop().time()
            self.taken.append(now - due)
            if self.oracle:
                self.oracle.answered(slot, now)
            self.failed += b" 200 " not in head.split(b"\r\n")[0]
            free.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            self.failed += 1

    async def run(self, rate, seconds, seed):
        dice, loop = random.Random(seed), asyncio.get_running_loop()
        due, tasks = loop.time() + 0.1, []
        end = due + seconds
        while due < end:
            await asyncio.sleep(max(0, due - loop.time()))
            tasks.append(asyncio.create_task(self.one(due)))
            due += dice.expovariate(rate)
        await asyncio.gather(*tasks)
        for _, writer in itertools.chain(*self.free):
            writer.close()


def quantiles(taken):
    """p50 and p99 in ms, after a warm-up."""
    taken = sorted(taken[len(taken) // 10:])
    return taken[len(taken) // 2] * 1e3, taken[len(taken) * 99 // 100] * 1e3


def measure(ports, load, seconds, seed):
    """And how many requests failed."""
    client = Client(ports)
    asyncio.run(client.run(load / 100 * CAPACITY, seconds, seed))
    return *quantiles(client.taken), client.failed


def compute(load, seconds, seed):
    """The oracle's, on the same arrivals and for nothing."""
    dice, now, oracle, taken = random.Random(seed), 0.0, Oracle(), []
    while now < seconds:
        taken.append(oracle.send(now)[1] - now)
        now += dice.expovariate(load / 100 * CAPACITY)
    return *quantiles(taken), 0


def commands(folder, servers):
    for name, command, ports in balance_vs_peers.commands(folder, servers):
        if name == "haproxy":
            config = folder / name / "conf"
            config.write_text(config.read_text().replace("balance leastconn", "balance random(2)"))
        if name != "tepal":
            yield name, command, ports[0]
            continue
        for policy in ("least_wait", "least_outstanding"):
            port = free_ports(1)[0]
            yield f"tepal {policy}", [peers.TEPAL, "balance", "--threads=1", "--admin=none", f"--listen=127.0.0.1:{port}",
                                      f"--policy={policy}", *(f"--endpoint=127.0.0.1:{h},grpc={g}" for h, g in servers)], port


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", type=int, nargs="*", default=[50, 70, 85], help="percent of what all slots can do")
    parser.add_argument("--json")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = pathlib.Path(text)
        servers = []
        for i, ms in enumerate(SLEEPS_MS):
            (folder / f"models{i}/slow/1").mkdir(parents=True)
            (folder / f"models{i}/slow/config.pbtxt").write_text(MODEL % ms)
            ports = free_ports(3)
            server = stack.enter_context(running(
                peers.tepal_command(folder / f"models{i}", peers.BACKENDS, *ports) + ["--http-thread-count=1"], folder / f"server{i}"))
            wait_ready(server, ports[0])
            servers.append(ports[:2])
        balancers = []
        for name, command, port in commands(folder, servers):
            process = stack.enter_context(running(command, folder / f"{name}.log"))
            wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
            balancers.append((name, [port]))
        balancers.append(("oracle", [http for http, _ in servers]))
        for turn in range(options.rounds):
            for load in options.load:
                for name, ports in balancers:
                    results.setdefault((load, name), []).append(measure(ports, load, options.seconds, turn))
                results.setdefault((load, "oracle, computed"), []).append(compute(load, options.seconds, turn))
    printed, kept = [], []
    for load in options.load:
        medians = {name: [statistics.median(column) for column in zip(*results[load, name])]
                   for name in [*(name for name, _ in balancers), "oracle, computed"]}
        best = min(numbers[1] for name, numbers in medians.items() if not name.startswith(("tepal", "oracle")))
        for name, (p50, p99, failed) in medians.items():
            printed.append([f"{load} %", name, f"{p50:.1f}", f"{p99:.1f}", f"{p99 / best:.2f}", *(f"{p99 / medians[oracle][1]:.2f}" for oracle in ("oracle", "oracle, computed")), f"{failed:.0f}"])
            kept.append({"load": load, "balancer": name, "p50_ms": p50, "p99_ms": p99, "failed": failed})
    print(table(printed, ["load", "balancer", "p50 ms", "p99 ms", "p99 to best peer", "to oracle", "to computed", "failed"]))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
