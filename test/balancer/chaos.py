#!/usr/bin/env python3
"""Seven real servers behind `tepal balance` that are killed, frozen, rolled, drained and replaced under load: no request fails.

    chaos.py [--rounds N] [--requests N] [--frozen-seconds N] [--seed N]

Two balancers, one for HTTP and one for gRPC, over the same servers. wrk and h2load make load; tritonclient's two clients check that
every answer is the right one. None of them sends anything again. Whatever is not answered with success counts as failed, as the
clients saw it, and for h2load, which does not look at grpc-status, as the balancer answered it.
"""
import argparse
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("test/support", "test/clients", "bench")]

import numpy as np  # noqa: E402
import tritonclient.grpc  # noqa: E402
import tritonclient.http  # noqa: E402

import bodies  # noqa: E402
import load  # noqa: E402
from programs import free_ports, stop, wait_for  # noqa: E402
from server import IDENTITY  # noqa: E402
from stack import TEPAL  # noqa: E402

SERVERS = 7


def ask(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Balancer:
    def __init__(self, fleet, port_of, flags):
        self.fleet, self.port_of = fleet, port_of
        front, admin = free_ports(2)
        self.address, self.api = f"127.0.0.1:{front}", f"http://127.0.0.1:{admin}"
        addresses = [f"--endpoint=127.0.0.1:{port_of(server)}" for server in fleet.servers]
        self.process = subprocess.Popen([str(TEPAL), "balance", f"--listen={self.address}", f"--admin=127.0.0.1:{admin}", *addresses,
                                         *flags], stdout=fleet.log, stderr=subprocess.STDOUT)
        wait_for(f"{self.api}/api/9/nginx", self.process)

    def peers(self):
        return {peer["server"]: peer for peer in ask(f"{self.api}/api/9/http/upstreams/tepal")["peers"]}

    def peer(self, server):
        return self.peers().get(f"127.0.0.1:{self.port_of(server)}")

    def servers(self):
        return f"{self.api}/api/9/http/upstreams/tepal/servers"

    def state(self):
        return ask(f"{self.api}/api/tepal/state")


class Fleet:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        (self.path / "models/echo/1").mkdir(parents=True)
        (self.path / "models/echo/config.pbtxt").write_text(IDENTITY)
        self.log = open(self.path / "log", "wb")
        ports = free_ports(3 * SERVERS)
        self.servers = [dict(zip(("http", "grpc", "metrics"), ports[3 * i:3 * i + 3])) for i in range(SERVERS)]
        for server in self.servers:
            self.start(server)
        for server in self.servers:
            wait_for(f"http://127.0.0.1:{server['http']}/v2/health/ready", server["process"])
        self.balancers = [Balancer(self, lambda server: server["http"], []),
                          Balancer(self, lambda server: server["grpc"], ["--health-type=kserve"])]
        for server in self.servers:
            self.wait_up(server)

    def start(self, server):
        server["process"] = subprocess.Popen(
            [str(TEPAL), "serve", f"--model-repository={self.path}/models", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
             f"--http-port={server['http']}", f"--grpc-port={server['grpc']}", f"--metrics-port={server['metrics']}",
             "--http-thread-count=1"], stdout=self.log, stderr=subprocess.STDOUT)

    def until(self, condition, what, limit_s=60):
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {limit_s} s")
            time.sleep(0.05)

    def wait_up(self, server):
        self.until(lambda: all((b.peer(server) or {}).get("state") == "up" for b in self.balancers), f"{server['http']} is up again")

    def wait_out(self, server):
        self.until(lambda: all(b.peer(server)["state"] != "up" for b in self.balancers), f"{server['http']} is noticed")

    # What happens to a server.
    def kill(self, server, _):
        server["process"].kill()
        server["process"].wait()
        self.wait_out(server)
        self.start(server)
        self.wait_up(server)

    def freeze(self, server, seconds):
        server["process"].send_signal(signal.SIGSTOP)
        frozen = time.monotonic()
        self.wait_out(server)
        time.sleep(max(0, seconds - (time.monotonic() - frozen)))
        server["process"].send_signal(signal.SIGCONT)
        self.wait_up(server)

    def roll(self, server, _):
        server["process"].send_signal(signal.SIGTERM)
        if server["process"].wait(60) != 0:
            raise RuntimeError("the server did not drain in time")
        self.start(server)
        self.wait_up(server)

    def replace(self, server, _):
        for balancer in self.balancers:
            ask(f"{balancer.servers()}/{balancer.peer(server)['id']}", "PATCH", {"drain": True})
        self.until(lambda: all(b.peer(server)["active"] == 0 for b in self.balancers), "the drained server is empty")
        for balancer in self.balancers:
            ask(f"{balancer.servers()}/{balancer.peer(server)['id']}", "DELETE")
            ask(balancer.servers(), "POST", {"server": f"127.0.0.1:{balancer.port_of(server)}"})
        self.wait_up(server)

    def close(self):
        for balancer in self.balancers:
            stop(balancer.process)
        for server in self.servers:
            server["process"].kill()
            server["process"].wait()
        self.log.close()
        self.folder.cleanup()


class Load:
    """Clients that run until they are stopped."""

    def __init__(self, fleet):
        self.http, self.grpc = fleet.balancers
        self.stopping = threading.Event()
        self.failures, self.counts = [], {}
        values = bodies.floats(16)
        body, frame, script = (fleet.path / name for name in ("body", "frame", "wrk.lua"))
        content, json_size = bodies.http_binary(values)
        body.write_bytes(content)
        frame.write_bytes(bodies.grpc_frame("echo", values))
        load.wrk_script(script, body, json_size)
        long = "100000"
        self.wrk = subprocess.Popen(["wrk", "-t1", "-c16", f"-d{long}s", "--timeout", "60s", "-s", str(script),
                                     f"http://{self.http.address}/v2/models/echo/infer"], stdout=subprocess.PIPE, text=True)
        self.h2load = subprocess.Popen(["h2load", "-t1", "-c4", "-m4", f"-D{long}", f"-d{frame}",
                                        f"http://{self.grpc.address}{load.MODEL_INFER}",
                                        *(part for header in load.GRPC_HEADERS for part in ("-H", header))],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.threads = [threading.Thread(target=self.run, args=arguments, daemon=True) for arguments in
                        (("tritonclient HTTP", tritonclient.http, self.http), ("tritonclient gRPC", tritonclient.grpc, self.grpc))]
        for thread in self.threads:
            thread.start()

    def run(self, name, module, balancer):
        client = module.InferenceServerClient(balancer.address)
        dice = np.random.default_rng(1)
        while not self.stopping.is_set():
            values = dice.random((1, int(dice.integers(1, 40_000))), dtype=np.float32)
            tensor = module.InferInput("INPUT0", list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            try:
                got = client.infer("echo", [tensor]).as_numpy("OUTPUT0")
                if not np.array_equal(got, values):
                    self.failures.append(f"{name}: another request's answer")
            except Exception as error:  # Whatever it is, it is a request that failed.
                self.failures.append(f"{name}: {error}")
            self.counts[name] = self.counts.get(name, 0) + 1

    def answered(self):
        return sum(balancer.state()["requests"] for balancer in (self.http, self.grpc))

    def stop(self):
        """What every client has counted, and its failures."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        self.wrk.send_signal(signal.SIGINT)
        text = self.wrk.communicate(timeout=60)[0]
        self.counts["wrk"] = int(re.search(r"(\d+) requests in", text).group(1))
        self.failures += [f"wrk: {line.strip()}" for line in text.splitlines() if re.search("Non-2xx|Socket errors", line)]
        if self.h2load.poll() is not None:
            self.failures.append("h2load has ended before its time")
        self.h2load.kill()  # It has no other end; the balancer has the account of what it sent.
        self.h2load.wait()
        return self.counts, self.failures


def run(rounds, requests, frozen_seconds, seed, say=print):
    """What happened, and what failed; more rounds than asked for when the requests are too few."""
    dice = random.Random(seed)
    fleet = Fleet()
    try:
        clients = Load(fleet)
        done = 0
        while done < rounds or clients.answered() < requests:
            done += 1
            for event in dice.sample(["kill", "freeze", "roll", "replace"], 4):
                server = dice.choice(fleet.servers)
                started = time.monotonic()
                getattr(fleet, event)(server, frozen_seconds)
                say(f"round {done}: {event} {server['http']} in {time.monotonic() - started:.1f} s; "
                    f"{clients.answered()} requests, {len(clients.failures)} failures", flush=True)
                if len(clients.failures) > 20:
                    break
            if len(clients.failures) > 20:
                break
        counts, failures = clients.stop()
        fleet.until(lambda: all(b.state()["active"] == 0 for b in fleet.balancers), "every request is over")
        account = {}
        for name, balancer in zip(("HTTP", "gRPC"), fleet.balancers):
            state = balancer.state()
            account[name] = {key: state[key] for key in
                             ("requests", "responses", "failed", "broken_off", "client_gone", "retries")}
            good, gone = state["responses"][1], state["client_gone"]
            if good + gone != state["requests"]:
                failures.append(f"{name} balancer: {state['requests']} requests, {good} answered well, {gone} given up by clients")
        return counts, account, failures
    finally:
        fleet.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--frozen-seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    counts, account, failures = run(options.rounds, options.requests, options.frozen_seconds, options.seed)
    print("clients:", json.dumps(counts))
    for name, numbers in account.items():
        print(f"{name} balancer:", json.dumps(numbers))
    for failure in failures[:20]:
        print("FAILED", failure)
    print(f"{sum(numbers['requests'] for numbers in account.values())} requests, {len(failures)} failures")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
