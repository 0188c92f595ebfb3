"""One `tepal serve` with small models, for tests that give it flags of their own."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

from stack import TEPAL, free_ports, stop

IDENTITY = """backend: "identity"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
"""


def delay(milliseconds):
    return IDENTITY.replace("identity", "delay") + f'parameters {{ key: "sleep_ms" value {{ string_value: "{milliseconds}" }} }}\n'


class Server:
    """Serves `models`, a configuration for each name; flags may name {folder}; `environment` is added to the test's own."""

    def __init__(self, *flags, models=None, environment=None, command=None):
        self.folder = tempfile.TemporaryDirectory()
        for name, config in (models or {"echo": IDENTITY}).items():
            folder = pathlib.Path(self.folder.name) / "models" / name
            (folder / "1").mkdir(parents=True)
            (folder / "config.pbtxt").write_text(config)
        ports = free_ports(3)
        self.http, self.grpc, self.metrics = (f"localhost:{port}" for port in ports)
        self.log_path = pathlib.Path(self.folder.name) / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*(command or [str(TEPAL), "serve"]), f"--model-repository={self.folder.name}/models", "--http-address=127.0.0.1", f"--http-port={ports[0]}",
                 "--grpc-address=127.0.0.1", f"--grpc-port={ports[1]}", f"--metrics-port={ports[2]}", "--lame-duck-secs=0", *flags],
                stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        try:
            self.wait_until(lambda: self.log().count("Started ") >= 3, "the doors open")
        except BaseException:
            self.stop()
            raise

    def log(self):
        return self.log_path.read_text()

    def wait_until(self, condition, what, limit_s=20):
        until = time.monotonic() + limit_s
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server exited with {self.process.returncode}: {self.log()}")
            if time.monotonic() > until:
                raise RuntimeError(f"{what}: not within {limit_s} s: {self.log()}")
            time.sleep(0.02)

    def metric(self, name, labels):
        page = urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10).read().decode()
        return int(re.search(rf"^{name}\{{{re.escape(labels)}\}} (\d+)$", page, re.M).group(1))

    def in_flight(self, model):
        return self.metric("tepal_inference_in_flight", f'model="{model}",version="1"')

    def cancelled(self, model):
        return self.metric("nv_inference_request_failure", f'model="{model}",reason="CANCELED",version="1"')

    def connect(self, address=None):
        host, port = (address or self.http).split(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def stop(self):
        code = stop(self.process)
        self.folder.cleanup()
        return code
