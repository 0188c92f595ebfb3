"""A request that is hedged over real servers: the one that lost leaves the queue of its server before it is executed."""
import json
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

import numpy as np
import tritonclient.grpc

from server import Server, delay
from stack import TEPAL, free_ports, stop, wait_for

TAKES_MS = 500
BODY = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]}).encode()


def ask(url, body=None):
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
        return answer.read()


def port_of(address):
    return address.split(":")[1]


def infer_over_http(address):
    return json.loads(ask(f"http://{address}/v2/models/slow/infer", BODY))["outputs"][0]["data"]


def infer_over_grpc(address):
    client = tritonclient.grpc.InferenceServerClient(address)
    tensor = tritonclient.grpc.InferInput("INPUT0", [1, 1], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 1), np.float32))
    values = client.infer("slow", [tensor]).as_numpy("OUTPUT0").reshape(-1).tolist()
    client.close()
    return values


class Hedging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.servers = []
        for _ in range(2):
            cls.servers.append(Server(models={"slow": delay(TAKES_MS)}))
            cls.addClassCleanup(cls.servers[-1].stop)
        front, admin = free_ports(2)
        cls.front, cls.admin, cls.log = f"127.0.0.1:{front}", f"http://127.0.0.1:{admin}", pathlib.Path(cls.folder.name) / "access"
        endpoints = [f"--endpoint=127.0.0.1:{port_of(server.http)},grpc={port_of(server.grpc)}" for server in cls.servers]
        balancer = subprocess.Popen([str(TEPAL), "balance", f"--listen={cls.front}", f"--admin=127.0.0.1:{admin}", f"--access-log={cls.log}",
                                     "--hedge-after=100ms", "--hedge-share=1", *endpoints])
        cls.addClassCleanup(stop, balancer)
        wait_for(f"http://{cls.front}/v2/health/ready", balancer)

    def hedges(self):
        return json.loads(ask(f"{self.admin}/api/tepal/state"))["hedges"]

    def executed(self, server):
        return server.metric("nv_inference_request_success", 'model="slow",version="1"')

    def lose(self, infer):
        """The first server has a second of work from elsewhere: whichever gets the first try, the other server's is the answer."""
        busy, before, hedges = self.servers[0], self.servers[0].cancelled("slow"), self.hedges()
        executed = self.executed(busy)
        blockers = [threading.Thread(target=infer_over_http, args=(busy.http,)) for _ in range(2)]
        for blocker in blockers:
            blocker.start()
        busy.wait_until(lambda: busy.in_flight("slow") == 2, "it is busy")
        began = time.monotonic()
        self.assertEqual(infer(self.front), [1.0])
        self.assertLess(time.monotonic() - began, 2 * TAKES_MS / 1000)
        busy.wait_until(lambda: busy.cancelled("slow") == before + 1, "the loser is cancelled", limit_s=TAKES_MS / 1000)
        for blocker in blockers:
            blocker.join()
        self.assertEqual(self.executed(busy), executed + 2)  # And no more.
        self.assertEqual(self.hedges()["sent"], hedges["sent"] + 1)
        busy.wait_until(lambda: len(self.logged()) == hedges["sent"] + 1, "it is logged")
        ports = [port_of(server.grpc if infer is infer_over_grpc else server.http) for server in self.servers]
        self.assertEqual([port_of(one["endpoint"]) for one in self.logged()[-1]["tries"]], ports)  # The one that answered is the last.

    def logged(self):
        return [line for line in map(json.loads, self.log.read_text().splitlines()) if line.get("hedged")]

    def test_over_http(self):
        self.lose(infer_over_http)

    def test_over_grpc(self):
        self.lose(infer_over_grpc)


if __name__ == "__main__":
    unittest.main()
