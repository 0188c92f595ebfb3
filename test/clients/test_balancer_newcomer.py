"""An eighth server behind seven, added by a file and by the API while one HTTP connection and one gRPC channel never pause: what it
carries from two seconds later on.

Judged by what each server has counted over so many requests. Only the two seconds are time; a machine that is too busy to check the
newcomer's health within them has until it is up.
"""
import contextlib
import http.client
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

import numpy as np
import tritonclient.grpc

from server import IDENTITY
from stack import TEPAL, free_ports, stop, wait_for
from test_balancer_spread import BODY, ask

SERVERS = 7
WINDOW = 1600  # Requests, of both kinds together.
FREE_S = 2
# A server that gets no processor for a moment is not to be left out: what is measured is the spread.
PATIENT = "ejection: {enabled: false}, health_check: {fails: 20, time_max: 20s"


class Traffic:
    """Requests one after the other over one HTTP connection and over one gRPC channel, at once."""

    def __init__(self, over_http, over_grpc):
        self.http, self.grpc = http.client.HTTPConnection(over_http, timeout=30), tritonclient.grpc.InferenceServerClient(over_grpc)
        self.tensor = tritonclient.grpc.InferInput("INPUT0", [1, 1], "FP32")
        self.tensor.set_data_from_numpy(np.ones((1, 1), np.float32))
        self.going, self.failures = True, []
        self.answered, self.gates = [0, 0], [threading.Lock(), threading.Lock()]
        self.threads = [threading.Thread(target=self.run, args=(i, send)) for i, send in enumerate((self.send_http, self.send_grpc))]
        for thread in self.threads:
            thread.start()

    def send_http(self):
        self.http.request("POST", "/v2/models/echo/infer", BODY, {"Content-Type": "application/json"})
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {text}")

    def send_grpc(self):
        self.grpc.infer("echo", [self.tensor])

    def run(self, number, send):
        while self.going and not self.failures:
            with self.gates[number]:
                try:
                    send()
                except Exception as error:  # Whatever it is, the test says it.
                    self.failures.append(repr(error))
                self.answered[number] += 1

    @contextlib.contextmanager
    def paused(self):
        with self.gates[0], self.gates[1]:
            yield

    def wait(self, more):
        until = sum(self.answered) + more
        while sum(self.answered) < until and not self.failures:
            time.sleep(0.01)

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(60)
        self.http.close()
        self.grpc.close()


class Newcomer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        (self.path / "models/echo/1").mkdir(parents=True)
        (self.path / "models/echo/config.pbtxt").write_text(IDENTITY)
        self.log = open(self.path / "log", "w+b")
        self.addCleanup(self.log.close)
        taken = free_ports(3 * (SERVERS + 1))
        self.servers = [taken[3 * i:3 * i + 2] for i in range(SERVERS + 1)]
        started = [self.start("serve", f"--model-repository={self.path}/models", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
                              f"--http-port={taken[3 * i]}", f"--grpc-port={taken[3 * i + 1]}", f"--metrics-port={taken[3 * i + 2]}",
                              "--http-thread-count=1") for i in range(SERVERS + 1)]
        for process, (port, _) in zip(started, self.servers):
            wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)

    def start(self, *arguments):
        process = subprocess.Popen([str(TEPAL), *arguments], stdout=self.log, stderr=subprocess.STDOUT)
        self.addCleanup(stop, process)
        return process

    def balance(self, pools, listeners):
        """The addresses of `listeners`, which name their pools."""
        ports = free_ports(len(listeners) + 1)
        fronts = [f"127.0.0.1:{port}" for port in ports]
        self.admin = f"http://{fronts.pop()}"
        file = self.path / "balance.yaml"
        file.write_text(f"admin: {{address: '{self.admin[7:]}'}}\npools:\n{pools}listeners:\n"
                        + "".join(f"  - {{address: '{front}', pool: {pool}}}\n" for front, pool in zip(fronts, listeners)))
        process = self.start("balance", "--config", str(file))
        wait_for(f"{self.admin}/api/9/nginx", process)
        return fronts

    def wait_up(self, upstream, count):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            peers = ask(f"{self.admin}/api/9/http/upstreams/{upstream}")[0]["peers"]
            if sum(peer["state"] == "up" for peer in peers) == count:
                return
            time.sleep(0.02)
        self.fail(f"{upstream}: not {count} up within 30 s: {peers}")

    def counts(self, traffic):
        with traffic.paused():
            return [ask(f"http://127.0.0.1:{port}/v2/models/echo/stats")[0]["model_stats"][0]["inference_count"] for port, _ in self.servers]

    def window(self, traffic):
        before = self.counts(traffic)
        traffic.wait(WINDOW)
        return [after - count for after, count in zip(self.counts(traffic), before)]

    def check_even(self, counted, servers):
        share = sum(counted) / servers
        for count in counted[:servers]:
            self.assertAlmostEqual(count, share, delta=share * 0.1, msg=str(counted))

    def check(self, fronts, upstreams, add):
        for upstream in upstreams:
            self.wait_up(upstream, SERVERS)
        traffic = Traffic(*fronts)
        self.addCleanup(traffic.stop)
        counted = self.window(traffic)
        self.check_even(counted, SERVERS)
        self.assertEqual(counted[-1], 0)
        add()
        changed = time.monotonic()
        for upstream in upstreams:
            self.wait_up(upstream, SERVERS + 1)
        time.sleep(max(0, changed + FREE_S - time.monotonic()))
        self.check_even(self.window(traffic), SERVERS + 1)
        self.assertEqual(traffic.failures, [])

    def test_by_a_file(self):
        file = self.path / "endpoints.yaml"

        def write(count):
            lines = [f"  - {{address: '127.0.0.1:{port}', grpc_port: {grpc}}}\n" for port, grpc in self.servers[:count]]
            file.with_suffix(".new").write_text("endpoints:\n" + "".join(lines))
            file.with_suffix(".new").rename(file)

        write(SERVERS)
        (front,) = self.balance(f"  main: {{{PATIENT}}}, endpoints_file: '{file}'}}\n", ["main"])
        self.check([front, front], ["main"], lambda: write(SERVERS + 1))

    def test_by_the_api(self):
        pools = "".join(f"  {name}: {{{PATIENT}, type: {kind}}}, endpoints: ["
                        + ", ".join(f"{{address: '127.0.0.1:{ports[index]}'}}" for ports in self.servers[:SERVERS]) + "]}\n"
                        for index, (name, kind) in enumerate((("http", "http"), ("calls", "grpc"))))

        def add():
            for index, upstream in enumerate(("http", "calls")):
                ask(f"{self.admin}/api/9/http/upstreams/{upstream}/servers", "POST", {"server": f"127.0.0.1:{self.servers[-1][index]}"})

        self.check(self.balance(pools, ["http", "calls"]), ["http", "calls"], add)


if __name__ == "__main__":
    unittest.main()
