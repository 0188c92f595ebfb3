"""tepal balance from a file: checked, read again on SIGHUP and through the API while clients send, and from an nginx.conf."""
import http.client
import http.server
import json
import pathlib
import signal
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from stack import TEPAL, free_ports, stop, wait_for


class Endpoint:
    """A server that answers every request with its own name; its health check passes."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = name.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

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


class Load:
    """One connection that asks all the time; an answer that is not 200 or a broken connection is a failure."""

    def __init__(self, address):
        self.address, self.seen, self.failures, self.going = address, {}, [], True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=20)
        while self.going:
            try:
                connection.request("GET", "/v2")
                answer = connection.getresponse()
                body = answer.read().decode()
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {body}")
                self.seen[body] = self.seen.get(body, 0) + 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
        connection.close()

    def stop(self):
        self.going = False
        self.thread.join(20)


def ask(url, method="GET", body=None, token=None):
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={} if body is None else {"content-type": "application/json"})
    if token is not None:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def eventually(what, limit_s=10):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.02)
    return False


class Balance(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name) / "balance.yaml"
        self.endpoints = {name: Endpoint(name) for name in "abc"}
        self.process, self.loads = None, []
        front, self.other, admin = free_ports(3)
        self.front, self.admin = f"127.0.0.1:{front}", f"127.0.0.1:{admin}"

    def tearDown(self):
        for load in self.loads:
            load.stop()
        if self.process is not None:
            self.assertEqual(stop(self.process), 0)
        for endpoint in self.endpoints.values():
            endpoint.close()
        if self.process is not None:
            self.log.close()
        self.folder.cleanup()

    def write(self, names, more=""):
        endpoints = "".join(f"\n      - {{address: '{self.endpoints[name].address}'}}" for name in names)
        self.path.write_text(f"listeners: [{{address: '{self.front}', pool: main}}]\nadmin: {{address: '{self.admin}'}}\n"
                             f"pools:\n  main:\n    endpoints:{endpoints}\n{more}")

    def start(self, *flags):
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen([str(TEPAL), "balance", *flags], stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(f"http://{self.front}/v2/health/ready", self.process)

    def generation(self):
        return ask(f"http://{self.admin}/api/9/nginx")[1]["generation"]

    def listed(self):
        return {peer["server"] for peer in ask(f"http://{self.admin}/api/9/http/upstreams/main")[1]["peers"]}

    def addresses(self, names):
        return {self.endpoints[name].address for name in names}

    def test_reloads_lose_nothing(self):
        self.write("ab")
        self.start("--config", str(self.path))
        self.loads = [Load(self.front) for _ in range(3)]
        self.assertTrue(eventually(lambda: self.loads[0].seen.keys() == {"a", "b"}), self.loads[0].seen)
        self.write("bc")
        self.process.send_signal(signal.SIGHUP)
        self.assertTrue(eventually(lambda: self.generation() == 2))
        self.assertEqual(self.listed(), self.addresses("bc"))
        self.assertTrue(eventually(lambda: "c" in self.loads[0].seen), self.loads[0].seen)
        for names in ("a", "abc", "ac", "b") * 5:
            self.write(names)
            status, answer = ask(f"http://{self.admin}/api/tepal/reload", "POST")
            self.assertEqual(status, 200, answer)
            self.assertEqual(self.listed(), self.addresses(names))
        for load in self.loads:
            load.stop()
            self.assertEqual(load.failures, [])

    def test_a_bad_file_changes_nothing(self):
        self.write("a")
        self.start("--config", str(self.path))
        self.write("ab", "    polcy: round_robin\n")
        status, answer = ask(f"http://{self.admin}/api/tepal/reload", "POST")
        self.assertEqual(status, 422)
        self.assertIn("unknown field 'pools.main.polcy'; did you mean 'policy'?", answer["error"])
        self.write("ab", "threads: 3\n")
        status, answer = ask(f"http://{self.admin}/api/tepal/reload", "POST")
        self.assertEqual((status, answer["error"]), (422, "nothing was applied; a restart is needed for threads"))
        self.assertEqual((self.listed(), self.generation()), (self.addresses("a"), 1))

    def test_pools_come_and_go(self):
        self.write("a")
        self.start("--config", str(self.path))
        more = f"  side:\n    endpoints: [{{address: '{self.endpoints['c'].address}'}}]\n"
        self.write("a", more)
        text = self.path.read_text().replace("pool: main}]", f"pool: main}}, {{address: '127.0.0.1:{self.other}', pool: side}}]")
        self.path.write_text(text)
        self.assertEqual(ask(f"http://{self.admin}/api/tepal/reload", "POST")[0], 200)
        side = f"http://127.0.0.1:{self.other}/v2"
        with urllib.request.urlopen(side, timeout=20) as answer:
            self.assertEqual(answer.read(), b"c")
        self.assertEqual(set(ask(f"http://{self.admin}/api/9/http/upstreams")[1]), {"main", "side"})
        self.write("a")
        self.assertEqual(ask(f"http://{self.admin}/api/tepal/reload", "POST")[0], 200)
        self.assertEqual(set(ask(f"http://{self.admin}/api/9/http/upstreams")[1]), {"main"})
        with self.assertRaises(urllib.error.URLError):
            urllib.request.urlopen(side, timeout=20)

    def test_tokens(self):
        reader, writer, later = "r" * 20, "w" * 20, "l" * 20
        tokens = pathlib.Path(self.folder.name) / "tokens"
        tokens.write_text(f"monitor read {reader}\ndeploy write {writer}\n")
        self.write("ab")
        self.path.write_text(self.path.read_text().replace(f"address: '{self.admin}'", f"address: '{self.admin}', tokens_file: '{tokens}'"))
        self.start("--config", str(self.path))
        nginx, server = f"http://{self.admin}/api/9/nginx", f"http://{self.admin}/api/9/http/upstreams/main/servers/1"
        for wrong in (None, "x" * 20, reader + "x"):
            self.assertEqual(ask(nginx, token=wrong)[0], 401)
            self.assertEqual(ask(server, "PATCH", {"drain": True}, wrong)[0], 401)
            self.assertEqual(ask(f"http://{self.admin}/api/tepal/reload", "POST", token=wrong)[0], 401)
        with urllib.request.urlopen(f"http://{self.admin}/dashboard.html", timeout=20) as answer:
            self.assertEqual(answer.status, 200)
        with self.assertRaises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=20)
        self.assertEqual(ask(nginx, token=reader)[0], 200)
        self.assertEqual(ask(server, "PATCH", {"drain": True}, reader)[0], 403)
        self.assertEqual(ask(f"http://{self.admin}/api/tepal/reload", "POST", token=reader)[0], 403)
        self.assertEqual(ask(server, "PATCH", {"drain": True}, writer)[0], 200)
        self.assertEqual(ask(f"http://{self.admin}/api/tepal/reload", "POST", token=writer)[0], 200)
        tokens.write_text(f"deploy write {later}\n")
        self.assertTrue(eventually(lambda: ask(nginx, token=later)[0] == 200))
        self.assertEqual(ask(nginx, token=writer)[0], 401)
        log = pathlib.Path(self.log.name).read_text()
        for line in ("audit: PATCH /api/9/http/upstreams/main/servers/1 by nobody known: 401", "by monitor: 403",
                     "audit: PATCH /api/9/http/upstreams/main/servers/1 by deploy: 200", "audit: POST /api/tepal/reload by deploy: 200"):
            self.assertIn(line, log)
        for secret in (reader, writer, later):
            self.assertNotIn(secret, log)

    def test_check(self):
        self.write("ab")
        result = subprocess.run([TEPAL, "balance", "--config", self.path, "--check"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout), (0, f"{self.path} is right\n"))
        self.write("ab", "thread: 1\n")
        result = subprocess.run([TEPAL, "balance", "--config", self.path, "--check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("unknown field 'thread'; did you mean 'threads'?", result.stderr)
        result = subprocess.run([TEPAL, "balance", "--config", self.path, "--policy", "round_robin"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--policy cannot be given with a configuration file", result.stderr)

    def test_an_nginx_conf(self):
        conf = pathlib.Path(self.folder.name) / "nginx.conf"
        conf.write_text(f"upstream main {{\n  zone z 64k;\n  server {self.endpoints['a'].address};\n  server {self.endpoints['b'].address};\n}}\n"
                        f"server {{\n  listen {self.front};\n  location / {{\n    proxy_pass http://main;\n    health_check uri=/v2/health/ready;\n"
                        f"    proxy_cache one;\n  }}\n}}\n"
                        f"server {{\n  listen {self.admin};\n  location = / {{ return 302 /dashboard.html; }}\n  location /api {{ api write=on; }}\n}}\n")
        result = subprocess.run([TEPAL, "balance", "--nginx-conf", conf, "--check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"{conf}:11: not honoured: proxy_cache (", result.stderr)
        self.start("--nginx-conf", str(conf))
        load = Load(self.front)
        self.loads = [load]
        self.assertTrue(eventually(lambda: load.seen.keys() == {"a", "b"}), load.seen)
        conf.write_text(conf.read_text().replace(self.endpoints["b"].address, self.endpoints["c"].address))
        self.process.send_signal(signal.SIGHUP)
        self.assertTrue(eventually(lambda: "c" in load.seen), load.seen)
        load.stop()
        self.assertEqual(load.failures, [])


if __name__ == "__main__":
    unittest.main()
