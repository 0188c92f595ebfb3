"""The flower ResNet50 as TorchScript beside the ONNX file it is made from: one client, the same answers.

The TorchScript file is made here from the weights of the committed ONNX file, by the LibTorch that tools/setup fetched.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np
import tritonclient.http as http

from stack import BUILD, ROOT, TEPAL, free_ports, wait_for
from test_photos import PHOTOS, tensor

FLOWER = ROOT / "examples/flower/models/resnet50"
TOLERANCE = 1e-3
NAMED = """platform: "pytorch_libtorch"
max_batch_size: 8
input { name: "input" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
output { name: "probabilities" data_type: TYPE_FP32 dims: [ 5 ] label_filename: "labels.txt" }
instance_group { kind: KIND_CPU count: 1 }
dynamic_batching { }
"""
NUMBERED = """backend: "pytorch"
max_batch_size: 8
input { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] }
instance_group { kind: KIND_CPU count: 1 }
"""


def make_torchscript(target):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([sys.executable, ROOT / "backends/pytorch/testing/onnx_source.py", FLOWER / "1/model.onnx", work], check=True)
        subprocess.run([BUILD / "bin/torchscript_file", work, target], check=True)


class TorchScript(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        started = time.monotonic()
        cls.folder = tempfile.TemporaryDirectory()
        models = pathlib.Path(cls.folder.name)
        for name, config in (("flower_torch", NAMED), ("flower_numbered", NUMBERED)):
            (models / name / "1").mkdir(parents=True)
            (models / name / "config.pbtxt").write_text(config)
        shutil.copy(FLOWER / "labels.txt", models / "flower_torch")
        make_torchscript(models / "flower_torch/1/model.pt")
        (models / "flower_numbered/1/model.pt").symlink_to(models / "flower_torch/1/model.pt")
        port = free_ports(1)[0]
        cls.url = f"127.0.0.1:{port}"
        cls.log = open(models / "log", "wb")
        cls.process = subprocess.Popen([TEPAL, "serve", f"--model-repository={FLOWER.parent}", f"--model-repository={models}",
                                        "--http-address=127.0.0.1", f"--http-port={port}", "--allow-metrics=false",
                                        "--allow-grpc=false", "--lame-duck-secs=0"], stdout=cls.log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://{cls.url}/v2/health/ready", cls.process)
        except BaseException:
            cls.tearDownClass()
            raise
        print(f"\nmade and loaded the TorchScript file in {time.monotonic() - started:.1f} s")

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(30)
        cls.log.close()
        cls.folder.cleanup()

    def ask(self, client, model, pixels, names):
        request = http.InferInput(names[0], pixels.shape, "FP32")
        request.set_data_from_numpy(pixels)
        return client.infer(model, [request]).as_numpy(names[1])

    def test_labels_and_probabilities_equal_those_of_the_onnx_file(self):
        client = http.InferenceServerClient(self.url, network_timeout=120)
        paths = sorted(PHOTOS.rglob("*.jpg"))
        self.assertGreaterEqual(len(paths), 4)
        worst = 0.0
        for path in paths:
            pixels = tensor(path)
            expected = self.ask(client, "resnet50", pixels, ("input", "probabilities"))
            got = self.ask(client, "flower_torch", pixels, ("input", "probabilities"))
            self.assertEqual(got.argmax(), expected.argmax(), path)
            worst = max(worst, float(np.abs(got - expected).max()))
        self.assertLessEqual(worst, TOLERANCE)
        print(f"\n{len(paths)} photos: every label equal, largest difference of a probability {worst:.1e}")

    def test_a_batch_by_numbered_names(self):
        client = http.InferenceServerClient(self.url, network_timeout=120)
        pixels = np.concatenate([tensor(path) for path in sorted(PHOTOS.rglob("*.jpg"))[:4]])
        expected = self.ask(client, "resnet50", pixels, ("input", "probabilities"))
        got = self.ask(client, "flower_numbered", pixels, ("INPUT__0", "OUTPUT__0"))
        self.assertEqual(got.shape, (4, 5))
        self.assertLessEqual(float(np.abs(got - expected).max()), TOLERANCE)

    def test_tepal_infer_names_the_same_flowers(self):
        found = []
        for model in ("resnet50", "flower_torch"):
            run = subprocess.run([TEPAL, "infer", "--url", self.url, "--model", model, "--json", ROOT / ".cache/photos"],
                                 capture_output=True, text=True, check=True)
            found.append({a["photo"]: a["classes"][0]["label"] for a in map(json.loads, run.stdout.splitlines())})
        self.assertEqual(found[0], found[1])
        self.assertEqual(len(found[0]), 4)


if __name__ == "__main__":
    unittest.main()
