"""A client library that others wrote for the NGINX Plus API (version 6) against ours."""
import subprocess
import tempfile
import unittest

from nginxPlusAPI import Client

from stack import TEPAL, free_ports, stop, wait_for
from test_balance_config import Endpoint, eventually


class NginxPlusApi(unittest.TestCase):
    def setUp(self):
        self.endpoints = [Endpoint("a"), Endpoint("b")]
        front, admin = free_ports(2)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(TEPAL), "balance", f"--listen=127.0.0.1:{front}", f"--admin=127.0.0.1:{admin}", "--upstream=backend",
             f"--endpoint={self.endpoints[0].address}"], stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(f"http://127.0.0.1:{front}/v2/health/ready", self.process)
        self.upstreams = Client(f"http://127.0.0.1:{admin}").HTTPUpstreams

    def tearDown(self):
        self.assertEqual(stop(self.process), 0)
        self.log.close()
        for endpoint in self.endpoints:
            endpoint.close()

    def state(self, server):
        return {peer.server: peer.state for peer in self.upstreams.getUpstream("backend").peers}.get(server)

    def test_lists_adds_changes_and_removes(self):
        first, second = (endpoint.address for endpoint in self.endpoints)
        self.assertEqual([peer.server for peer in self.upstreams.getAllUpstreams().backend.peers], [first])
        self.assertEqual([server.server for server in self.upstreams.getUpstreamServers("backend")], [first])

        added = self.upstreams.addServer("backend", second, weight=3, max_conns=20)
        self.assertEqual((added.server, added.weight, added.max_conns, added.down), (second, 3, 20, False))
        self.assertTrue(eventually(lambda: self.state(second) == "up"), self.state(second))
        self.assertEqual(self.upstreams.getUpstreamServer("backend", added.id).weight, 3)

        self.assertTrue(self.upstreams.setServerDrain("backend", added.id).drain)
        self.assertEqual(self.state(second), "draining")
        self.assertEqual(self.upstreams.setServerDown("backend", added.id).down, True)
        self.assertEqual(self.state(second), "down")
        self.assertEqual(self.upstreams.setServerUp("backend", added.id).down, False)
        self.assertEqual(self.state(second), "up")

        left = self.upstreams.deleteServer("backend", added.id)
        self.assertEqual([server.server for server in left], [first])
        self.assertIsNone(self.state(second))

    def test_errors_are_in_the_api_s_shape(self):
        error = self.upstreams.getUpstream("nope").error
        self.assertEqual((error.status, error.code), (404, "UpstreamNotFound"))
        with self.assertRaisesRegex(BaseException, "UpstreamConfFormatError"):
            self.upstreams.addServer("backend", "nowhere")
        with self.assertRaisesRegex(BaseException, "UpstreamServerNotFound"):
            self.upstreams.deleteServer("backend", 99)


if __name__ == "__main__":
    unittest.main()
