"""The dashboard in Chromium: pools, endpoints, models and tokens, by mouse and by keyboard, in light and in dark."""
import http.server
import json
import pathlib
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from browser import PROGRAM, Browser
from stack import TEPAL, free_ports, stop, wait_for

WAIT = """
  const until = Date.now() + 60000;
  while (Date.now() < until) {
    const value = (() => { %s })();
    if (value) return value;
    await new Promise(done => setTimeout(done, 50));
  }
  return null;
"""
ROWS = "[...document.querySelectorAll('#endpoints tbody tr')].map(row => [row.querySelector('.name').textContent, row.querySelector('.state').textContent])"
READER, WRITER = "r" * 20, "w" * 20
# The text that can be seen and has less contrast to what is behind it than WCAG's AA wants.
PALE = """
  const numbers = color => color.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a)); };
  const behind = node => node ? over(numbers(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const ground = behind(node), ink = over(numbers(getComputedStyle(node).color), ground);
    const [dark, bright] = [light(ink), light(ground)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) pale.push(`${node.textContent}: ${contrast.toFixed(2)}`);
  }
  return pale;
"""
FOCUS = """
  const node = document.activeElement, style = getComputedStyle(node);
  return {name: node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') && document.getElementById(node.getAttribute('aria-labelledby')).textContent
    || node.labels?.[0]?.textContent || node.textContent.trim(), seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
"""


class ModelServer:
    """Lists models as ready, and answers every inference with the status that was chosen."""

    def __init__(self, ready):
        self.ready, self.status, self.wait_s, self.shown = ready, 200, 0, []  # `shown`: authorizations, by who takes it for a balancer.
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == "/api/tepal/pools":
                    server.shown.append(self.headers.get("authorization"))
                models = [{"name": name, "ready": True} for name in server.ready]
                self.answer(200, {"ready": True, "models": models} if self.path == "/v2/tepal/load" else {})

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(server.wait_s)
                self.answer(server.status, {})

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A balancer that ends breaks off its connections."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@unittest.skipUnless(PROGRAM, "no browser: neither chromium-headless-shell nor chromium is installed")
class Dashboard(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.servers = {name: ModelServer(models) for name, models in (("a", ["rose", "tulip"]), ("b", ["rose"]), ("c", []))}
        self.log = open(self.path / "log", "w")
        self.processes = []
        self.browser = Browser()

    def tearDown(self):
        complaints = self.browser.complaints
        self.browser.close()
        for process in self.processes:
            self.assertEqual(stop(process), 0)
        self.log.close()
        for server in self.servers.values():
            server.close()
        self.folder.cleanup()
        self.assertEqual(complaints, [])

    def start(self, admin_more="", ports=None, first_more=""):
        front, side, admin = ports or free_ports(3)
        self.front, self.admin = f"http://127.0.0.1:{front}", f"http://127.0.0.1:{admin}"
        endpoint = {name: f"{{address: '{server.address}', name: {name}}}" for name, server in self.servers.items()}
        path = self.path / f"balance-{admin}.yaml"
        path.write_text(f"listeners: [{{address: '127.0.0.1:{front}', pool: first}}, {{address: '127.0.0.1:{side}', pool: second}}]\n"
                        f"admin: {{address: '127.0.0.1:{admin}'{admin_more}}}\npools:\n"
                        f"  first: {{endpoints: [{endpoint['a']}, {endpoint['b']}]{first_more}}}\n  second: {{endpoints: [{endpoint['c']}]}}\n")
        self.processes.append(subprocess.Popen([str(TEPAL), "balance", "--config", str(path)], stdout=self.log, stderr=subprocess.STDOUT))
        wait_for(f"{self.front}/v2/health/ready", self.processes[-1])

    def infer(self, model, count):
        for _ in range(count):
            request = urllib.request.Request(f"{self.front}/v2/models/{model}/infer", data=b"{}")
            try:
                urllib.request.urlopen(request, timeout=20).close()
            except urllib.error.HTTPError as error:
                error.close()

    def until(self, condition):
        return self.browser.run(WAIT % f"return {condition};")

    def becomes(self, expression, expected):
        text = json.dumps(expected)
        self.assertTrue(self.until(f"JSON.stringify({expression}) === JSON.stringify({text})"), self.browser.run(f"return {expression};"))

    def text(self, selector, expected):
        self.becomes(f"document.querySelector({json.dumps(selector)})?.textContent", expected)

    def enter(self):
        self.browser.key("Enter", 13, "\r")

    def walk(self):
        """What the key Tab leads to, from the beginning of the page to its end."""
        self.browser.run("document.body.tabIndex = -1; document.body.focus();")
        seen = []
        while not seen or seen[-1] != "/metrics":
            self.browser.key("Tab", 9)
            focus = self.browser.run(FOCUS)
            self.assertTrue(focus["seen"], focus)
            self.assertLess(len(seen), 40)
            seen.append(focus["name"])
        return seen

    def test_pools_and_drain(self):
        self.start()
        with urllib.request.urlopen(f"{self.admin}/dashboard.html", timeout=20) as page:
            self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", page.headers["content-security-policy"])
        self.browser.open(f"{self.admin}/")
        self.assertEqual(self.browser.run("return location.pathname;"), "/dashboard.html")
        self.becomes(ROWS, [["a", "up"], ["b", "up"]])
        self.assertEqual(self.until("document.querySelectorAll('#pools button').length"), 2)
        self.assertTrue(self.browser.run("return document.getElementById('caller').hidden;"))
        self.browser.run("document.querySelector('#endpoints button').click();")
        self.becomes(ROWS, [["a", "draining"], ["b", "up"]])
        # The second pool by the keyboard, and back.
        self.browser.run("document.querySelectorAll('#pools button')[1].focus();")
        self.enter()
        self.becomes(ROWS, [["c", "up"]])
        self.assertEqual(self.browser.run("return location.hash;"), "#second")
        self.assertTrue(self.until("document.querySelector('#pools button[aria-current=true]').dataset.pool === 'second'"))
        self.browser.run("history.back();")
        self.becomes(ROWS, [["a", "draining"], ["b", "up"]])

    def test_models(self):
        self.start()
        self.browser.open(f"{self.admin}/")
        names = "[...document.querySelectorAll('#models .model')].map(button => button.textContent)"
        cells = "[...document.querySelectorAll('#models > table > tbody > tr:not(.detail)')].map(row => [1, 8, 9, 10].map(i => row.children[i].textContent))"
        self.becomes(names, ["rose", "tulip"])
        self.infer("rose", 6)
        self.servers["a"].status = 400
        self.infer("tulip", 3)
        self.becomes(cells, [["2 of 2", "6", "0 / 0 / 0", "0"], ["1 of 2", "3", "3 / 0 / 0", "0"]])
        self.assertTrue(self.until("/^[0-9.]+ \\/ [0-9.]+ ms$/.test(document.querySelectorAll('#models tbody tr')[0].children[7].textContent)"))
        # Who has it, by the keyboard; closed again, and nothing for the other.
        self.browser.run("document.querySelectorAll('#models .model')[1].focus();")
        self.enter()
        places = "[...document.querySelectorAll('.detail tbody tr')].map(row => [0, 1, 2, 5].map(i => row.children[i].textContent))"
        self.becomes(places, [["a", "up", "ready", "3"], ["b", "up", "absent", "0"]])
        opened = "[...document.querySelectorAll('#models .model')].map(button => button.ariaExpanded)"
        self.becomes(opened, ["false", "true"])
        self.browser.run("document.querySelector('#endpoints button').click();")
        self.becomes(places, [["a", "draining", "ready", "3"], ["b", "up", "absent", "0"]])
        self.infer("tulip", 1)
        self.becomes(cells, [["1 of 1", "6", "0 / 0 / 0", "0"], ["0 of 1", "3", "3 / 0 / 0", "1"]])
        self.assertEqual(self.browser.run("return document.activeElement.textContent;"), "tulip")
        self.browser.key("Escape", 27)
        self.becomes(opened, ["false", "false"])
        self.assertEqual(self.browser.run("return document.querySelectorAll('.detail').length;"), 0)
        # A pool whose endpoint has none shows none.
        self.browser.run("document.querySelectorAll('#pools button')[1].click();")
        self.assertTrue(self.until("document.getElementById('models-part').hidden"))

    def test_hedges_are_shown_where_they_are_switched_on(self):
        self.start(first_more=", policy: round_robin, hedging: {after: 50ms, share: 1}")
        self.servers["a"].wait_s = 0.5
        self.browser.open(f"{self.admin}/")
        tile = "['retries-label', 'retries', 'retries-note'].map(id => document.getElementById(id).textContent)"
        self.becomes(tile, ["Retries / hedges", "0 / 0", "0 hedges won"])
        self.infer("rose", 4)
        with urllib.request.urlopen(f"{self.admin}/api/tepal/state", timeout=20) as answer:
            hedges = json.load(answer)["hedges"]
        self.assertGreater(hedges["won"], 0)
        self.becomes(tile, ["Retries / hedges", f"0 / {hedges['sent']}", f"{hedges['won']} hedges won"])
        self.browser.run("document.querySelectorAll('#pools button')[1].click();")
        self.becomes(tile, ["Retries", "0", "0 over budget"])

    def give(self, token):
        self.assertTrue(self.until("!document.getElementById('login').hidden"))
        self.browser.run("document.getElementById('token').focus();")
        self.browser.call("Input.insertText", text=token)
        self.enter()

    def test_tokens(self):
        (self.path / "tokens").write_text(f"monitor read {READER}\ndeploy write {WRITER}\n")
        self.start(f", tokens_file: '{self.path}/tokens'")
        self.browser.open(f"{self.admin}/")
        hidden = "['login', 'balancer', 'caller'].map(id => document.getElementById(id).hidden)"
        self.becomes(hidden, [False, True, True])
        self.assertEqual(self.browser.run("return document.activeElement.id;"), "token")
        self.text("#live-text", "waiting for a token")
        self.text("#login-error", "")
        self.give("x" * 20)
        self.text("#login-error", "That token is not known to this balancer.")
        self.assertEqual(self.browser.run("return [sessionStorage.length, document.getElementById('token').ariaInvalid];"), [0, "true"])
        self.give("zwei Wörter")
        self.text("#login-error", "A token has letters, digits and signs of ASCII only, and no spaces.")
        # One that may read sees everything, and why it may not drain.
        self.give(READER)
        self.becomes(ROWS, [["a", "up"], ["b", "up"]])
        self.becomes(hidden, [True, False, False])
        self.text("#rights", "monitor · read only")
        button = "document.querySelector('#endpoints button')"
        self.assertEqual(self.browser.run(f"return [{button}.ariaDisabled, {button}.title, {button}.ariaLabel];"),
                         ["true", "your role is read", "Drain a: your role is read"])
        self.browser.run(f"{button}.click();")
        self.text("#notice", "Drain of a: your role is read.")
        self.becomes(ROWS, [["a", "up"], ["b", "up"]])
        # It lasts as long as the tab, and is nowhere else.
        self.browser.open(f"{self.admin}/dashboard.html")
        self.text("#rights", "monitor · read only")
        self.assertEqual(self.browser.run("return [Object.values(sessionStorage), localStorage.length, document.cookie];"), [[READER], 0, ""])
        self.browser.run("document.getElementById('leave').click();")
        self.becomes(hidden, [False, True, True])
        self.assertEqual(self.browser.run("return sessionStorage.length;"), 0)
        # One that may write drains, until it is known no more.
        self.give(WRITER)
        self.text("#rights", "deploy · may drain")
        self.assertEqual(self.browser.run(f"return {button}.ariaDisabled;"), "false")
        self.browser.run(f"{button}.click();")
        self.becomes(ROWS, [["a", "draining"], ["b", "up"]])
        (self.path / "tokens").write_text(f"monitor read {READER}\n")
        self.text("#login-error", "The token is not known to this balancer any more.")
        self.becomes(hidden, [False, True, True])

    def test_a_balancer_that_is_read_only_says_so(self):
        self.start(", write: false")
        self.browser.open(f"{self.admin}/")
        self.text("#rights", "read only")
        self.browser.run("document.querySelector('#endpoints button').click();")
        self.text("#notice", "Drain of a: writing is not allowed.")
        self.assertTrue(self.browser.run("return document.getElementById('leave').hidden;"))

    def test_keyboard_and_colours(self):
        (self.path / "tokens").write_text(f"deploy write {WRITER}\n")
        self.start(f", tokens_file: '{self.path}/tokens'")
        for scheme in ("light", "dark"):
            self.browser.show_as(1440, 900, scheme)
            self.browser.open(f"{self.admin}/")
            self.becomes("document.getElementById('login').hidden", False)
            self.assertEqual(self.browser.run(PALE), [])
            self.assertEqual(self.walk(), ["Pause", "Token", "Continue", "/api/tepal/pools", "/api/9/http/upstreams", "/metrics"])
            self.give(WRITER)
            self.becomes("[...document.querySelectorAll('#models .model')].map(button => button.textContent)", ["rose", "tulip"])
            self.browser.run("document.querySelector('#models .model').click();")
            self.assertTrue(self.until("document.querySelectorAll('.detail tbody tr').length === 2"))
            self.assertEqual(self.browser.run(PALE), [])
            self.assertEqual(len({self.browser.run("return getComputedStyle(document.body).backgroundColor;"), "rgb(246, 246, 249)"}), 1 + (scheme == "dark"))
            # Names of pools come with how they do.
            walked = [name.split("2 of")[0].split("1 of")[0] for name in self.walk()]
            self.assertEqual(walked, ["Forget token", "Pause", "first", "second", "Endpoints", "Drain a", "Drain b", "Models", "rose", "tulip",
                                      "/api/tepal/pools", "/api/9/http/upstreams", "/metrics"])
            # Nothing is wider than the screen, but tables in their own frames.
            for width in (1440, 1000, 390):
                self.browser.show_as(width, 900, scheme)
                self.assertTrue(self.until("document.documentElement.scrollWidth <= innerWidth"), width)
            self.browser.run("sessionStorage.clear();")

    def test_nothing_moves_as_numbers_grow(self):
        self.start()
        self.browser.show_as(1440, 900, "light")
        self.browser.open(f"{self.admin}/")
        self.becomes("[...document.querySelectorAll('#models .model')].map(button => button.textContent)", ["rose", "tulip"])
        places = ("[...document.querySelectorAll('th, td, .tile, h2, header button')].filter(node => node.checkVisibility())"
                  ".map(node => [node.offsetLeft, node.offsetTop, node.offsetWidth, node.offsetHeight])")
        before = self.browser.run(f"return {places};")
        self.infer("rose", 1000)
        self.assertTrue(self.until("document.querySelectorAll('#models tbody tr')[0].children[8].textContent === '1,000'"))
        self.assertEqual(self.browser.run(f"return {places};"), before)

    def test_fleet(self):
        (self.path / "tokens").write_text(f"monitor read {READER}\ndeploy write {WRITER}\n")
        ports = free_ports(6)
        first, second = ports[:3], ports[3:]
        tokens, stranger = f", tokens_file: '{self.path}/tokens'", ModelServer([])
        self.start(f"{tokens}, fleet: ['http://127.0.0.1:{first[2]}', 'http://{stranger.address}']", second)
        self.start(f"{tokens}, fleet: ['http://127.0.0.1:{second[2]}', 'http://{stranger.address}']", first)
        self.browser.open(f"{self.admin}/")
        self.give(READER)
        self.assertTrue(self.until("!document.getElementById('views').hidden"))
        self.browser.run("document.querySelector('#views button[data-view=fleet]').focus();")
        self.enter()
        members = "[...document.querySelectorAll('#members tbody tr')].map(row => [row.querySelector('.state').textContent, row.children[6].textContent])"
        self.becomes(members, [["ready", "3 of 3"], ["ready", "3 of 3"], ["no answer", "–"]])
        self.assertTrue(self.until("document.querySelectorAll('#members .sub')[2].textContent.startsWith('what it says cannot be read: balancer: expected')"))
        self.becomes("[...document.querySelectorAll('#fleet-pools h2')].map(title => title.textContent)", ["firstall balancers agree", "secondall balancers agree"])
        # One of them drains: they differ, until the other does, too.
        seen = "[...document.querySelectorAll('#fleet-pools section')[0].querySelectorAll('tbody tr')].map(row => [row.className, ...[0, 1, 2, 3].map(i => row.children[i].querySelector('.name, .state, .verdict').textContent)])"
        agreed = [["", "a", "agree", "up", "up"], ["", "b", "agree", "up", "up"]]
        by_address = sorted(zip((self.servers[name].address for name in "ab"), agreed))
        self.becomes(seen, [row for _, row in by_address])
        drain = lambda port: urllib.request.urlopen(urllib.request.Request(  # noqa: E731
            f"http://127.0.0.1:{port}/api/9/http/upstreams/first/servers/1", method="PATCH", data=b'{"drain": true}',
            headers={"content-type": "application/json", "authorization": f"Bearer {WRITER}"}), timeout=20).close()
        drain(second[2])
        agreed[0][:] = ["differs", "a", "differ", "up", "draining"]
        self.becomes(seen, [row for _, row in by_address])
        self.text("#fleet-pools h2", "firstbalancers differ about 1 of 2")
        drain(first[2])
        agreed[0][:] = ["", "a", "agree", "draining", "draining"]
        self.becomes(seen, [row for _, row in by_address])
        for scheme in ("light", "dark"):
            self.browser.show_as(1440, 900, scheme)
            self.assertEqual(self.browser.run(PALE), [])
        # One that has gone is shown as such, and the page goes on.
        process = self.processes.pop(0)
        self.assertEqual(stop(process), 0)
        self.becomes(members, [["ready", "2 of 3"], ["no answer", "–"], ["no answer", "–"]])
        self.browser.run("document.querySelector('#views button[data-view=balancer]').click();")
        self.becomes(ROWS, [["a", "draining"], ["b", "up"]])
        self.assertEqual(set(stranger.shown), {f"Bearer {READER}"})
        stranger.close()

    def test_a_token_that_is_not_wanted_is_shown_to_nobody(self):
        stranger = ModelServer([])
        self.start(f", fleet: ['http://{stranger.address}']")
        request = urllib.request.Request(f"{self.admin}/api/tepal/fleet", headers={"authorization": "Basic of-somebody-else"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.assertEqual(len(json.load(answer)["members"]), 2)
        self.assertEqual(stranger.shown, [None])
        stranger.close()


if __name__ == "__main__":
    unittest.main()
