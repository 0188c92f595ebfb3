"""Models that cannot be loaded: the client who asks for one is told which, and why; the server stays."""
import json
import pathlib
import unittest
import urllib.error
import urllib.request

from server import Server

TENSORS = """max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }
"""
GPU = "instance_group { kind: KIND_GPU }\n"
MODELS = {
    "onnx_garbage": 'backend: "onnxruntime"\n' + TENSORS,
    "onnx_missing": 'backend: "onnxruntime"\n' + TENSORS,
    "torch_garbage": 'platform: "pytorch_libtorch"\n' + TENSORS,
    "torch_missing": 'platform: "pytorch_libtorch"\n' + TENSORS,
    "no_backend": 'backend: "nowhere"\n' + TENSORS,
    "no_library": 'backend: "broken_library"\n' + TENSORS,
    "gpu": 'backend: "identity"\n' + TENSORS + GPU,
}
FILES = {"onnx_garbage": "model.onnx", "torch_garbage": "model.pt"}


class BackendErrors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--model-control-mode=explicit", models=MODELS)
        for model, name in FILES.items():
            (pathlib.Path(cls.server.folder.name) / "models" / model / "1" / name).write_text("neither the one nor the other")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def post(self, path):
        request = urllib.request.Request(f"http://{self.server.http}/v2/repository/{path}", data=b"{}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["error"]

    def refused(self, model, *words):
        status, text = self.post(f"models/{model}/load")
        self.assertEqual(status, 500, text)
        for word in (model, *words):
            self.assertIn(word, text)
        reasons = {entry["name"]: entry.get("reason", "") for entry in json.loads(self.post("index")[1])}
        for word in words:
            self.assertIn(word, reasons[model])
        with urllib.request.urlopen(f"http://{self.server.http}/v2/health/live", timeout=10) as answer:
            self.assertEqual(answer.status, 200)

    def test_a_file_that_is_no_model_is_named(self):
        self.refused("onnx_garbage", "unable to load", "1/model.onnx")
        self.refused("torch_garbage", "unable to load", "1/model.pt")

    def test_a_file_that_is_not_there_is_named(self):
        self.refused("onnx_missing", "unable to find", "1/model.onnx")
        self.refused("torch_missing", "unable to find", "1/model.pt")

    def test_a_backend_that_is_not_there_is_named(self):
        self.refused("no_backend", "nowhere")

    def test_a_library_that_a_backend_lacks_is_named(self):
        self.refused("no_library", "libtriton_broken_library.so", "libtepal_absent.so")

    @unittest.skipIf(pathlib.Path("/dev/nvidia0").exists(), "there is a GPU")
    def test_a_gpu_that_is_not_there_is_said(self):
        self.refused("gpu", "GPU")


if __name__ == "__main__":
    unittest.main()
