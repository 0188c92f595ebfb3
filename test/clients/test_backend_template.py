"""The template of a backend (examples/backend), built as a stranger builds it and asked in the server.

test/peers/test_backend_template_in_triton.py asks the same library in a real Triton.
"""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

from stack import ROOT, TEPAL, free_ports, wait_for

TEMPLATE = ROOT / "examples/backend"
# What a model of the template must not say, and what its loading then answers with.
REFUSED = {
    "no_number": ("file.txt", "", "FP32", "expected a number in"),
    "of_integers": ("factor.txt", "2", "INT32", "is TYPE_INT32, the backend scale takes TYPE_FP32"),
}


def build(folder):
    """Configures and builds a copy of the template, outside the tree; answers with the backend directory."""
    source = pathlib.Path(folder) / "template"
    shutil.copytree(TEMPLATE, source)
    target = pathlib.Path(folder) / "build"
    subprocess.run(["cmake", "-S", source, "-B", target, f"-DTEPAL_INCLUDE_DIRS={ROOT}"], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", target], check=True, capture_output=True)
    return target / "backends"


def write_models(folder):
    """The template's own model, and one for each entry of REFUSED."""
    models = pathlib.Path(folder) / "models"
    shutil.copytree(TEMPLATE / "models", models)
    config = (TEMPLATE / "models/scale/config.pbtxt").read_text()
    for name, (file, text, datatype, _) in REFUSED.items():
        (models / name / "1").mkdir(parents=True)
        (models / name / "1" / file).write_text(text)
        (models / name / "config.pbtxt").write_text(config.replace("TYPE_FP32", f"TYPE_{datatype}"))
    return models


class TemplateCase:
    """What the template promises, wherever it runs; `url` is set by who starts the server."""

    def infer(self, values):
        request = http.InferInput("X", values.shape, "FP32")
        request.set_data_from_numpy(values)
        return http.InferenceServerClient(self.url).infer("scale", [request]).as_numpy("Y")

    def test_the_output_is_half_the_input(self):
        values = np.array([[3, -8, 0.25], [1, 2, 4]], dtype=np.float32)
        np.testing.assert_array_equal(self.infer(values), values / 2)

    def test_statistics_are_reported(self):
        self.infer(np.ones((4, 2), dtype=np.float32))
        stats = http.InferenceServerClient(self.url).get_inference_statistics("scale")["model_stats"][0]
        self.assertGreaterEqual(int(stats["inference_count"]), 4)
        self.assertGreaterEqual(int(stats["inference_stats"]["compute_infer"]["count"]), 1)

    def test_a_model_that_it_cannot_serve_is_refused_with_the_reason(self):
        client = http.InferenceServerClient(self.url)
        for name, (_, _, _, words) in REFUSED.items():
            with self.assertRaises(InferenceServerException) as raised:
                client.load_model(name)
            self.assertIn(words, str(raised.exception))


class TemplateInTepal(TemplateCase, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        port = free_ports(1)[0]
        cls.url = f"127.0.0.1:{port}"
        cls.log = open(pathlib.Path(cls.folder.name) / "log", "wb")
        cls.process = subprocess.Popen(
            [TEPAL, "serve", f"--model-repository={write_models(cls.folder.name)}", f"--backend-directory={build(cls.folder.name)}",
             "--model-control-mode=explicit", "--load-model=scale", "--http-address=127.0.0.1", f"--http-port={port}",
             "--allow-metrics=false", "--allow-grpc=false", "--lame-duck-secs=0"], stdout=cls.log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://{cls.url}/v2/health/ready", cls.process)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(30)
        cls.log.close()
        cls.folder.cleanup()


if __name__ == "__main__":
    unittest.main()
