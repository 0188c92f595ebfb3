"""Rolling the certificate, and draining one of two servers, while clients keep their connections busy: no request fails.

The clients do what real ones do: HTTP/1.1 with keep-alive, which connects anew when told `Connection: close` and sends again what
a server closed before it answered; and grpcio's channels over two addresses, which move when they are told to go away.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import tempfile
import threading
import time
import unittest

import grpc
import numpy as np
import tritonclient.grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from certificates import Authority
from server import IDENTITY, Server, delay

ROLLS = 4
BODY = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]})


class Load:
    """Threads that send until stopped; failures are kept."""

    def __init__(self):
        self.stopping = threading.Event()
        self.failures, self.threads, self.counts, self.lock = [], [], {}, threading.Lock()

    def start(self, name, send):
        def run():
            while not self.stopping.is_set():
                try:
                    send()
                except Exception as error:  # Whatever it is, it is a request that failed.
                    self.failures.append(f"{name}: {error!r}")
                    if len(self.failures) > 20:
                        return
                else:
                    with self.lock:
                        self.counts[name] = self.counts.get(name, 0) + 1
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def count(self, name):
        with self.lock:
            return self.counts.get(name, 0)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)


class KeptAlive:
    """One HTTP/1.1 client over several addresses: stays with one connection as long as the server keeps it."""

    def __init__(self, addresses, context, model="echo"):
        self.addresses, self.context, self.path = addresses, context, f"/v2/models/{model}/infer"
        self.connection, self.connected, self.closed_early = None, 0, 0

    def connect(self):
        for address in self.addresses:
            host, port = address.split(":")
            connection = http.client.HTTPSConnection(host, int(port), context=self.context, timeout=20)
            try:
                connection.connect()
            except ConnectionRefusedError:
                continue  # That server has gone.
            self.connection, self.connected = connection, self.connected + 1
            return
        raise ConnectionRefusedError("no server")

    def __call__(self):
        for _ in range(3):
            fresh = self.connection is None
            if fresh:
                self.connect()
            try:
                self.connection.request("POST", self.path, BODY)
                answer = self.connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                # Closed before a byte of the answer: RFC 9112 section 9.3.1 has the client send it again.
                self.connection = None
                self.closed_early += 1
                continue
            body = answer.read()
            if answer.will_close:
                self.connection = None
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {body!r}")
            return
        raise RuntimeError("closed three times before an answer")


class Rolling(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        folder = pathlib.Path(self.scratch.name)
        self.authority = Authority(folder)
        self.live = folder / "live.pem", folder / "live.key"
        self.install("first")
        self.context = ssl.create_default_context(cafile=self.authority.certificate)
        self.load = Load()
        self.addCleanup(self.load.stop)

    def install(self, name):
        for made, live in zip(self.authority.issue(name), self.live):
            shutil.copy(made, f"{live}.new")
            os.replace(f"{live}.new", live)

    def serve(self):
        flags = ["--tls-reload-secs=0"]
        for door in ("http", "grpc"):
            flags += [f"--{door}-use-ssl=true", f"--{door}-server-cert={self.live[0]}", f"--{door}-server-key={self.live[1]}"]
        server = Server(*flags, models={"echo": IDENTITY, "slow": delay(40)})
        self.addCleanup(server.stop)
        return server

    def channel(self, address):
        credentials = grpc.ssl_channel_credentials(self.authority.certificate.read_bytes())
        channel = grpc.secure_channel(address, credentials, options=[("grpc.lb_policy_name", "round_robin"), ("grpc.use_local_subchannel_pool", 1),
                                                                 ("grpc.ssl_target_name_override", "localhost")])
        self.addCleanup(channel.close)
        return channel

    def infer_by(self, channel, model):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name=model)
        tensor = request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 2])
        tensor.contents.fp32_contents.extend([1, 2])
        return lambda: stub.ModelInfer(request, timeout=20, wait_for_ready=True)

    def progress(self, names, more):
        """Waits until each of the clients has had that many answers more."""
        goals = {name: self.load.count(name) + more for name in names}
        until = time.monotonic() + 20
        while any(self.load.count(name) < goal for name, goal in goals.items()):
            self.assertFalse(self.load.failures)
            self.assertLess(time.monotonic(), until, (goals, self.load.counts))
            time.sleep(0.01)

    def test_rolling_the_certificate_fails_no_request(self):
        server = self.serve()
        lasting = KeptAlive([server.http], self.context)
        self.load.start("http kept alive", lasting)

        def anew():
            client = KeptAlive([server.http], self.context)
            client()
            client.connection.close()
        self.load.start("http anew", anew)
        client = tritonclient.grpc.InferenceServerClient(server.grpc, ssl=True, root_certificates=str(self.authority.certificate))
        tensor = tritonclient.grpc.InferInput("INPUT0", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2]], dtype=np.float32))
        self.load.start("grpc", lambda: client.infer("echo", [tensor], client_timeout=20))

        def channel_anew():
            with tritonclient.grpc.InferenceServerClient(
                    server.grpc, ssl=True, root_certificates=str(self.authority.certificate),
                    channel_args=[("grpc.use_local_subchannel_pool", 1)]) as short:
                short.infer("echo", [tensor], client_timeout=20)
        self.load.start("grpc anew", channel_anew)
        names = ["http kept alive", "http anew", "grpc", "grpc anew"]
        self.progress(names, 5)
        for roll in range(1, ROLLS + 1):
            self.install(f"roll{roll}")
            server.process.send_signal(signal.SIGHUP)
            server.wait_until(lambda: server.log().count("Loaded the certificate of") == 2 * roll, "the certificates are loaded")
            self.progress(names, 5)
        self.load.stop()
        self.assertEqual(self.load.failures, [])
        self.assertEqual((lasting.connected, lasting.closed_early), (1, 0))  # Its connection outlived every roll.
        print(f"\nrolled the certificate {ROLLS} times: {self.load.counts} answers, 0 failed")

    def test_draining_one_of_two_servers_fails_no_request(self):
        first, second = self.serve(), self.serve()
        clients = [KeptAlive([first.http, second.http], self.context, model) for model in ("echo", "slow", "slow")]
        for i, client in enumerate(clients):
            self.load.start(f"http {i}", client)
        ports = ",".join(f"127.0.0.1:{s.grpc.split(':')[1]}" for s in (first, second))
        for i, model in enumerate(("echo", "slow", "slow")):
            self.load.start(f"grpc {i}", self.infer_by(self.channel(f"ipv4:{ports}"), model))
        names = [f"{kind} {i}" for kind in ("http", "grpc") for i in range(3)]
        self.progress(names, 10)
        self.assertEqual(first.stop(), 0)  # SIGTERM: drains, and ends by itself.
        self.progress(names, 10)  # All go on with the other.
        self.load.stop()
        self.assertEqual(self.load.failures, [])
        for client in clients:
            self.assertGreaterEqual(client.connected, 2)
        print(f"\ndrained one of two servers: {self.load.counts} answers, 0 failed, {sum(c.closed_early for c in clients)} sent again")


if __name__ == "__main__":
    unittest.main()
