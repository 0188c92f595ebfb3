"""Endpoints by DNS, against name servers that nobody here wrote (dnslib, dnsmasq), and by a watched file."""
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from dnslib import QTYPE, RCODE, RR, SRV, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from stack import TEPAL, free_ports, stop
from test_balance_config import Endpoint, ask, eventually


class Zone(BaseResolver):
    """A headless Service: addresses of 127.0.0.0/8, and SRV records that lead to them."""

    def __init__(self):
        self.addresses, self.services, self.failing, self.asked = [], [], False, 0

    def resolve(self, request, handler):
        reply, name = request.reply(), str(request.q.qname)
        self.asked += 1
        if self.failing:
            reply.header.rcode = RCODE.SERVFAIL
        elif name == "tritons.test." and request.q.qtype == QTYPE.A and self.addresses:
            for address in self.addresses:
                reply.add_answer(RR(name, QTYPE.A, ttl=1, rdata=A(address)))
        elif name == "_http._tcp.tritons.test." and request.q.qtype == QTYPE.SRV:
            for port in self.services:
                reply.add_answer(RR(name, QTYPE.SRV, ttl=1, rdata=SRV(0, 1, port, "here.test.")))
        elif name == "here.test." and request.q.qtype in (QTYPE.A, QTYPE.AAAA):
            if request.q.qtype == QTYPE.A:
                reply.add_answer(RR(name, QTYPE.A, ttl=1, rdata=A("127.0.0.1")))
        elif not self.addresses:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


class Discovery(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name) / "balance.yaml"
        self.zone = Zone()
        self.dns = DNSServer(self.zone, address="127.0.0.1", port=0, logger=DNSLogger(logf=lambda _: None))
        self.dns.start_thread()
        self.resolver = f"127.0.0.1:{self.dns.server.server_address[1]}"
        front, admin = free_ports(2)
        self.front, self.admin = f"127.0.0.1:{front}", f"127.0.0.1:{admin}"
        self.endpoints = [Endpoint("a"), Endpoint("b")]

    def tearDown(self):
        self.assertEqual(stop(self.process), 0)
        self.log.close()
        self.dns.stop()
        self.dns.server.server_close()
        for endpoint in self.endpoints:
            endpoint.close()
        self.folder.cleanup()

    def start(self, pool):
        self.path.write_text(f"listeners: [{{address: '{self.front}'}}]\nadmin: {{address: '{self.admin}'}}\npools: {{main: {pool}}}\n"
                             f"dns: {{servers: ['{self.resolver}'], time_max: 1s}}\n")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen([str(TEPAL), "balance", "--config", str(self.path)], stdout=self.log, stderr=subprocess.STDOUT)

    def peers(self):
        try:
            return {peer["server"]: peer["state"] for peer in ask(f"http://{self.admin}/api/9/http/upstreams/main")[1]["peers"]}
        except OSError:
            return None

    def asked_again(self):
        asked = self.zone.asked
        return eventually(lambda: self.zone.asked >= asked + 3)

    def test_addresses_come_and_go_and_an_outage_empties_nothing(self):
        port = self.endpoints[0].address.split(":")[1]
        self.zone.addresses = ["127.0.0.1"]
        self.start(f"{{endpoints: [{{address: 'tritons.test:{port}', resolve: true}}]}}")
        self.assertTrue(eventually(lambda: self.peers() == {f"127.0.0.1:{port}": "up"}), self.peers())
        self.zone.addresses = ["127.0.0.1", "127.0.0.2"]
        self.assertTrue(eventually(lambda: set(self.peers()) == {f"127.0.0.1:{port}", f"127.0.0.2:{port}"}), self.peers())
        self.zone.failing = True
        self.assertTrue(self.asked_again())
        self.assertEqual(len(self.peers()), 2)
        self.zone.failing, self.zone.addresses = False, []
        self.assertTrue(self.asked_again())
        self.assertEqual(len(self.peers()), 2)
        self.zone.addresses = ["127.0.0.1"]
        self.assertTrue(eventually(lambda: set(self.peers()) == {f"127.0.0.1:{port}"}), self.peers())
        status, answer = ask(f"http://{self.admin}/api/9/http/upstreams/main/servers", "POST", {"server": "127.0.0.1:1"})
        self.assertEqual((status, answer["error"]["code"]), (400, "UpstreamServerImmutable"))

    def test_services_have_ports(self):
        first, second = (endpoint.address.split(":")[1] for endpoint in self.endpoints)
        self.zone.addresses, self.zone.services = ["127.0.0.1"], [int(first)]
        self.start("{endpoints: [{address: tritons.test, service: http}]}")
        self.assertTrue(eventually(lambda: self.peers() == {f"127.0.0.1:{first}": "up"}), self.peers())
        self.zone.services = [int(first), int(second)]
        self.assertTrue(eventually(lambda: self.peers() == {f"127.0.0.1:{port}": "up" for port in (first, second)}), self.peers())

    def test_dnsmasq_over_udp_and_tcp(self):
        port = self.endpoints[0].address.split(":")[1]
        hosts = pathlib.Path(self.folder.name) / "hosts"
        hosts.write_text("127.0.0.1 tritons.test\n")
        (dns_port,) = free_ports(1)
        dnsmasq = subprocess.Popen(["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/",
                                    f"--addn-hosts={hosts}", f"--port={dns_port}", "--listen-address=127.0.0.1", "--bind-interfaces",
                                    "--local-ttl=1", "--log-facility=-", "--user=root", "--pid-file="],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(dnsmasq.stderr.close)
        self.addCleanup(stop, dnsmasq)
        said = []
        threading.Thread(target=lambda: said.extend(dnsmasq.stderr), daemon=True).start()
        self.assertTrue(eventually(lambda: any("started" in line for line in said)), said)
        self.resolver = f"127.0.0.1:{dns_port}"
        self.start(f"{{endpoints: [{{address: 'tritons.test:{port}', resolve: true}}], health_check: {{enabled: false}}}}")
        self.assertTrue(eventually(lambda: self.peers() == {f"127.0.0.1:{port}": "up"}), self.peers())
        # More than fits into a datagram: dnsmasq truncates, and is asked over TCP.
        many = {f"127.0.1.{i}" for i in range(1, 201)}
        hosts.write_text("".join(f"{address} tritons.test\n" for address in many))
        dnsmasq.send_signal(signal.SIGHUP)
        self.assertTrue(eventually(lambda: set(self.peers()) == {f"{address}:{port}" for address in many}), len(self.peers()))

    def test_a_watched_file(self):
        file = pathlib.Path(self.folder.name) / "endpoints.yaml"
        file.write_text(f"endpoints: [{{address: '{self.endpoints[0].address}'}}]\n")
        self.start(f"{{endpoints_file: '{file}'}}")
        self.assertTrue(eventually(lambda: self.peers() == {self.endpoints[0].address: "up"}), self.peers())
        file.write_text(f"endpoints: [{{address: '{self.endpoints[0].address}'}}, {{address: '{self.endpoints[1].address}'}}]\n")
        changed = time.monotonic()
        self.assertTrue(eventually(lambda: self.peers() == {endpoint.address: "up" for endpoint in self.endpoints}), self.peers())
        self.assertLess(time.monotonic() - changed, 1.5)  # A second, and what two busy cores take.
        file.unlink()
        self.assertTrue(eventually(lambda: "the endpoints stay as they were" in pathlib.Path(self.log.name).read_text()))
        self.assertEqual(len(self.peers()), 2)


if __name__ == "__main__":
    unittest.main()
