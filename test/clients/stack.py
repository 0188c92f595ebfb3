"""A server and a balancer in front of it, for the tests of one file."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test/support"))

from programs import free_ports, stop, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TEPAL_BUILD", ROOT / "build/release"))
TEPAL = BUILD / "bin/tepal"

ADD_SUB = """backend: "add_sub"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ 16 ] }, { name: "INPUT1" data_type: TYPE_FP32 dims: [ 16 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 16 ] }, { name: "OUTPUT1" data_type: TYPE_FP32 dims: [ 16 ] }]
dynamic_batching { }
"""
BYTES = """backend: "identity"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_STRING dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_STRING dims: [ -1 ] }]
"""


class Stack:
    """One server with the flower models and two small ones, and a balancer."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        models = pathlib.Path(self.folder.name) / "models"
        for name, config in (("add_sub", ADD_SUB), ("strings", BYTES)):
            (models / name / "1").mkdir(parents=True)
            (models / name / "config.pbtxt").write_text(config)
        http, metrics, grpc, front, admin = free_ports(5)
        self.server, self.metrics, self.balancer, self.admin, self.grpc = (
            f"127.0.0.1:{http}", f"127.0.0.1:{metrics}", f"127.0.0.1:{front}", f"127.0.0.1:{admin}", f"127.0.0.1:{grpc}")
        self.log = open(pathlib.Path(self.folder.name) / "log", "wb")
        self.processes = [self.start("serve", f"--model-repository={ROOT}/examples/flower/models", f"--model-repository={models}",
                                     "--http-address=127.0.0.1", f"--http-port={http}", f"--metrics-port={metrics}",
                                     "--allow-grpc=false", "--allow-client-shm=true", "--lame-duck-secs=0")]
        try:
            wait_for(f"http://{self.server}/v2/health/ready", self.processes[0])
            self.processes.append(self.start("balance", f"--listen={self.balancer}", f"--admin={self.admin}", f"--endpoint={self.server}"))
            wait_for(f"http://{self.balancer}/v2/health/ready", self.processes[1])
        except BaseException:
            self.stop()
            raise

    def start(self, *arguments):
        return subprocess.Popen([str(TEPAL), *arguments], stdout=self.log, stderr=subprocess.STDOUT)

    def stop(self):
        codes = [stop(process) for process in reversed(self.processes)]
        self.log.close()
        self.folder.cleanup()
        return codes
