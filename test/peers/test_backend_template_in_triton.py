"""The template of a backend (examples/backend) in a real Triton: the same library, the same answers as in Tepal."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test/clients"))

from stack import free_ports, wait_for  # noqa: E402
from test_backend_template import TemplateCase, build, write_models  # noqa: E402

TRITON = ROOT / ".cache/triton"


class TemplateInTriton(TemplateCase, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        port = free_ports(1)[0]
        cls.url = f"127.0.0.1:{port}"
        cls.log = open(pathlib.Path(cls.folder.name) / "log", "wb")
        wheel = next(TRITON.glob("nvidia_pytriton-*.whl"))
        cls.process = subprocess.Popen(
            [ROOT / "test/peers/triton.sh", "--wheel", wheel, "--unpacked", TRITON / "unpacked", "--models",
             write_models(cls.folder.name), "--backends", build(cls.folder.name), "--http", str(port), "--",
             "--model-control-mode=explicit", "--load-model=scale"],
            stdout=cls.log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait_for(f"http://{cls.url}/v2/health/ready", cls.process)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        # The script waits for the server it started: both get the signal.
        os.killpg(cls.process.pid, signal.SIGTERM)
        cls.process.wait(60)
        cls.log.close()
        cls.folder.cleanup()


del TemplateCase  # Not a test of this file.

if __name__ == "__main__":
    unittest.main()
