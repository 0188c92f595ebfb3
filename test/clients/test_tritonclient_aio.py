"""tritonclient[http] and [grpc] for asyncio, from their wheel: the calls that both have, and what only one of them has."""
import asyncio
import os
import time
import unittest

import numpy as np
import tritonclient.grpc.aio as grpc
import tritonclient.http.aio as http
import tritonclient.utils.shared_memory as shared_memory
from tritonclient.utils import InferenceServerException

from grpc_models import ADD_SUB, VALUES, every_type, pair, tensor, values_of
from server import IDENTITY, Server, delay

SLOW_SECONDS = 1.0

server = None


def setUpModule():
    global server
    models = {"add_sub": ADD_SUB, "echo": IDENTITY, "other": IDENTITY, "slow": delay(int(SLOW_SECONDS * 1000)), **every_type()}
    server = Server("--model-control-mode=explicit", "--load-model=*", "--allow-client-shm=true", models=models)


def tearDownModule():
    code = server.stop()
    assert code == 0, code


class Common:
    """For each flavour. `json` is how one asks for plain dictionaries, which HTTP always gives."""

    async def asyncSetUp(self):
        self.client = self.module.InferenceServerClient(self.address())
        self.addAsyncCleanup(self.client.close)

    async def test_health_metadata_and_config(self):
        self.assertTrue(await self.client.is_server_live())
        self.assertTrue(await self.client.is_server_ready())
        self.assertTrue(await self.client.is_model_ready("add_sub", "1"))
        self.assertFalse(await self.client.is_model_ready("nope"))
        self.assertIn("model_repository", (await self.client.get_server_metadata(**self.json))["extensions"])
        metadata = await self.client.get_model_metadata("identity_fp16", **self.json)
        self.assertEqual([int(n) for n in metadata["inputs"][0]["shape"]], [-1, -1])
        config = await self.client.get_model_config("slow", **self.json)
        self.assertEqual(config.get("config", config)["backend"], "delay")
        with self.assertRaisesRegex(InferenceServerException, "unknown model: 'nope'"):
            await self.client.get_model_metadata("nope")

    async def test_statistics(self):
        async def count():
            answer = await self.client.get_inference_statistics("add_sub", **self.json)
            return int(answer["model_stats"][0].get("inference_count", 0))
        before = await count()
        await self.client.infer("add_sub", pair(self.module)[0])
        self.assertEqual(await count() - before, 2)

    async def test_load_and_unload(self):
        await self.client.unload_model("other")
        self.assertFalse(await self.client.is_model_ready("other"))
        await self.client.load_model("other")
        self.assertTrue(await self.client.is_model_ready("other"))
        index = await self.client.get_model_repository_index(**self.json)
        states = {m["name"]: m["state"] for m in (index if isinstance(index, list) else index["models"])}
        self.assertEqual(states["other"], "READY")

    async def test_every_data_type(self):
        for datatype in VALUES:
            with self.subTest(datatype):
                values = values_of(datatype)
                result = await self.client.infer(f"identity_{datatype.lower()}", [tensor(self.module, values, datatype)], request_id="7")
                got = result.as_numpy("OUTPUT0")
                np.testing.assert_array_equal(got, values.astype(got.dtype))  # BF16 comes as float32.

    async def test_many_at_once(self):
        inputs, a, b = pair(self.module)
        outputs = [self.module.InferRequestedOutput("OUTPUT0"), self.module.InferRequestedOutput("OUTPUT1", class_count=1)]
        calls = [self.client.infer("add_sub", inputs, outputs=outputs, priority=1, timeout=10_000_000, parameters={"x": 1}) for _ in range(64)]
        for result in await asyncio.gather(*calls):
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)
            self.assertEqual(result.as_numpy("OUTPUT1").tolist(), [[b"2.500000:3"], [b"6.500000:3"]])

    async def test_compression(self):
        values = np.ones((1, 100_000), np.float32)
        for algorithm in ("gzip", "deflate"):
            result = await self.client.infer("echo", [tensor(self.module, values)], **self.compressed(algorithm))
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values)

    async def test_settings(self):
        await self.client.update_log_settings({"log_verbose_level": 0})
        self.assertIn("log_verbose_level", str(await self.client.get_log_settings(**self.json)))
        await self.client.update_trace_settings("echo", {"trace_rate": "7"})
        self.assertIn("'7'", str(await self.client.get_trace_settings("echo", **self.json)))
        await self.client.update_trace_settings("echo", {"trace_rate": None})
        self.assertIn("'1000'", str(await self.client.get_trace_settings("echo", **self.json)))

    async def test_system_shared_memory(self):
        inputs, a, b = pair(self.module)
        size, key = a.nbytes, f"/tepal_aio_{os.getpid()}"
        region = shared_memory.create_shared_memory_region("tensors", key, 3 * size)
        try:
            shared_memory.set_shared_memory_region(region, [a, b])
            await self.client.register_system_shared_memory("tensors", key, 3 * size)
            self.assertIn("tensors", str(await self.client.get_system_shared_memory_status(**self.json)))
            outputs = [self.module.InferRequestedOutput("OUTPUT0")]
            for i, place in enumerate(inputs + outputs):
                place.set_shared_memory("tensors", size, i * size)
            await self.client.infer("add_sub", inputs, outputs=outputs)
            np.testing.assert_array_equal(shared_memory.get_contents_as_numpy(region, np.float32, [2, 4], 2 * size), a + b)
            await self.client.unregister_system_shared_memory("tensors")
            self.assertNotIn("tensors", str(await self.client.get_system_shared_memory_status(**self.json)))
        finally:
            shared_memory.destroy_shared_memory_region(region)


class Http(Common, unittest.IsolatedAsyncioTestCase):
    module = http
    json = {}

    def address(self):
        return server.http

    def compressed(self, algorithm):
        return {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}


class Grpc(Common, unittest.IsolatedAsyncioTestCase):
    module = grpc
    json = {"as_json": True}

    def address(self):
        return server.grpc

    def compressed(self, algorithm):
        return {"compression_algorithm": algorithm}

    async def test_client_timeout(self):
        started = time.monotonic()
        with self.assertRaises(InferenceServerException) as late:
            await self.client.infer("slow", [tensor(grpc, values_of("FP32"))], client_timeout=0.1)
        self.assertEqual(late.exception.status(), "StatusCode.DEADLINE_EXCEEDED")
        self.assertLess(time.monotonic() - started, SLOW_SECONDS)

    async def test_a_cancelled_call(self):
        call = asyncio.ensure_future(self.client.infer("slow", [tensor(grpc, values_of("FP32"))]))
        while server.in_flight("slow") == 0:
            await asyncio.sleep(0.01)
        call.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await call
        self.assertTrue(await self.client.is_server_live())

    async def test_a_stream(self):
        inputs, a, b = pair(grpc)

        async def requests():
            for i in range(20):
                yield {"model_name": "nope" if i == 5 else "add_sub", "inputs": inputs, "request_id": str(i), "enable_empty_final_response": True}

        seen = 0
        async for result, error in self.client.stream_infer(requests()):
            if seen == 5:
                self.assertRegex(error.message(), "unknown model: 'nope'")
            else:
                self.assertIsNone(error)
                self.assertEqual(result.get_response().id, str(seen))
                self.assertTrue(result.get_response().parameters["triton_final_response"].bool_param)
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), a + b)
            seen += 1
        self.assertEqual(seen, 20)

    async def test_a_conversation(self):
        """The next request is made of the answer before it."""
        answers = asyncio.Queue()

        async def requests():
            values = np.ones((1, 4), np.float32)
            for _ in range(10):
                yield {"model_name": "add_sub", "inputs": [tensor(grpc, values), tensor(grpc, values, name="INPUT1")]}
                values = await answers.get()

        async for result, error in self.client.stream_infer(requests()):
            self.assertIsNone(error)
            last = result.as_numpy("OUTPUT0")
            await answers.put(last)
        np.testing.assert_array_equal(last, np.full((1, 4), 1024, np.float32))

    async def test_a_cancelled_stream(self):
        async def requests():
            yield {"model_name": "slow", "inputs": [tensor(grpc, values_of("FP32"))]}

        stream = self.client.stream_infer(requests())
        started = time.monotonic()
        asyncio.get_running_loop().call_later(0.1, stream.cancel)
        with self.assertRaises((asyncio.CancelledError, InferenceServerException)):
            async for _ in stream:
                self.fail("an answer of a cancelled stream")
        self.assertLess(time.monotonic() - started, SLOW_SECONDS)


if __name__ == "__main__":
    unittest.main()
