"""The dashboard in Chromium: the pools of a balancer, their endpoints, and a drain by a click and by the keyboard."""
import pathlib
import subprocess
import tempfile
import unittest

from browser import PROGRAM, Browser
from stack import TEPAL, free_ports, stop, wait_for
from test_balance_config import Endpoint

WAIT = """
  const until = Date.now() + 20000;
  while (Date.now() < until) {
    const value = (() => { %s })();
    if (value) return value;
    await new Promise(done => setTimeout(done, 50));
  }
  return null;
"""
ROWS = "[...document.querySelectorAll('#endpoints tr')].map(row => [row.querySelector('.name').textContent, row.querySelector('.state').textContent])"


@unittest.skipUnless(PROGRAM, "no browser: neither chromium-headless-shell nor chromium is installed")
class Dashboard(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.endpoints = [Endpoint(name) for name in "abc"]
        front, side, admin = free_ports(3)
        self.admin = f"http://127.0.0.1:{admin}"
        names = dict(zip("abc", (endpoint.address for endpoint in self.endpoints)))
        path = pathlib.Path(self.folder.name) / "balance.yaml"
        path.write_text(f"listeners: [{{address: '127.0.0.1:{front}', pool: first}}, {{address: '127.0.0.1:{side}', pool: second}}]\n"
                        f"admin: {{address: '127.0.0.1:{admin}'}}\npools:\n"
                        f"  first: {{endpoints: [{{address: '{names['a']}', name: a}}, {{address: '{names['b']}', name: b}}]}}\n"
                        f"  second: {{endpoints: [{{address: '{names['c']}', name: c}}]}}\n")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w")
        self.process = subprocess.Popen([str(TEPAL), "balance", "--config", str(path)], stdout=self.log, stderr=subprocess.STDOUT)
        wait_for(f"http://127.0.0.1:{front}/v2/health/ready", self.process)
        self.browser = Browser()

    def tearDown(self):
        self.browser.close()
        self.assertEqual(stop(self.process), 0)
        self.log.close()
        for endpoint in self.endpoints:
            endpoint.close()
        self.folder.cleanup()

    def until(self, condition):
        return self.browser.run(WAIT % f"return {condition};")

    def rows(self, expected):
        text = repr(expected).replace("(", "[").replace(")", "]")
        self.assertTrue(self.until(f"JSON.stringify({ROWS}) === JSON.stringify({text})"), self.browser.run(f"return {ROWS};"))

    def test_pools_and_drain(self):
        self.browser.open(f"{self.admin}/")
        self.assertEqual(self.browser.run("return location.pathname;"), "/dashboard.html")
        self.rows([("a", "up"), ("b", "up")])
        self.assertEqual(self.until("document.querySelectorAll('#pools button').length"), 2)
        self.browser.run("document.querySelector('#endpoints button').click();")
        self.rows([("a", "draining"), ("b", "up")])
        # The second pool by the keyboard, and back.
        self.browser.run("document.querySelectorAll('#pools button')[1].focus();")
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", code="Enter", windowsVirtualKeyCode=13)
        self.rows([("c", "up")])
        self.assertEqual(self.browser.run("return location.hash;"), "#second")
        self.assertTrue(self.until("document.querySelector('#pools button[aria-current=true]').dataset.pool === 'second'"))
        self.browser.run("document.querySelectorAll('#pools button')[0].click();")
        self.rows([("a", "draining"), ("b", "up")])


if __name__ == "__main__":
    unittest.main()
