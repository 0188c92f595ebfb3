"""tritonclient[grpc] from its wheel: every call that it has, against the server."""
import json
import os
import queue
import threading
import time
import unittest

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.utils.shared_memory as shared_memory
from tritonclient.utils import InferenceServerException

from grpc_models import ADD_SUB, VALUES, every_type, pair, tensor, values_of
from server import IDENTITY, Server, delay

SLOW_SECONDS = 1.0
FILES = {"file:1/model.bin": b"x" * 100_000, "file:labels.txt": b"daisy\nrose"}
CONFIG = json.dumps({"backend": "identity", "max_batch_size": 8,
                     "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [-1]}],
                     "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [-1], "label_filename": "labels.txt"}]})

server = None


def setUpModule():
    global server
    models = {"add_sub": ADD_SUB, "echo": IDENTITY, "slow": delay(int(SLOW_SECONDS * 1000)), **every_type()}
    server = Server("--model-control-mode=explicit", "--load-model=*", "--allow-client-shm=true", models=models)


def tearDownModule():
    code = server.stop()
    assert code == 0, code


class Calls(unittest.TestCase):
    def setUp(self):
        self.client = grpc.InferenceServerClient(server.grpc)
        self.addCleanup(self.client.close)


class Control(Calls):
    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("add_sub"))
        self.assertTrue(self.client.is_model_ready("add_sub", "1"))
        self.assertFalse(self.client.is_model_ready("add_sub", "2"))
        self.assertFalse(self.client.is_model_ready("nope"))
        self.assertIn("system_shared_memory", self.client.get_server_metadata().extensions)
        metadata = self.client.get_model_metadata("identity_bf16", as_json=True)
        self.assertEqual(metadata["versions"], ["1"])
        self.assertEqual(metadata["inputs"], [{"name": "INPUT0", "datatype": "BF16", "shape": ["-1", "-1"]}])
        with self.assertRaisesRegex(InferenceServerException, r"\[StatusCode.NOT_FOUND\] Request for unknown model: 'nope'"):
            self.client.get_model_metadata("nope")

    def test_config(self):
        config = self.client.get_model_config("slow").config
        self.assertEqual((config.name, config.backend, config.max_batch_size), ("slow", "delay", 8))
        self.assertEqual(config.input[0].name, "INPUT0")
        self.assertEqual(config.parameters["sleep_ms"].string_value, "1000")
        self.assertEqual(config.instance_group[0].count, 1)

    def test_statistics_count_what_was_sent(self):
        def counts():
            stats = self.client.get_inference_statistics("add_sub", "1").model_stats[0]
            return np.array([stats.inference_count, stats.execution_count, stats.inference_stats.success.count])
        before = counts()
        for _ in range(3):
            self.client.infer("add_sub", pair(grpc)[0])
        np.testing.assert_array_equal(counts() - before, [6, 3, 3])  # Two rows each.
        self.assertGreater(len(self.client.get_inference_statistics().model_stats), len(VALUES))

    def test_index_load_and_unload(self):
        def state(name):
            return next((m.state, m.reason) for m in self.client.get_model_repository_index().models if m.name == name)
        self.assertEqual(state("echo"), ("READY", ""))
        self.client.unload_model("echo")
        self.assertFalse(self.client.is_model_ready("echo"))
        self.assertEqual(state("echo"), ("UNAVAILABLE", "unloaded"))
        with self.assertRaisesRegex(InferenceServerException, r"\[StatusCode.NOT_FOUND\] .*'echo' has no available versions"):
            self.client.infer("echo", [tensor(grpc, values_of("FP32"))])
        self.client.load_model("echo", config=CONFIG.replace('"max_batch_size": 8', '"max_batch_size": 3').replace("labels.txt", ""))
        self.assertEqual(self.client.get_model_config("echo").config.max_batch_size, 3)
        self.client.load_model("echo")
        self.assertEqual(self.client.get_model_config("echo").config.max_batch_size, 8)
        with self.assertRaisesRegex(InferenceServerException, "nope"):
            self.client.load_model("nope")

    def test_a_model_comes_in_the_request(self):
        with self.assertRaisesRegex(InferenceServerException, "config"):
            self.client.load_model("sent", files=FILES)
        self.client.load_model("sent", config=CONFIG, files=FILES)
        self.addCleanup(self.client.unload_model, "sent", unload_dependents=True)
        outputs = [grpc.InferRequestedOutput("OUTPUT0", class_count=1)]
        result = self.client.infer("sent", [tensor(grpc, np.array([[1, 2]], np.float32))], outputs=outputs)
        self.assertEqual(result.as_numpy("OUTPUT0").tolist(), [[b"2.000000:1:rose"]])

    def test_settings(self):
        update = self.client.update_log_settings
        self.assertEqual(update({"log_verbose_level": 1}, as_json=True)["settings"]["log_verbose_level"], {"uint32_param": 1})
        update({"log_verbose_level": 0})
        self.assertEqual(self.client.get_log_settings().settings["log_verbose_level"].uint32_param, 0)
        changed = self.client.update_trace_settings("add_sub", {"trace_rate": "7"})
        self.assertEqual(list(changed.settings["trace_rate"].value), ["7"])
        self.assertEqual(list(self.client.get_trace_settings("add_sub").settings["trace_rate"].value), ["7"])
        self.assertEqual(list(self.client.get_trace_settings().settings["trace_rate"].value), ["1000"])
        cleared = self.client.update_trace_settings("add_sub", {"trace_rate": None})
        self.assertEqual(list(cleared.settings["trace_rate"].value), ["1000"])


class Infer(Calls):
    def test_every_data_type(self):
        for datatype in VALUES:
            with self.subTest(datatype):
                values = values_of(datatype)
                result = self.client.infer(f"identity_{datatype.lower()}", [tensor(grpc, values, datatype)], request_id=datatype)
                got = result.as_numpy("OUTPUT0")
                # BF16: the client widens it to float32.
                np.testing.assert_array_equal(got, values.astype(got.dtype))
                self.assertEqual(result.get_output("OUTPUT0").datatype, datatype)
                self.assertEqual(result.get_response().id, datatype)

    def test_compression(self):
        values = np.ones((1, 100_000), np.float32)
        for algorithm in ("gzip", "deflate"):
            result = self.client.infer("echo", [tensor(grpc, values)], compression_algorithm=algorithm)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values)

    def test_megabytes(self):
        values = np.arange(4 << 20, dtype=np.float32).reshape(1, -1)
        np.testing.assert_array_equal(self.client.infer("echo", [tensor(grpc, values)]).as_numpy("OUTPUT0"), values)

    def test_asked_outputs_and_classes(self):
        inputs, a, b = pair(grpc)
        result = self.client.infer("add_sub", inputs, outputs=[grpc.InferRequestedOutput("OUTPUT1")])
        self.assertIsNone(result.as_numpy("OUTPUT0"))
        np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
        result = self.client.infer("add_sub", inputs, outputs=[grpc.InferRequestedOutput("OUTPUT0", class_count=2)])
        self.assertEqual(result.as_numpy("OUTPUT0").tolist(), [[b"3.500000:3", b"2.500000:2"], [b"7.500000:3", b"6.500000:2"]])

    def test_parameters_and_priority(self):
        inputs, a, b = pair(grpc)
        parameters = {"text": "x", "flag": True, "count": 3, "share": 0.5}
        result = self.client.infer("add_sub", inputs, parameters=parameters, priority=1, timeout=10_000_000, headers={"x-tepal": "1"})
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)

    def test_errors_carry_their_code(self):
        inputs, _, _ = pair(grpc)
        for model, given, said in (("nope", inputs, "StatusCode.NOT_FOUND"), ("add_sub", inputs[:1], "StatusCode.INVALID_ARGUMENT"),
                                   ("add_sub", [tensor(grpc, values_of("FP64"), "FP64"), inputs[1]], "StatusCode.INVALID_ARGUMENT")):
            with self.assertRaises(InferenceServerException) as refused:
                self.client.infer(model, given)
            self.assertEqual(refused.exception.status(), said)

    def test_client_timeout(self):
        started = time.monotonic()
        with self.assertRaises(InferenceServerException) as late:
            self.client.infer("slow", [tensor(grpc, values_of("FP32"))], client_timeout=0.1)
        self.assertEqual(late.exception.status(), "StatusCode.DEADLINE_EXCEEDED")
        self.assertLess(time.monotonic() - started, SLOW_SECONDS)
        server.wait_until(lambda: server.in_flight("slow") == 0, "the model is free")

    def test_async_infer_many_at_once(self):
        inputs, a, b = pair(grpc)
        answers = queue.Queue()
        for _ in range(64):
            self.client.async_infer("add_sub", inputs, callback=lambda result, error: answers.put((result, error)))
        for _ in range(64):
            result, error = answers.get(timeout=20)
            self.assertIsNone(error)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)

    def test_async_infer_is_cancelled(self):
        before = server.cancelled("slow")
        answers = queue.Queue()
        waiting = tensor(grpc, values_of("FP32"))
        first = threading.Thread(target=self.client.infer, args=("slow", [waiting]))
        first.start()
        self.addCleanup(first.join)
        server.wait_until(lambda: server.in_flight("slow") == 1, "the first request is in")
        call = self.client.async_infer("slow", [waiting], callback=lambda result, error: answers.put((result, error)))
        server.wait_until(lambda: server.in_flight("slow") == 2, "the second waits")
        call.cancel()
        result, error = answers.get(timeout=SLOW_SECONDS)
        self.assertIsNone(result)
        self.assertEqual(error.status(), "StatusCode.CANCELLED")
        server.wait_until(lambda: server.cancelled("slow") == before + 1, "the server hears of it", limit_s=SLOW_SECONDS)

    def test_system_shared_memory(self):
        inputs, a, b = pair(grpc)
        size, key = a.nbytes, f"/tepal_grpc_{os.getpid()}"
        region = shared_memory.create_shared_memory_region("tensors", key, 4 * size)
        try:
            shared_memory.set_shared_memory_region(region, [a, b])
            self.client.register_system_shared_memory("tensors", key, 4 * size)
            self.assertEqual(self.client.get_system_shared_memory_status().regions["tensors"].byte_size, 4 * size)
            outputs = [grpc.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
            for i, place in enumerate(inputs + outputs):
                place.set_shared_memory("tensors", size, i * size)
            result = self.client.infer("add_sub", inputs, outputs=outputs)
            self.assertEqual(list(result.get_response().raw_output_contents), [b"", b""])
            for i, expected in ((2, a + b), (3, a - b)):
                np.testing.assert_array_equal(shared_memory.get_contents_as_numpy(region, np.float32, [2, 4], i * size), expected)
            with self.assertRaisesRegex(InferenceServerException, "already in manager"):
                self.client.register_system_shared_memory("tensors", key, 4 * size)
            self.client.unregister_system_shared_memory("tensors")
            self.assertEqual(len(self.client.get_system_shared_memory_status().regions), 0)
            with self.assertRaisesRegex(InferenceServerException, "Unable to find shared memory region: 'tensors'"):
                self.client.infer("add_sub", inputs, outputs=outputs)
            self.assertEqual(len(self.client.get_cuda_shared_memory_status().regions), 0)
            self.client.unregister_cuda_shared_memory()
        finally:
            shared_memory.destroy_shared_memory_region(region)


class Stream(Calls):
    def setUp(self):
        super().setUp()
        self.answers = queue.Queue()

    def start(self, **options):
        self.client.start_stream(callback=lambda result, error: self.answers.put((result, error)), **options)

    def next(self):
        return self.answers.get(timeout=20)

    def test_answers_come_in_order_with_errors_among_them(self):
        self.start(headers={"x-tepal": "1"}, compression_algorithm="gzip")
        inputs, a, b = pair(grpc)
        for i in range(50):
            self.client.async_stream_infer("nope" if i == 20 else "add_sub", inputs, request_id=str(i))
        for i in range(50):
            result, error = self.next()
            if i == 20:
                self.assertRegex(error.message(), "unknown model: 'nope'")
                continue
            self.assertIsNone(error)
            self.assertEqual(result.get_response().id, str(i))
            np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
        self.client.stop_stream()
        self.assertTrue(self.answers.empty())

    def test_the_final_answer_says_so(self):
        self.start()
        inputs, _, _ = pair(grpc)
        for enabled in (False, True):
            self.client.async_stream_infer("add_sub", inputs, enable_empty_final_response=enabled)
            result, error = self.next()
            self.assertIsNone(error)
            self.assertEqual(result.get_response().parameters["triton_final_response"].bool_param, True)
            self.assertEqual(len(result.get_response().outputs), 2)
        self.client.stop_stream()

    def test_stopping_waits_for_what_was_sent(self):
        self.start()
        self.client.async_stream_infer("slow", [tensor(grpc, values_of("FP32"))])
        self.client.stop_stream()
        result, error = self.answers.get_nowait()
        self.assertIsNone(error)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values_of("FP32"))

    def test_stopping_may_cancel(self):
        before = server.cancelled("slow")
        self.start()
        for _ in range(3):
            self.client.async_stream_infer("slow", [tensor(grpc, values_of("FP32"))])
        server.wait_until(lambda: server.in_flight("slow") == 3, "all are in")
        started = time.monotonic()
        self.client.stop_stream(cancel_requests=True)
        result, error = self.next()
        self.assertIsNone(result)
        self.assertEqual(error.status(), "StatusCode.CANCELLED")
        self.assertLess(time.monotonic() - started, SLOW_SECONDS)
        server.wait_until(lambda: server.in_flight("slow") == 0, "the server is done with them", limit_s=2 * SLOW_SECONDS)
        self.assertGreaterEqual(server.cancelled("slow") - before, 2)  # The first was with the model already.

    def test_a_stream_has_a_deadline(self):
        self.start(stream_timeout=0.2)
        self.client.async_stream_infer("slow", [tensor(grpc, values_of("FP32"))])
        result, error = self.next()
        self.assertIsNone(result)
        self.assertEqual(error.status(), "StatusCode.DEADLINE_EXCEEDED")
        self.client.stop_stream()
        server.wait_until(lambda: server.in_flight("slow") == 0, "the model is free")


if __name__ == "__main__":
    unittest.main()
