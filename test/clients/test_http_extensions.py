"""What the HTTP door has beyond the v2 protocol's core: models in requests, load reports, timing, clients that go away."""
import base64
import json
import pathlib
import re
import socket
import struct
import tempfile
import unittest
import urllib.error
import urllib.request

import numpy as np
import tritonclient.http as http

from server import IDENTITY, Server, delay

BODY = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}).encode()
CONFIG = json.dumps({"backend": "identity", "max_batch_size": 8,
                     "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [-1]}],
                     "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [-1], "label_filename": "labels.txt"}]})


def frame(kind, flags, payload):
    """Of stream 1, but for SETTINGS."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, 0 if kind == 4 else 1) + payload


def http2_request(path, body):
    fields = {":method": "POST", ":scheme": "http", ":authority": "x", ":path": path, "content-length": str(len(body))}
    block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields.items())
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, b"") + frame(1, 4, block) + frame(0, 1, body)


def ask(address, path, body=None, headers=None):
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", body, headers or {}), timeout=20) as answer:
        return answer.headers, answer.read()


class Extensions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--model-control-mode=explicit", "--load-model=*", models={"echo": IDENTITY, "slow": delay(1500)})

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, code

    def test_load_reports(self):
        headers, _ = ask(self.server.http, "/v2/models/echo/infer", BODY, {"endpoint-load-metrics-format": "text"})
        self.assertRegex(headers["endpoint-load-metrics"],
                         r"^TEXT cpu_utilization=[0-9.e-]+,rps_fractional=[0-9.e-]+,eps=0\.0,named_metrics\.tepal_in_flight=\d+,"
                         r"named_metrics\.tepal_queue_depth=\d+$")
        headers, _ = ask(self.server.http, "/v2/models/echo/infer", BODY, {"endpoint-load-metrics-format": "json"})
        report = json.loads(headers["endpoint-load-metrics"].removeprefix("JSON "))
        self.assertEqual(set(report), {"cpu_utilization", "rps_fractional", "eps", "named_metrics"})
        headers, _ = ask(self.server.http, "/v2/models/echo/infer", BODY)
        self.assertNotIn("endpoint-load-metrics", headers)

    def test_server_timing(self):
        headers, _ = ask(self.server.http, "/v2/models/slow/infer", BODY, {"tepal-timing": "1"})
        parts = dict(re.findall(r"(\w+);dur=(\d+\.\d{3})", headers["server-timing"]))
        self.assertEqual(list(parts), ["receive", "queue", "input", "infer", "output"])
        self.assertGreaterEqual(sum(map(float, parts.values())), 1500)
        headers, _ = ask(self.server.http, "/v2/models/echo/infer", BODY)
        self.assertNotIn("server-timing", headers)

    def test_a_model_comes_in_the_request(self):
        client = http.InferenceServerClient(self.server.http)
        with self.assertRaisesRegex(Exception, "'config' must be"):
            client.load_model("sent", files={"file:1/model.bin": b"x"})
        client.load_model("sent", config=CONFIG, files={"file:1/model.bin": b"x" * 100_000, "file:7/model.bin": b"y", "file:labels.txt": b"daisy\nrose"})
        self.assertEqual(client.get_model_metadata("sent")["versions"], ["7"])  # The newest, as without files.
        tensor = http.InferInput("INPUT0", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2]], dtype=np.float32))
        answer = client.infer("sent", [tensor], outputs=[http.InferRequestedOutput("OUTPUT0", class_count=1)])
        self.assertEqual(answer.as_numpy("OUTPUT0").reshape(-1)[0], b"2.000000:1:rose")
        client.unload_model("sent", unload_dependents=True)
        self.assertFalse(client.is_model_ready("sent"))
        for name, value in (("file:1/x", "*"), ("file:../x", base64.b64encode(b"x").decode())):
            body = json.dumps({"parameters": {"config": CONFIG, name: value}}).encode()
            with self.assertRaises(urllib.error.HTTPError) as refused:
                ask(self.server.http, "/v2/repository/models/sent/load", body)
            self.assertIn(refused.exception.code, (400, 500))
            self.assertIn("file", refused.exception.read().decode())

    def cancelled(self):
        _, page = ask(self.server.metrics, "/metrics")
        return int(re.search(rb'nv_inference_request_failure\{model="slow",reason="CANCELED",version="1"\} (\d+)', page).group(1))

    def drop(self, how, of_second=None):
        """Two requests for a model that takes one at a time; the client of the one that waits goes away."""
        before = self.cancelled()
        request = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        first, second = self.server.connect(), None
        first.sendall(request)
        self.server.wait_until(lambda: b'tepal_inference_in_flight{model="slow",version="1"} 1' in ask(self.server.metrics, "/metrics")[1], "the first is in")
        second = self.server.connect()
        second.sendall(of_second or request)
        self.server.wait_until(lambda: b'nv_inference_pending_request_count{model="slow",version="1"} 1' in ask(self.server.metrics, "/metrics")[1],
                               "the second waits")
        how(second)
        self.server.wait_until(lambda: self.cancelled() == before + 1, "the request is cancelled", limit_s=1.2)
        self.assertTrue(first.recv(100).startswith(b"HTTP/1.1 200 "))
        first.close()
        second.close()

    def test_a_client_that_resets_cancels_its_request(self):
        def reset(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        self.drop(reset)

    def test_a_client_that_closes_cancels_its_request(self):
        self.drop(lambda connection: connection.close())

    def test_a_stream_that_is_reset_cancels_its_request(self):
        cancel = struct.pack(">I", 8)
        self.drop(lambda connection: connection.sendall(frame(3, 0, cancel)), http2_request("/v2/models/slow/infer", BODY))

    def test_a_client_that_has_only_finished_sending_is_answered(self):
        connection = self.server.connect()
        connection.sendall(f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(10_000):
            answer += piece
        connection.close()
        self.assertTrue(answer.startswith(b"HTTP/1.1 102 Processing\r\n\r\n"), answer)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", answer)


class UnixSocket(unittest.TestCase):
    def test_the_door_may_be_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder) / "http")
            server = Server(f"--http-address=unix:{path}", "--metrics-address=127.0.0.1")
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(path)
                connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 OK"))
                connection.close()
            finally:
                self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
