"""`tepal up` as a user sees it: scaling with real processes, replicas that are killed and that hang, stops, bad files."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from stack import TEPAL, free_ports

DELAY = """backend: "delay"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }]
dynamic_batching { }
instance_group { kind: KIND_CPU count: 1 }
parameters { key: "sleep_ms" value: { string_value: "40" } }
"""
FILE = """models: {{repository: models}}
balancer: {{listen: 127.0.0.1:{clients}, admin: 127.0.0.1:{admin}}}
slots: {{count: 4, quota: {quota}}}
autoscaler:
  metrics: {{in_flight: {{target: 2, window: 2s}}}}
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 3}}}}
"""


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Up:
    """A `tepal up` in a folder of its own."""

    def __init__(self, quota="auto", model="delay", config=DELAY, file=FILE, environment=None):
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        (root / "models" / model / "1").mkdir(parents=True)
        (root / "models" / model / "config.pbtxt").write_text(config)
        self.port, self.admin = free_ports(2)
        self.file = root / "tepal.yaml"
        self.file.write_text(file.format(clients=self.port, admin=self.admin, quota=quota))
        self.errors = open(root / "errors", "w+")
        self.process = subprocess.Popen([str(TEPAL), "up", str(self.file), "--json"], cwd=root, text=True, env=environment,
                                        stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True)
        self.latest, self.pids = None, set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.latest = json.loads(line)
            self.pids.update(slot["pid"] for slot in self.latest["slots"] if "pid" in slot)

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def wait(self, true, what, limit_s=40):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if self.latest is not None and true(self.latest):
                return self.latest
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come within {limit_s} s: {self.latest}\n{self.said()}")

    def wait_ready(self, count):
        return self.wait(lambda s: s["replicas"]["ready"] == count and s["desired"] == count, f"{count} ready")

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(30)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.folder.cleanup()


class Load:
    """Clients in a closed loop; every answer that is not 200 is kept."""

    BODY = json.dumps({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})

    def __init__(self, port, clients):
        self.port, self.going, self.answers, self.failures = port, True, 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while self.going:
            try:
                connection.request("POST", "/v2/models/delay/infer", self.BODY, {"content-type": "application/json"})
                answer = connection.getresponse()
                text, status = answer.read().decode(), answer.status
            except OSError as error:
                text, status = repr(error), 0
                connection.close()
            with self.lock:
                self.answers += 1
                if status != 200 or json.loads(text)["outputs"][0]["data"] != [1, 2, 3, 4]:
                    self.failures.append((status, text))
        connection.close()

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join(60)


class Scaling(unittest.TestCase):
    def test_follows_the_load_and_loses_nothing(self):
        up = Up()
        self.addCleanup(up.close)
        up.wait_ready(1)
        load = Load(up.port, 6)
        self.addCleanup(load.stop)
        state = up.wait_ready(3)
        ready = [slot for slot in state["slots"] if slot["state"] == "ready"]

        os.kill(ready[0]["pid"], signal.SIGKILL)
        up.wait(lambda s: s["slots"][ready[0]["slot"]]["starts"] == 2, "a new start")
        up.wait_ready(3)
        os.kill(ready[1]["pid"], signal.SIGSTOP)
        up.wait(lambda s: s["slots"][ready[1]["slot"]]["starts"] == 2, "a replacement of the one that hangs")
        up.wait_ready(3)

        load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.answers, 100)
        up.wait_ready(1)
        up.wait(lambda s: s["replicas"]["draining"] + s["replicas"]["stopping"] == 0, "the end of the others")
        self.assertEqual(up.latest["traffic"]["failed"], 0)
        self.assertEqual(up.stop(), 0, up.said())
        self.assertEqual([pid for pid in up.pids if alive(pid)], [])
        for expected in ("in flight", "killed by signal 9 (SIGKILL)", "has not answered for", "stopped; no process is left"):
            self.assertIn(expected, up.said())

    def test_a_stop_under_load_finishes_what_was_begun(self):
        up = Up(quota="off")
        self.addCleanup(up.close)
        up.wait_ready(1)
        load = Load(up.port, 2)
        self.addCleanup(load.stop)
        up.wait(lambda s: s["traffic"]["answered"] > 20, "some answers")
        up.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        load.going = False
        self.assertEqual(up.process.wait(30), 0, up.said())
        load.stop()
        # Connections may be refused once the program has ended, but nothing is broken off or answered wrongly.
        self.assertEqual([f for f in load.failures if f[0] != 0], [])
        self.assertIn("slots.quota is off", up.said())


class Ends(unittest.TestCase):
    def test_a_second_signal_kills(self):
        up = Up(config=DELAY.replace('"40"', '"20000"'))
        self.addCleanup(up.close)
        up.wait_ready(1)
        load = Load(up.port, 1)
        up.wait(lambda s: s["traffic"]["in_flight"] > 0, "a request in flight")
        load.going = False
        up.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(up.process.poll(), "it did not wait for the request")
        self.assertEqual(up.stop(), 0)
        self.assertEqual([pid for pid in up.pids if alive(pid)], [])

    def test_replicas_die_with_it(self):
        up = Up()
        self.addCleanup(up.close)
        up.wait_ready(1)
        up.process.kill()
        up.process.wait()
        until = time.monotonic() + 10
        while any(alive(pid) for pid in up.pids) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual([pid for pid in up.pids if alive(pid)], [])

    def test_a_replica_that_cannot_serve_says_why(self):
        up = Up(config=DELAY.replace('"delay"', '"nothing"'))
        self.addCleanup(up.close)
        up.wait(lambda s: s["slots"][0]["crashes"] >= 2, "two crashes")
        self.assertIn("died while starting: exit code 1; see tepal-state/logs/replica-0.log", up.said())
        self.assertIn("nothing", up.said())
        self.assertEqual(up.stop(), 0)


class BadInput(unittest.TestCase):
    def run_up(self, text, *flags):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "tepal.yaml"
            file.write_text(text)
            return subprocess.run([str(TEPAL), "up", str(file), *flags], capture_output=True, text=True, cwd=folder, timeout=20)

    def test_every_mistake_is_named(self):
        run = self.run_up("models: {repository: models}\nslots: {count: zero}\nautoscaler: {metrics: {}}\nbalncer: {}\n")
        self.assertEqual(run.returncode, 2)
        for expected in ("tepal.yaml:2: field 'slots.count': got 'zero'", "tepal.yaml:3: field 'autoscaler.metrics'",
                         "tepal.yaml:4: unknown field 'balncer'; did you mean 'balancer'?"):
            self.assertIn(expected, run.stderr)

    def test_a_missing_repository(self):
        run = self.run_up(FILE.format(clients=0, admin=0, quota="off"))
        self.assertEqual(run.returncode, 2)
        self.assertIn("field 'models.repository'", run.stderr)

    def test_a_port_in_use_and_by_whom(self):
        up = Up()
        self.addCleanup(up.close)
        up.wait_ready(1)
        run = subprocess.run([str(TEPAL), "up", str(up.file)], capture_output=True, text=True, cwd=up.folder.name, timeout=20)
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"127.0.0.1:{up.port} is in use by process {up.process.pid}", run.stderr)
        self.assertEqual(up.stop(), 0)


if __name__ == "__main__":
    unittest.main()
