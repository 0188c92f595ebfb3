"""Seven equal servers behind `tepal balance`: how evenly one HTTP connection and one gRPC channel are spread over them, and a newcomer.

Judged by what each server has counted, and never by time.
"""
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import numpy as np
import tritonclient.grpc

from stack import ROOT, TEPAL, free_ports, stop, wait_for

sys.path.insert(0, str(ROOT / "test/clients"))

from server import IDENTITY  # noqa: E402

SERVERS = 7
REQUESTS = 1400
BODY = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]})


def ask(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or "null"), answer.headers


class BalancerSpreadTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.processes, cls.servers = [], []
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.close)
        path = pathlib.Path(cls.folder.name)
        (path / "models/echo/1").mkdir(parents=True)
        (path / "models/echo/config.pbtxt").write_text(IDENTITY)
        cls.log = open(path / "log", "wb")
        taken = free_ports(3 * (SERVERS + 1) + 2)
        front, admin = taken[-2:]
        for i in range(SERVERS + 1):
            ports = taken[3 * i:3 * i + 3]
            cls.processes.append(cls.start("serve", f"--model-repository={path}/models", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
                                           f"--http-port={ports[0]}", f"--grpc-port={ports[1]}", f"--metrics-port={ports[2]}",
                                           "--http-thread-count=1"))
            cls.servers.append(ports[:2])
        for process, (port, _) in zip(cls.processes, cls.servers):
            wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        cls.front, cls.admin = f"127.0.0.1:{front}", f"http://127.0.0.1:{admin}"
        endpoints = [f"--endpoint=127.0.0.1:{h},grpc={g}" for h, g in cls.servers[:SERVERS]]
        cls.processes.append(cls.start("balance", f"--listen={cls.front}", f"--admin=127.0.0.1:{admin}", *endpoints))
        wait_for(f"{cls.admin}/api/9/nginx", cls.processes[-1])
        cls.wait_up(SERVERS)

    @classmethod
    def close(cls):
        for process in reversed(cls.processes):
            stop(process)
        cls.log.close()
        cls.folder.cleanup()

    @classmethod
    def start(cls, *arguments):
        return subprocess.Popen([str(TEPAL), *arguments], stdout=cls.log, stderr=subprocess.STDOUT)

    @classmethod
    def wait_up(cls, count):
        while True:
            peers = ask(f"{cls.admin}/api/9/http/upstreams/tepal")[0]["peers"]
            if sum(peer["state"] == "up" for peer in peers) == count:
                return
            time.sleep(0.05)

    def counts(self):
        counted = []
        for port, _ in self.servers:
            statistics, _ = ask(f"http://127.0.0.1:{port}/v2/models/echo/stats")
            counted.append(statistics["model_stats"][0]["inference_count"])
        return counted

    def sent(self, send):
        before = self.counts()
        send()
        return [after - count for after, count in zip(self.counts(), before)]

    def over_http(self):
        connection = http.client.HTTPConnection(self.front)
        for _ in range(REQUESTS):
            connection.request("POST", "/v2/models/echo/infer", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200, answer.read())
            answer.read()
            self.assertIsNone(answer.getheader("tepal-load"))
        connection.close()

    def over_grpc(self):
        client = tritonclient.grpc.InferenceServerClient(self.front)
        tensor = tritonclient.grpc.InferInput("INPUT0", [1, 1], "FP32")
        tensor.set_data_from_numpy(np.ones((1, 1), np.float32))
        for _ in range(REQUESTS):
            client.infer("echo", [tensor])
        client.close()

    def test_one_connection_reaches_all_evenly(self):
        for send in (self.over_http, self.over_grpc):
            counted = self.sent(send)
            with self.subTest(send.__name__, counted=counted):
                self.assertEqual(sum(counted), REQUESTS)
                for count in counted[:SERVERS]:
                    self.assertAlmostEqual(count, REQUESTS / SERVERS, delta=REQUESTS / SERVERS * 0.05)

    def test_statistics_are_those_of_all(self):
        self.over_http()
        merged, headers = ask(f"http://{self.front}/v2/models/echo/stats")
        self.assertEqual(merged["model_stats"][0]["inference_count"], sum(self.counts()))
        self.assertEqual(headers["tepal-replicas"], f"{len(self.up())} of {len(self.up())}")
        each, _ = ask(f"http://{self.front}/v2/models/echo/stats?per_replica=true")
        self.assertEqual(sorted(replica["endpoint"] for replica in each["replicas"]), sorted(self.up()))

    def test_z_a_newcomer_gets_its_share(self):
        ask(f"{self.admin}/api/9/http/upstreams/tepal/servers", "POST", {"server": f"127.0.0.1:{self.servers[-1][0]}"})
        self.wait_up(SERVERS + 1)
        counted = self.sent(self.over_http)
        share = REQUESTS / (SERVERS + 1)
        for count in counted:
            self.assertAlmostEqual(count, share, delta=share * 0.05, msg=str(counted))

    def up(self):
        return [peer["server"] for peer in ask(f"{self.admin}/api/9/http/upstreams/tepal")[0]["peers"] if peer["state"] == "up"]


if __name__ == "__main__":
    unittest.main()
