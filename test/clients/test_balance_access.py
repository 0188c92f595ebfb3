"""tepal balance as a process: who may send requests, what is written down of them, and where a hash leads them."""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import queue
import signal
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import grpc
import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from server import Server
from stack import TEPAL, free_ports, stop, wait_for

SECRET = b"0123456789abcdef0123456789abcdef"
TOKEN = "token-of-ann-0123456789"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Mirror:
    """A server that answers with its name and the headers that it got."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = json.dumps({"name": name, "headers": {key.lower(): value for key, value in self.headers.items()}}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def web_token(algorithm="HS256", **claims):
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": algorithm}, {"exp": time.time() + 600} | claims))
    return f"{text}.{base64url(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}"


class BalanceAccessTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.mirrors = [Mirror(name) for name in "abc"]
        front, admin = free_ports(2)
        self.front, self.admin = f"http://127.0.0.1:{front}", f"http://127.0.0.1:{admin}"
        self.output = open(self.path / "output", "w+")

    def start(self, name, text, *flags):
        (self.path / name).write_text(text)
        self.process = subprocess.Popen([str(TEPAL), "balance", *flags, str(self.path / name)], stdout=self.output, stderr=subprocess.STDOUT)
        wait_for(f"{self.front}/v2/health/ready", self.process)

    def tearDown(self):
        self.assertEqual(stop(self.process), 0)
        self.output.seek(0)
        self.assertNotIn(TOKEN, self.output.read())
        self.output.close()
        for mirror in self.mirrors:
            mirror.close()
        self.folder.cleanup()

    def ask(self, path="/v2/models/m", **headers):
        request = urllib.request.Request(self.front + path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.loads(error.read())

    def lines(self, path, count):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            lines = [line for line in lines if not line["path"].startswith("/v2/health")]
            if len(lines) >= count:
                return lines
            time.sleep(0.05)
        self.fail(f"{path.name} has not {count} lines")

    def test_tokens_ids_traces_and_the_log(self):
        (self.path / "users").write_text(f"ann {TOKEN}\n")
        (self.path / "keys").write_text(json.dumps({"keys": [{"kty": "oct", "k": base64url(SECRET)}]}))
        log = self.path / "access.log"
        endpoints = ", ".join(f"{{address: '{mirror.address}'}}" for mirror in self.mirrors)
        self.start("balance.yaml", f"listeners: [{{address: '{self.front[7:]}'}}]\nadmin: {{address: '{self.admin[7:]}'}}\n"
                   f"access_log: {log}\npools: {{p: {{endpoints: [{endpoints}], auth: {{tokens_file: {self.path}/users, "
                   f"jwt: {{keys_file: {self.path}/keys, audience: tepal}}}}}}}}\n", "--config")
        status, headers, body = self.ask(traceparent=TRACE, tracestate="a=1,b=2", x_request_id="mine-1", authorization=f"Bearer {TOKEN}")
        self.assertEqual((status, headers["x-request-id"]), (200, "mine-1"))
        seen = body["headers"]
        self.assertEqual((seen["traceparent"], seen["tracestate"], seen["x-request-id"]), (TRACE, "a=1,b=2", "mine-1"))
        self.assertNotIn("authorization", seen)
        status, headers, body = self.ask("/v2/models/m?key=hidden", authorization=f"Bearer {web_token(aud='tepal', sub='bob')}")
        self.assertEqual(status, 200)
        self.assertEqual(headers["x-request-id"], body["headers"]["x-request-id"])
        for token in (None, "Bearer wrong", f"Bearer {web_token()}", f"Bearer {web_token(aud='tepal', exp=1)}", f"Bearer {web_token('none', aud='tepal')}"):
            status, headers, body = self.ask(**({} if token is None else {"authorization": token}))
            self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"), token)
        lines = self.lines(log, 7)
        self.assertEqual([line["status"] for line in lines], [200, 200] + [401] * 5)
        first = lines[0]
        self.assertEqual((first["request_id"], first["traceparent"], first["user"], first["method"], first["path"], first["model"], first["upstream"]),
                         ("mine-1", TRACE, "ann", "GET", "/v2/models/m", "m", "p"))
        self.assertIn(first["tries"][0]["endpoint"], [mirror.address for mirror in self.mirrors])
        self.assertGreater(first["bytes_sent"], 0)
        self.assertEqual(lines[1]["user"], "bob")
        self.assertEqual(lines[2]["tries"], [])
        text = log.read_text()
        for secret in (TOKEN, "hidden", "wrong"):
            self.assertNotIn(secret, text)
        # Another list counts soon, and a renamed log is left behind.
        log.rename(self.path / "old.log")
        self.process.send_signal(signal.SIGUSR1)
        (self.path / "users").write_text("eve another-token-0123456789\n")
        end = time.monotonic() + 60
        while self.ask(authorization=f"Bearer {TOKEN}")[0] != 401:
            self.assertLess(time.monotonic(), end)
        self.ask(x_request_id="last")
        while not any(line["request_id"] == "last" for line in self.lines(log, 1)):
            self.assertLess(time.monotonic(), end)
        self.assertNotIn("last", (self.path / "old.log").read_text())
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=60) as page:
            metrics = page.read().decode()
        self.assertIn("tepal_balancer_access_log_dropped_total 0", metrics)
        self.assertIn('tepal_balancer_unauthorized_total{upstream="p"}', metrics)

    def test_over_grpc_a_client_sees_unauthenticated(self):
        (self.path / "users").write_text(f"ann {TOKEN}\n")
        server = Server()
        self.addCleanup(server.stop)
        http = server.http.replace("localhost", "127.0.0.1")
        self.start("balance.yaml", f"listeners: [{{address: '{self.front[7:]}'}}]\nadmin: {{enabled: false}}\npools: {{p: {{endpoints: "
                   f"[{{address: '{http}', grpc_port: {server.grpc.split(':')[1]}}}], auth: {{tokens_file: {self.path}/users}}}}}}\n", "--config")
        right, wrong = {"authorization": f"Bearer {TOKEN}"}, {"authorization": "Bearer token-of-nobody-0123456"}
        values = np.array([[1, 2]], np.float32)
        sent = grpcclient.InferInput("INPUT0", [1, 2], "FP32")
        sent.set_data_from_numpy(values)
        with grpcclient.InferenceServerClient(self.front[7:]) as client:
            self.assertTrue(client.is_server_ready())  # Probes have no tokens.
            np.testing.assert_array_equal(client.infer("echo", [sent], headers=right).as_numpy("OUTPUT0"), values)
            self.assertEqual(client.get_inference_statistics("echo", headers=right).model_stats[0].name, "echo")
            # Of one replica, also for a client that sees no trailers.
            named = client.get_inference_statistics("echo", headers=right | {"tepal-endpoint": http})
            self.assertEqual([model.inference_count for model in named.model_stats], [1])
            with self.assertRaisesRegex(InferenceServerException, "no endpoint 'other' is up"):
                client.get_inference_statistics("echo", headers=right | {"tepal-endpoint": "other"})
            calls = {"infer": lambda headers: client.infer("echo", [sent], headers=headers), "metadata": lambda headers: client.get_server_metadata(headers=headers),
                     "statistics": lambda headers: client.get_inference_statistics(headers=headers),
                     "index": lambda headers: client.get_model_repository_index(headers=headers)}
            for name, call in calls.items():
                for headers, why in ((None, "a bearer token is needed"), (wrong, "the token is not known")):
                    with self.assertRaises(InferenceServerException) as refused:
                        call(headers)
                    self.assertEqual((refused.exception.status(), refused.exception.message()), ("StatusCode.UNAUTHENTICATED", why), name)
            # A stream is refused as a whole.
            results = queue.Queue()
            client.start_stream(lambda result, error: results.put(error), headers=wrong)
            error = results.get(timeout=60)
            self.assertIn("the token is not known", str(error))
            client.stop_stream()
        with grpc.insecure_channel(self.front[7:]) as channel, self.assertRaises(grpc.RpcError) as refused:
            _, call = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics").with_call(
                b"", timeout=60, metadata=[("tepal-per-replica", "true"), *right.items()])
            self.assertEqual(dict(call.trailing_metadata())["tepal-entries"], f"127.0.0.1:{server.grpc.split(':')[1]}=1")
            list(channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(iter([b""]), timeout=60))
        self.assertEqual((refused.exception.code().value[0], refused.exception.details()), (16, "a bearer token is needed"))

    def test_a_hash_of_an_nginx_conf_keeps_keys_together(self):
        servers = " ".join(f"server {mirror.address};" for mirror in self.mirrors)
        self.start("nginx.conf", f"upstream u {{ zone u 64k; hash $request_uri consistent; {servers} }}\n"
                   f"match up {{ status 200-299; header server; body ~ name; }}\n"
                   f"server {{ listen {self.front[7:]}; location / {{ proxy_pass http://u; health_check uri=/v2 match=up interval=200ms; }} }}\n"
                   f"server {{ listen {self.admin[7:]}; location /api {{ api write=on; }} }}\n", "--nginx-conf")
        where = lambda: [self.ask(f"/v2/models/m{key}")[2]["name"] for key in range(30)]  # noqa: E731
        end = time.monotonic() + 60
        while True:  # Until all three have passed their first check.
            with urllib.request.urlopen(f"{self.admin}/api/9/http/upstreams/u", timeout=60) as answer:
                peers = json.load(answer)["peers"]
            if all(peer["state"] == "up" for peer in peers):
                break
            self.assertLess(time.monotonic(), end, peers)
        before = where()
        self.assertEqual(set(before), set("abc"))
        self.assertEqual(where(), before)
        gone = next(peer for peer in peers if peer["server"] == self.mirrors[0].address)
        request = urllib.request.Request(f"{self.admin}/api/9/http/upstreams/u/servers/{gone['id']}", method="PATCH", data=b'{"down": true}',
                                         headers={"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()
        for was, now in zip(before, where()):
            self.assertTrue(now == was if was != "a" else now != "a", (was, now))


if __name__ == "__main__":
    unittest.main()
