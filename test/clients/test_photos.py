"""ResNet50 on photos, beside ONNX Runtime in Python on the very same tensors.

TEPAL_TEST_PHOTOS names a folder with one folder of photos for each class; without it the demo's photos are used.
"""
import os
import pathlib
import subprocess
import json
import unittest

import numpy as np
import onnxruntime
import tritonclient.http as http
from PIL import Image

from stack import ROOT, TEPAL, Stack

MODEL = ROOT / "examples/flower/models/resnet50/1/model.onnx"
LABELS = (ROOT / "examples/flower/models/resnet50/labels.txt").read_text().split()
PHOTOS = pathlib.Path(os.environ.get("TEPAL_TEST_PHOTOS") or ROOT / ".cache/photos")
TOLERANCE = 1e-4
stack = None


def setUpModule():
    global stack
    stack = Stack()


def tearDownModule():
    stack.stop()


def tensor(path):
    image = Image.open(path).convert("RGB")
    scale = 224 / min(image.size)
    image = image.resize((max(224, round(image.width * scale)), max(224, round(image.height * scale))), Image.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    return ((pixels - 127) / 128).transpose(2, 0, 1)[None]


class Photos(unittest.TestCase):
    def test_labels_and_probabilities_equal_those_of_onnx_runtime(self):
        paths = sorted(PHOTOS.rglob("*.jpg"))
        self.assertGreaterEqual(len(paths), 4)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
        client = http.InferenceServerClient(stack.balancer, network_timeout=120)
        worst = 0.0
        for path in paths:
            pixels = tensor(path)
            expected = session.run(None, {"input": pixels})[0]
            request = http.InferInput("input", pixels.shape, "FP32")
            request.set_data_from_numpy(pixels)
            got = client.infer("resnet50", [request]).as_numpy("probabilities")
            worst = max(worst, float(np.abs(got - expected).max()))
            self.assertEqual(got.argmax(), expected.argmax(), path)
            classes = client.infer("resnet50", [request], outputs=[http.InferRequestedOutput("probabilities", class_count=1)])
            label = classes.as_numpy("probabilities").reshape(-1)[0].decode().split(":")[2]
            self.assertEqual(label, LABELS[int(expected.argmax())])
        self.assertLessEqual(worst, TOLERANCE)
        print(f"\n{len(paths)} photos: every label equal, largest difference of a probability {worst:.1e}")

    def test_tepal_infer_names_the_flowers(self):
        run = subprocess.run([str(TEPAL), "infer", "--url", stack.server, "--model", "resnet50", "--json", str(ROOT / ".cache/photos")],
                             capture_output=True, text=True, check=True)
        found = {pathlib.Path(a["photo"]).stem: a["classes"][0]["label"] for a in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(found, {"sunflower": "sunflowers", "rose": "roses", "daisy": "daisy", "daisy2": "daisy"})

    def test_tepal_infer_says_what_is_wrong(self):
        for arguments, words in ((["--model", "nope", str(ROOT / ".cache/photos")], "unknown model"),
                                 (["--model", "resnet50", str(MODEL)], "neither a JPEG nor a PNG"),
                                 (["--model", "add_sub", str(ROOT / ".cache/photos")], "2 inputs")):
            run = subprocess.run([str(TEPAL), "infer", "--url", stack.server, *arguments], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1, arguments)
            self.assertIn(words, run.stderr)


if __name__ == "__main__":
    unittest.main()
