#!/usr/bin/env python3
"""Seven real servers behind `tepal balance` that are killed, frozen, rolled, drained and replaced under load: no request fails.

    chaos.py [--rounds N] [--requests N] [--frozen-seconds N] [--seed N] [--hedge-after p95]

Two balancers, one for HTTP and one for gRPC, over the same servers. wrk and h2load make load; tritonclient's two clients and a Go
program (grpc-go, unary calls and streams on one channel) check that every answer is the right one. None of them sends anything
again. Whatever is not answered with success counts as failed, as the clients saw it, and for h2load, which does not look at
grpc-status, as the balancer answered it.

A third balancer, for HTTP, is itself killed and rolled. Its clients know the first one too, take them in turns, and turn to the
other when one refuses to be connected to. What nobody in between can save is counted by itself, and has to be no more than what
was cut: requests that were in a killed balancer (at most one a connection), and streams whose server has gone.
"""
import argparse
import http.client
import json
import pathlib
import random
import re
import select
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
from stack import ADD_SUB, TEPAL  # noqa: E402

SERVERS = 7
TURN_TAKERS = 4
EVENTS = ["kill", "freeze", "roll", "replace", "kill_balancer", "roll_balancer"]


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
        self.command = [str(TEPAL), "balance", f"--listen={self.address}", f"--admin=127.0.0.1:{admin}", *addresses, *flags]
        self.kills, self.dying = 0, False
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.fleet.log, stderr=subprocess.STDOUT)
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
    def __init__(self, hedge_after):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        (self.path / "models/echo/1").mkdir(parents=True)
        (self.path / "models/echo/config.pbtxt").write_text(IDENTITY)
        (self.path / "models/add_sub/1").mkdir(parents=True)
        (self.path / "models/add_sub/config.pbtxt").write_text(ADD_SUB.replace("[ 16 ]", "[ 4 ]"))
        self.log = open(self.path / "log", "wb")
        ports = free_ports(3 * SERVERS)
        self.servers = [dict(zip(("http", "grpc", "metrics"), ports[3 * i:3 * i + 3])) for i in range(SERVERS)]
        for server in self.servers:
            self.start(server)
        for server in self.servers:
            wait_for(f"http://127.0.0.1:{server['http']}/v2/health/ready", server["process"])
        hedging = f"--hedge-after={hedge_after}"
        self.balancers = [Balancer(self, lambda server: server["http"], [hedging]),
                          Balancer(self, lambda server: server["grpc"], [hedging, "--health-type=kserve"]),
                          Balancer(self, lambda server: server["http"], [hedging])]
        self.mortal = self.balancers[2]
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

    # What happens to the third balancer.
    def kill_balancer(self, *_):
        self.mortal.dying = True
        self.mortal.process.kill()
        self.mortal.process.wait()
        self.mortal.kills += 1
        self.mortal.dying = False
        self.mortal.start()
        self.until(lambda: all(peer["state"] == "up" for peer in self.mortal.peers().values()), "the balancer has found its servers")

    def roll_balancer(self, *_):
        self.mortal.process.send_signal(signal.SIGTERM)
        if self.mortal.process.wait(60) != 0:
            raise RuntimeError("the balancer did not drain in time")
        self.mortal.start()
        self.until(lambda: all(peer["state"] == "up" for peer in self.mortal.peers().values()), "the balancer has found its servers")

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
        self.http, self.grpc, self.mortal = fleet.balancers
        self.stopping = threading.Event()
        self.failures, self.counts = [], {"turns": 0, "turns refused": 0, "turns lost in a killed balancer": 0}
        self.counting = threading.Lock()
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
        self.go = subprocess.Popen([str(ROOT / ".cache/clients/go_client"), "-load", f"-address={self.grpc.address}"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        clients = [(self.run, "tritonclient HTTP", tritonclient.http, self.http), (self.run, "tritonclient gRPC", tritonclient.grpc, self.grpc)]
        clients += [(self.take_turns, content, json_size)] * TURN_TAKERS
        self.threads = [threading.Thread(target=self.work, args=client, daemon=True) for client in clients]
        for thread in self.threads:
            thread.start()

    def work(self, client, *arguments):
        try:
            client(*arguments)
        except Exception as error:  # A client that ends early has seen less than it should.
            self.failures.append(f"{client.__name__} ended: {error!r}")

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

    def count(self, what):
        with self.counting:
            self.counts[what] += 1

    def take_turns(self, content, json_size):
        """Requests to one balancer and the other, each on one connection that is kept; nothing is sent twice."""
        connections = {}
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            balancer = (self.http, self.mortal)[turn % 2]
            kills = balancer.kills
            connection = connections.get(balancer)
            if connection is None:
                connection = http.client.HTTPConnection(balancer.address, timeout=60)
                try:
                    connection.connect()
                except ConnectionError as error:
                    if isinstance(error, ConnectionRefusedError) or balancer.kills > kills or balancer.dying:
                        self.count("turns refused")
                    else:
                        self.failures.append(f"turns: {error!r} instead of a connection")
                    continue
                connections[balancer] = connection
            elif connection.sock is None or select.select([connection.sock], [], [], 0)[0]:
                connections.pop(balancer).close()  # Closed by its balancer, as every client looks before it sends.
                continue
            self.count("turns")
            try:
                connection.request("POST", "/v2/models/echo/infer", content, {"Inference-Header-Content-Length": str(json_size)})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(f"turns: {answer.status}")
                if answer.will_close:
                    del connections[balancer]
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                del connections[balancer]
                # Killed in the meantime.
                if balancer.kills > kills or balancer.dying:
                    self.count("turns lost in a killed balancer")
                else:
                    self.failures.append(f"turns: {error!r} of {'the mortal' if balancer is self.mortal else 'the first'} balancer")

    def answered(self):
        return sum(balancer.state()["requests"] for balancer in (self.http, self.grpc))

    def stop(self):
        """What every client has counted, and its failures."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        seen = json.loads(self.go.communicate("", timeout=90)[0])
        self.failures += seen.pop("failures")
        self.counts.update({f"grpc-go {name}": count for name, count in seen.items()})
        self.wrk.send_signal(signal.SIGINT)
        text = self.wrk.communicate(timeout=60)[0]
        self.counts["wrk"] = int(re.search(r"(\d+) requests in", text).group(1))
        self.failures += [f"wrk: {line.strip()}" for line in text.splitlines() if re.search("Non-2xx|Socket errors", line)]
        if self.h2load.poll() is not None:
            self.failures.append("h2load has ended before its time")
        self.h2load.kill()  # It has no other end; the balancer has the account of what it sent.
        self.h2load.wait()
        return self.counts, self.failures


def run(rounds, requests, frozen_seconds, seed, hedge_after="off", say=print):
    """What happened, and what failed; more rounds than asked for when the requests are too few."""
    dice = random.Random(seed)
    fleet = Fleet(hedge_after)
    try:
        clients = Load(fleet)
        done = 0
        while done < rounds or clients.answered() < requests:
            done += 1
            for event in dice.sample(EVENTS, len(EVENTS)):
                server = dice.choice(fleet.servers)
                started = time.monotonic()
                getattr(fleet, event)(server, frozen_seconds)
                what = event.replace("_", " the ") if event.endswith("balancer") else f"{event} {server['http']}"
                say(f"round {done}: {what} in {time.monotonic() - started:.1f} s; "
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
                             ("requests", "responses", "failed", "broken_off", "client_gone", "retries", "hedges")}
            good, gone = state["responses"][1], state["client_gone"]
            lost = counts["grpc-go streams_lost"] if name == "gRPC" else 0
            if good + gone + lost != state["requests"]:
                failures.append(f"{name} balancer: {state['requests']} requests, {good} answered well, {gone} given up by clients, "
                                f"{lost} streams lost")
        # Of what cannot be saved there is no more than was cut.
        if counts["turns lost in a killed balancer"] > TURN_TAKERS * fleet.mortal.kills:
            failures.append(f"{fleet.mortal.kills} kills of a balancer with {TURN_TAKERS} clients: {counts}")
        cuts = done * len([event for event in EVENTS if not event.endswith("balancer")])
        if counts["grpc-go streams_lost"] > 2 * cuts:
            failures.append(f"{cuts} servers went, with at most 2 streams: {counts}")
        return counts, account, failures
    finally:
        fleet.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--frozen-seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--hedge-after", default="off", help="of the balancers")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    counts, account, failures = run(options.rounds, options.requests, options.frozen_seconds, options.seed, options.hedge_after)
    print("clients:", json.dumps(counts))
    for name, numbers in account.items():
        print(f"{name} balancer:", json.dumps(numbers))
    for failure in failures[:20]:
        print("FAILED", failure)
    print(f"{sum(numbers['requests'] for numbers in account.values())} requests, {len(failures)} failures")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
