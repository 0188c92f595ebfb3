"""A fleet whose admin servers speak TLS: what one balancer hears of another, and whom it believes."""
import http.server
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import unittest

from certificates import Authority
from stack import TEPAL, free_ports, stop, wait_for
from test_balance_config import Endpoint, eventually

TOKEN = "token-of-the-fleet-0123456789"


class Stranger:
    """Speaks TLS with a certificate, and keeps what it was asked."""

    def __init__(self, certificate, key):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("authorization")))
                self.send_response(404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """Who does not believe it breaks off."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class FleetTls(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        self.authority, self.other = Authority(self.folder), Authority(self.folder, "other")
        self.door = self.authority.issue("door")
        (self.folder / "tokens").write_text(f"monitor read {TOKEN}\n")
        self.endpoint = Endpoint("a")
        self.output = open(self.folder / "output", "w+")
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            self.assertEqual(stop(process), 0)
        self.assertNotIn(TOKEN, (self.folder / "output").read_text())
        self.output.close()
        self.endpoint.close()
        self.scratch.cleanup()

    def start(self, admin, door_more="", more=""):
        front = free_ports(1)[0]
        file = self.folder / f"balance-{admin}.yaml"
        file.write_text(f"listeners: [{{address: '127.0.0.1:{front}'}}]\npools: {{p: {{endpoints: [{{address: '{self.endpoint.address}'}}]}}}}\n"
                        f"admin: {{address: '127.0.0.1:{admin}', tls: {{certificate: {self.door[0]}, key: {self.door[1]}{door_more}}}{more}}}\n")
        self.processes.append(subprocess.Popen([str(TEPAL), "balance", "--config", str(file)], stdout=self.output, stderr=subprocess.STDOUT))
        wait_for(f"http://127.0.0.1:{front}/v2/health/ready", self.processes[-1])

    def fleet(self, admin, *words):
        """What a balancer says of its fleet; the status alone when that is not 200."""
        run = subprocess.run(["curl", "-sS", "--cacert", str(self.authority.certificate), "-w", "\n%{http_code}", *words,
                              f"https://127.0.0.1:{admin}/api/tepal/fleet"], capture_output=True, text=True, timeout=60, check=True)
        body, status = run.stdout.rsplit("\n", 1)
        return json.loads(body) if status == "200" else int(status)

    def test_a_token_is_passed_on_over_tls_and_to_nobody_else(self):
        first, second = free_ports(2)
        stranger = Stranger(*self.other.issue("stranger"))
        self.addCleanup(stranger.close)
        tokens = f", tokens_file: {self.folder}/tokens"
        self.start(second, more=tokens)
        self.start(first, more=f"{tokens}, fleet: ['https://127.0.0.1:{second}', 'https://localhost:{second}', 'https://{stranger.address}', 'http://127.0.0.1:{second}'], "
                               f"fleet_tls: {{ca: {self.authority.certificate}}}")
        self.assertEqual(self.fleet(first), 401)
        bearer = ("-H", f"authorization: Bearer {TOKEN}")
        members = self.fleet(first, *bearer)["members"]
        by_address = {member["address"]: member for member in members}
        self.assertEqual([member["self"] for member in members], [True] + [False] * (len(members) - 1))
        seen = by_address[f"https://127.0.0.1:{second}"]
        self.assertEqual((seen["error"], seen["endpoints"]), ("", 1))
        self.assertTrue(eventually(lambda: self.fleet(first, *bearer)["pools"][0]["endpoints"][0]["states"][:2] == ["up", "up"]))
        # One that another authority has signed is not believed, and is asked nothing.
        self.assertIn("certificate", by_address[f"https://{stranger.address}"]["error"])
        self.assertEqual(stranger.asked, [])
        self.assertNotEqual(by_address[f"http://127.0.0.1:{second}"]["error"], "")

    def test_a_certificate_is_shown_where_one_is_wanted(self):
        first, second, third = free_ports(3)
        certificate, key = self.authority.issue("balancer", "DNS:balancer")
        wants = f", client_ca: {self.authority.certificate}, readers: [balancer]"
        self.start(second, door_more=wants)
        for admin, shown in ((first, f", certificate: {certificate}, key: {key}"), (third, "")):
            self.start(admin, more=f", fleet: ['https://127.0.0.1:{second}'], fleet_tls: {{ca: {self.authority.certificate}{shown}}}")
        self.assertEqual([member["error"] for member in self.fleet(first)["members"]], ["", ""])
        self.assertNotEqual(self.fleet(third)["members"][1]["error"], "")


if __name__ == "__main__":
    unittest.main()
