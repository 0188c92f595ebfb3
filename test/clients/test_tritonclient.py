"""tritonclient[http] from its wheel, sync and asyncio, against the server and through the balancer."""
import asyncio
import json
import os
import subprocess
import unittest
import urllib.request

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as http_aio
import tritonclient.utils.shared_memory as shared_memory
from tritonclient.utils import InferenceServerException

from stack import Stack

stack = None


def setUpModule():
    global stack
    stack = Stack()


def tearDownModule():
    codes = stack.stop()
    assert codes == [0, 0], f"balancer and server ended with {codes}"


def inputs(module, binary):
    a = np.arange(32, dtype=np.float32).reshape(2, 16)
    b = np.full((2, 16), 0.5, dtype=np.float32)
    tensors = []
    for name, value in (("INPUT0", a), ("INPUT1", b)):
        tensor = module.InferInput(name, [2, 16], "FP32")
        tensor.set_data_from_numpy(value, binary_data=binary)
        tensors.append(tensor)
    return tensors, a, b


class EveryAddress(unittest.TestCase):
    def each(self):
        for name in ("server", "balancer"):
            with self.subTest(through=name):
                yield http.InferenceServerClient(getattr(stack, name))

    def test_infer_json_and_binary(self):
        for client in self.each():
            for binary_in in (False, True):
                for binary_out in (False, True):
                    tensors, a, b = inputs(http, binary_in)
                    outputs = [http.InferRequestedOutput(n, binary_data=binary_out) for n in ("OUTPUT0", "OUTPUT1")]
                    result = client.infer("add_sub", tensors, outputs=outputs, request_id="r-1")
                    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)
                    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
                    self.assertEqual(result.get_response()["id"], "r-1")

    def test_compression(self):
        for client in self.each():
            for algorithm in ("gzip", "deflate"):
                tensors, a, b = inputs(http, True)
                result = client.infer("add_sub", tensors, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)

    def test_strings(self):
        words = np.array([["hello", "grüße", ""]], dtype=object)
        for client in self.each():
            for binary in (False, True):
                tensor = http.InferInput("INPUT0", [1, 3], "BYTES")
                tensor.set_data_from_numpy(words, binary_data=binary)
                result = client.infer("strings", [tensor])
                self.assertEqual([w.decode() for w in result.as_numpy("OUTPUT0").reshape(-1)], ["hello", "grüße", ""])

    def test_health_metadata_config(self):
        for client in self.each():
            self.assertTrue(client.is_server_live())
            self.assertTrue(client.is_server_ready())
            self.assertTrue(client.is_model_ready("resnet50"))
            self.assertFalse(client.is_model_ready("nope"))
            self.assertIn("binary_tensor_data", client.get_server_metadata()["extensions"])
            self.assertEqual(client.get_model_metadata("resnet50")["inputs"][0]["shape"], [-1, 3, 224, 224])
            config = client.get_model_config("add_sub")
            self.assertEqual(config["max_batch_size"], 8)
            self.assertIn("dynamic_batching", config)

    def test_statistics_count_what_was_sent(self):
        client = http.InferenceServerClient(stack.server)
        def count():
            return client.get_inference_statistics("add_sub")["model_stats"][0]["inference_count"]
        before = count()
        tensors, _, _ = inputs(http, True)
        for _ in range(5):
            client.infer("add_sub", tensors)
        self.assertEqual(count() - before, 10)  # Two rows each.

    def test_repository_index(self):
        for client in self.each():
            index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
            self.assertEqual(index["resnet50"], "READY")

    def test_errors_carry_the_server_s_words(self):
        for client in self.each():
            tensors, _, _ = inputs(http, True)
            with self.assertRaisesRegex(InferenceServerException, "unknown model: 'nope'"):
                client.infer("nope", tensors)
            with self.assertRaisesRegex(InferenceServerException, "expected 2 inputs but got 1"):
                client.infer("add_sub", tensors[:1])

    def test_async_infer_and_many_at_once(self):
        for name in ("server", "balancer"):
            client = http.InferenceServerClient(getattr(stack, name), concurrency=8)
            tensors, a, b = inputs(http, True)
            waiting = [client.async_infer("add_sub", tensors) for _ in range(64)]
            for pending in waiting:
                np.testing.assert_array_equal(pending.get_result().as_numpy("OUTPUT0"), a + b)
            client.close()

    def test_asyncio_client(self):
        async def run(address):
            async with http_aio.InferenceServerClient(address) as client:
                tensors, a, b = inputs(http_aio, True)
                results = await asyncio.gather(*[client.infer("add_sub", tensors) for _ in range(16)])
                for result in results:
                    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
                self.assertTrue(await client.is_model_ready("add_sub"))
        for address in (stack.server, stack.balancer):
            asyncio.run(run(address))

    def test_curl_and_metrics(self):
        body = json.dumps({"inputs": [{"name": n, "shape": [1, 16], "datatype": "FP32", "data": [1.5] * 16} for n in ("INPUT0", "INPUT1")]})
        for address in (stack.server, stack.balancer):
            answer = subprocess.run(["curl", "-sf", f"http://{address}/v2/models/add_sub/infer", "-d", body], capture_output=True, check=True)
            self.assertEqual(json.loads(answer.stdout)["outputs"][0]["data"], [3.0] * 16)
        metrics = urllib.request.urlopen(f"http://{stack.metrics}/metrics").read().decode()
        self.assertIn('nv_inference_request_success{model="add_sub",version="1"}', metrics)

    def test_control_through_the_balancer_is_refused(self):
        client = http.InferenceServerClient(stack.balancer)
        with self.assertRaises(InferenceServerException):
            client.unload_model("add_sub")
        self.assertTrue(client.is_model_ready("add_sub"))


class OneServer(unittest.TestCase):
    """What changes one replica and is not for a balancer."""

    def test_shared_memory(self):
        client = http.InferenceServerClient(stack.server)
        tensors, a, b = inputs(http, True)
        size = a.nbytes
        key = f"/tepal_client_{os.getpid()}"
        region = shared_memory.create_shared_memory_region("tensors", key, 4 * size)
        try:
            shared_memory.set_shared_memory_region(region, [a, b])
            client.register_system_shared_memory("tensors", key, 4 * size)
            self.assertEqual([r["name"] for r in client.get_system_shared_memory_status()], ["tensors"])
            outputs = [http.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
            for i, tensor in enumerate(tensors + outputs):
                tensor.set_shared_memory("tensors", size, i * size)
            for _ in range(3):
                result = client.infer("add_sub", tensors, outputs=outputs)
                self.assertNotIn("data", result.get_output("OUTPUT0"))
            for i, expected in ((2, a + b), (3, a - b)):
                got = shared_memory.get_contents_as_numpy(region, np.float32, [2, 16], i * size)
                np.testing.assert_array_equal(got, expected)
            client.unregister_system_shared_memory()
            self.assertEqual(client.get_system_shared_memory_status(), [])
            with self.assertRaisesRegex(InferenceServerException, "Unable to find shared memory region: 'tensors'"):
                client.infer("add_sub", tensors, outputs=outputs)
            self.assertEqual(client.get_cuda_shared_memory_status(), [])
            client.unregister_cuda_shared_memory()
        finally:
            shared_memory.destroy_shared_memory_region(region)

    def test_settings(self):
        client = http.InferenceServerClient(stack.server)
        self.assertEqual(client.update_log_settings({"log_verbose_level": 1})["log_verbose_level"], 1)
        client.update_log_settings({"log_verbose_level": 0})
        self.assertEqual(client.get_log_settings()["log_verbose_level"], 0)
        self.assertEqual(client.update_trace_settings("add_sub", {"trace_rate": "7"})["trace_rate"], "7")
        self.assertEqual(client.get_trace_settings()["trace_rate"], "1000")

    def test_generate(self):
        for path, start in (("generate", b"{"), ("generate_stream", b"data: {")):
            request = urllib.request.Request(f"http://{stack.server}/v2/models/strings/{path}", b'{"INPUT0": "h\xc3\xa9"}')
            with urllib.request.urlopen(request, timeout=10) as answer:
                body = answer.read()
            self.assertTrue(body.startswith(start), body)
            self.assertEqual(json.loads(body.decode().removeprefix("data: "))["OUTPUT0"], "h\u00e9")


if __name__ == "__main__":
    unittest.main()
