"""The admin server over TLS: roles by certificate and by token, with curl; the certificate changes while connections stand."""
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import unittest

from certificates import Authority
from stack import TEPAL, free_ports, stop, wait_for
from test_balance_config import Endpoint, eventually

TOKEN = "token-of-the-probe-0123456789"
SERVERS = "/api/9/http/upstreams/p/servers"


class AdminTls(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        self.authority, self.stranger = Authority(self.folder), Authority(self.folder, "stranger")
        self.certificate, self.key = self.folder / "live.pem", self.folder / "live.key"
        self.install("first")
        (self.folder / "tokens").write_text(f"probe read {TOKEN}\n")
        self.clients = {name: self.authority.issue(name, names) for name, names in
                        (("deploy", "DNS:a.example"), ("monitor", "DNS:b.example"), ("plain", "URI:spiffe://cluster/ops"), ("nobody", "DNS:c.example"))}
        self.clients["intruder"] = self.stranger.issue("intruder", "DNS:deploy")
        self.endpoint = Endpoint("a")
        front, admin = free_ports(2)
        self.front, self.admin = f"127.0.0.1:{front}", f"127.0.0.1:{admin}"
        self.output = open(self.folder / "output", "w+")
        self.process = None

    def tearDown(self):
        if self.process is not None:
            self.assertEqual(stop(self.process), 0)
        self.assertNotIn(TOKEN, self.log())
        self.output.close()
        self.endpoint.close()
        self.scratch.cleanup()

    def install(self, name):
        for made, live in zip(self.authority.issue(name), (self.certificate, self.key)):
            shutil.copy(made, f"{live}.new")
            os.replace(f"{live}.new", live)

    def log(self):
        return (self.folder / "output").read_text()

    def start(self, *flags):
        self.process = subprocess.Popen([str(TEPAL), "balance", *flags], stdout=self.output, stderr=subprocess.STDOUT)
        wait_for(f"http://{self.front}/v2/health/ready", self.process)

    def start_with_file(self, tls, tokens=True):
        file = self.folder / "balance.yaml"
        tokens_file = f"tokens_file: {self.folder}/tokens, " if tokens else ""
        file.write_text(f"listeners: [{{address: '{self.front}'}}]\npools: {{p: {{endpoints: [{{address: '{self.endpoint.address}'}}]}}}}\n"
                        f"tls_reload_interval: 200ms\nadmin: {{address: '{self.admin}', {tokens_file}"
                        f"tls: {{certificate: {self.certificate}, key: {self.key}, client_ca: {self.authority.certificate}, {tls}}}}}\n")
        return file

    def curl(self, path, *words, client=None):
        """The status and the body; None when there was no answer."""
        if client is not None:
            words = ("--cert", str(self.clients[client][0]), "--key", str(self.clients[client][1]), *words)
        run = subprocess.run(["curl", "-sS", "--cacert", str(self.authority.certificate), "-w", "\n%{http_code}", *words,
                              f"https://{self.admin}{path}"], capture_output=True, text=True, timeout=60)
        if run.returncode != 0:
            return None, run.stderr
        body, status = run.stdout.rsplit("\n", 1)
        return int(status), body

    def add(self, port, *words, client=None):
        return self.curl(SERVERS, "-X", "POST", "-H", "content-type: application/json", "-d", json.dumps({"server": f"127.0.0.1:{port}"}), *words, client=client)[0]

    def test_a_certificate_has_a_role_and_a_name_in_the_log(self):
        file = self.start_with_file("writers: [deploy, 'spiffe://cluster/ops'], readers: [monitor]", tokens=False)
        self.start("--config", str(file))
        self.assertEqual([self.add(1, client=name) for name in ("deploy", "plain", "monitor", "nobody")], [201, 409, 403, 403])
        self.assertEqual([self.curl("/api/9/nginx", client=name)[0] for name in ("deploy", "monitor", "nobody")], [200, 200, 403])
        self.assertIn("certificate CN=nobody has no role here", self.curl("/api/9/nginx", client="nobody")[1])
        self.assertEqual(self.curl("/metrics", "--http2", client="monitor")[0], 200)
        # In the handshake: no certificate, and one that another authority has signed.
        self.assertEqual([self.curl("/dashboard.html")[0], self.add(2), self.add(3, client="intruder")], [None, None, None])
        self.assertEqual(subprocess.run(["curl", "-sS", f"http://{self.admin}/"], capture_output=True, timeout=60).stdout, b"")
        for line in (f"audit: POST {SERVERS} by certificate CN=deploy: 201", f"audit: POST {SERVERS} by certificate CN=monitor: 403",
                     f"audit: POST {SERVERS} by certificate CN=nobody: 403"):
            self.assertIn(line, self.log())
        self.assertIn(f"Dashboard at https://{self.admin}/", self.log())
        # Who may do what is applied by a reload; who asks for it is in the log.
        file.write_text(file.read_text().replace("writers: [deploy, ", "writers: [").replace("[monitor]", "[monitor, deploy]"))
        status, body = self.curl("/api/tepal/reload", "-X", "POST", client="deploy")
        self.assertEqual(status, 200, body)
        self.assertIn("audit: POST /api/tepal/reload by certificate CN=deploy: 200", self.log())
        self.assertEqual([self.add(4, client="deploy"), self.add(4, client="plain")], [403, 201])

    def test_tokens_beside_certificates(self):
        self.start("--config", str(self.start_with_file("client_required: false, writers: [deploy]")))
        bearer = ("-H", f"authorization: Bearer {TOKEN}")
        self.assertEqual([self.curl("/api/9/nginx")[0], self.curl("/api/9/nginx", *bearer)[0], self.add(1), self.add(1, *bearer)], [401, 200, 401, 403])
        self.assertEqual([self.add(1, *bearer, client="nobody"), self.add(1, *bearer, client="deploy"), self.add(2, client="deploy")], [403, 201, 201])
        self.assertEqual(self.curl("/dashboard.html")[0], 200)
        self.assertIsNone(self.curl("/dashboard.html", client="intruder")[0])
        for line in ("by nobody known: 401", "by probe: 403", "by certificate CN=deploy: 201"):
            self.assertIn(f"audit: POST {SERVERS} {line}", self.log())

    def test_the_same_by_flags(self):
        self.start(f"--listen={self.front}", f"--admin={self.admin}", "--upstream=p", f"--endpoint={self.endpoint.address}", f"--admin-tls-cert={self.certificate}",
                   f"--admin-tls-key={self.key}", f"--admin-tls-client-ca={self.authority.certificate}", "--admin-tls-writer=deploy", "--admin-tls-reader=*")
        self.assertEqual([self.add(1, client="deploy"), self.add(2, client="nobody"), self.curl("/api/9/nginx", client="nobody")[0]], [201, 403, 200])
        for flags, why in ((["--admin-tls-writer=a"], "--admin-tls-writer needs --admin-tls-client-ca"), (["--admin-tls-cert=c"], "expected both or none"),
                           (["--admin-tls-cert=c", "--admin-tls-key=k", "--admin-tls-client-ca=a"], "nobody has a role"),
                           (["--admin-tls-client-ca=a", "--admin-tls-writer=a"], "--admin-tls-client-ca needs --admin-tls-cert")):
            run = subprocess.run([str(TEPAL), "balance", "--check", *flags], capture_output=True, text=True, timeout=60)
            self.assertEqual(run.returncode, 2)
            self.assertIn(why, run.stderr)

    def test_the_certificate_changes_and_no_connection_is_dropped(self):
        self.start("--config", str(self.start_with_file("client_required: false, writers: [deploy]")))
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(*map(str, self.clients["deploy"]))
        standing = http.client.HTTPSConnection(self.admin, context=context, timeout=60)

        def ask():
            standing.request("GET", "/api/9/nginx")
            answer = standing.getresponse()
            answer.read()
            return answer.status

        def served():
            run = subprocess.run(["openssl", "s_client", "-connect", self.admin], input="", capture_output=True, text=True, timeout=60)
            return next(line for line in run.stdout.splitlines() if line.startswith("subject=")).split("=")[-1].strip()

        self.assertEqual(ask(), 200)
        socket = standing.sock
        self.assertEqual(served(), "first")
        self.install("second")
        self.assertTrue(eventually(lambda: served() == "second"), self.log())
        self.assertEqual(ask(), 200)
        self.assertIs(standing.sock, socket)  # The connection that stands went on.
        standing.close()


if __name__ == "__main__":
    unittest.main()
