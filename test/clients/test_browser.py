"""A page's fetch, in Chromium. As a Triton, the server grants other origins nothing: pages that infer are served from its own."""
import pathlib
import tempfile
import unittest

from browser import PROGRAM, Browser
from certificates import Authority
from grpc_models import ADD_SUB
from server import Server

JSON = """
  const tensor = (name, value) => ({name, shape: [1, 4], datatype: 'FP32', data: Array(4).fill(value)});
  const answer = await fetch('/v2/models/add_sub/infer', {
    method: 'POST', headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({inputs: [tensor('INPUT0', 1.5), tensor('INPUT1', 2)]})});
  return [answer.status, (await answer.json()).outputs.map(output => output.data[0])];
"""
BINARY = """
  const tensor = name => ({name, shape: [1, 4], datatype: 'FP32', parameters: {binary_data_size: 16}});
  const head = new TextEncoder().encode(JSON.stringify(
    {inputs: [tensor('INPUT0'), tensor('INPUT1')], parameters: {binary_data_output: true}}));
  const answer = await fetch('/v2/models/add_sub/infer', {
    method: 'POST', headers: {'Inference-Header-Content-Length': head.length},
    body: new Blob([head, new Float32Array([1, 2, 3, 4]), new Float32Array([10, 20, 30, 40])])});
  const start = Number(answer.headers.get('Inference-Header-Content-Length'));
  return Array.from(new Float32Array((await answer.arrayBuffer()).slice(start)));
"""
REFUSED = """
  const answer = await fetch('/v2/models/nope/infer', {method: 'POST', body: '{"inputs": []}'});
  return [answer.status, (await answer.json()).error];
"""
PROTOCOL = "return performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol);"


@unittest.skipUnless(PROGRAM, "no browser: neither chromium-headless-shell nor chromium is installed")
class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        certificate, key = Authority(pathlib.Path(cls.scratch.name)).issue("server")
        cls.plain = Server(models={"add_sub": ADD_SUB})
        cls.secure = Server("--http-use-ssl=true", f"--http-server-cert={certificate}", f"--http-server-key={key}", models={"add_sub": ADD_SUB})
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        codes = [cls.plain.stop(), cls.secure.stop()]
        cls.scratch.cleanup()
        assert codes == [0, 0], codes

    def infer(self, origin, protocol):
        self.browser.open(f"{origin}/v2")
        self.assertEqual(self.browser.run(JSON), [200, [3.5, -0.5]])
        self.assertEqual(self.browser.run(BINARY), [11, 22, 33, 44, -9, -18, -27, -36])
        status, error = self.browser.run(REFUSED)
        self.assertEqual(status, 404)
        self.assertIn("unknown model: 'nope'", error)
        self.assertEqual(set(self.browser.run(PROTOCOL)), {protocol})

    def test_http_1(self):
        self.infer(f"http://{self.plain.http}", "http/1.1")

    def test_http_2_over_tls(self):
        self.infer(f"https://{self.secure.http}", "h2")

    def test_other_origins_are_granted_nothing(self):
        self.browser.open(f"http://{self.plain.metrics}/metrics")
        with self.assertRaisesRegex(RuntimeError, "Failed to fetch"):
            self.browser.run(JSON.replace("'/v2", f"'http://{self.plain.http}/v2"))


if __name__ == "__main__":
    unittest.main()
