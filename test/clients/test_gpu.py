"""A whole server on GPUs that are not there: test/fake_cuda stands in for CUDA's driver and NVML.

This process uses the same driver, so it can give the server memory "on a GPU", which crashes whoever touches it in another way.
"""
import base64
import ctypes
import json
import struct
import unittest
import urllib.request

import numpy
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from server import IDENTITY, Server
from stack import BUILD

FAKE = BUILD / "lib/fake_cuda"
SLICE = "MIG-fa000000-0000-0000-0000-000000000001"
GPU = "GPU-fa000000-0000-0000-0000-000000000000"
VALUES = [1.5, -2.0, 3.25, 4.0]
SIZE = 4 * len(VALUES)
ON_CPU = IDENTITY + "instance_group { kind: KIND_CPU }\n"
PINNED = """backend: "identity"
instance_group { kind: KIND_GPU }
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }
"""


class GpuMemory:
    driver = None

    @classmethod
    def check(cls, result):
        assert result == 0, f"CUDA error {result}"

    def __init__(self):
        if GpuMemory.driver is None:
            GpuMemory.driver = ctypes.CDLL(str(FAKE / "libcuda.so.1"))
            context = ctypes.c_void_p()
            self.check(self.driver.cuInit(0))
            self.check(self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
            self.check(self.driver.cuCtxPushCurrent_v2(context))
        self.address = ctypes.c_uint64()
        self.check(self.driver.cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(2 * SIZE)))
        self.check(self.driver.cuMemcpyHtoD_v2(self.address, struct.pack("4f4f", *VALUES, *[0] * 4), ctypes.c_size_t(2 * SIZE)))

    def handle(self):
        raw = ctypes.create_string_buffer(64)
        self.check(self.driver.cuIpcGetMemHandle(raw, self.address))
        return raw.raw

    def second_half(self):
        data = ctypes.create_string_buffer(2 * SIZE)
        self.check(self.driver.cuMemcpyDtoH_v2(data, self.address, ctypes.c_size_t(2 * SIZE)))
        return list(struct.unpack("4f", data.raw[SIZE:]))

    def close(self):
        self.check(self.driver.cuMemFree_v2(self.address))


def page(server):
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as answer:
        return answer.read().decode()


class Gpu(unittest.TestCase):
    def serve(self, *flags, models=None):
        server = Server("--allow-client-shm=true", *flags, models=models or {"echo": ON_CPU}, environment={"LD_LIBRARY_PATH": str(FAKE)})
        self.addCleanup(server.stop)
        return server

    def through_cuda_memory(self, module, client):
        memory = GpuMemory()
        self.addCleanup(memory.close)
        client.register_cuda_shared_memory("on_gpu", base64.b64encode(memory.handle()), 0, 2 * SIZE)
        self.assertIn("on_gpu", str(client.get_cuda_shared_memory_status()))
        source = module.InferInput("INPUT0", [1, len(VALUES)], "FP32")
        source.set_shared_memory("on_gpu", SIZE)
        target = module.InferRequestedOutput("OUTPUT0")
        target.set_shared_memory("on_gpu", SIZE, offset=SIZE)
        client.infer("echo", [source], outputs=[target])
        self.assertEqual(memory.second_half(), VALUES)
        client.unregister_cuda_shared_memory("on_gpu")
        self.assertNotIn("on_gpu", str(client.get_cuda_shared_memory_status()))
        with self.assertRaisesRegex(Exception, "on_gpu"):
            client.infer("echo", [source], outputs=[target])

    def test_cuda_memory_is_registered_used_and_let_go_over_http(self):
        with httpclient.InferenceServerClient(self.serve().http) as client:
            self.through_cuda_memory(httpclient, client)

    def test_cuda_memory_is_registered_used_and_let_go_over_grpc(self):
        with grpcclient.InferenceServerClient(self.serve().grpc) as client:
            self.through_cuda_memory(grpcclient, client)

    def test_metrics_are_those_of_the_gpus(self):
        text = page(self.serve())
        for line in (f'nv_gpu_power_limit{{gpu_uuid="{GPU}"}} 700', f'nv_gpu_memory_used_bytes{{gpu_uuid="{SLICE}"}} 4096',
                     f'nv_energy_consumption{{gpu_uuid="{GPU}"}} '):
            self.assertIn(line, text)
        self.assertNotIn(f'nv_gpu_utilization{{gpu_uuid="{SLICE}"', text)

    def test_a_slice_is_chosen_by_its_uuid(self):
        server = self.serve(f"--gpus={SLICE}", models={"pinned": PINNED})
        text = page(server)
        self.assertIn(f'gpu_uuid="{SLICE}"', text)
        self.assertNotIn(GPU, text)
        self.assertIn('gpu="0"', next(line for line in text.splitlines() if line.startswith("tepal_instance_busy_us")))

    def test_a_gpu_beyond_those_chosen_is_refused(self):
        models = {"echo": ON_CPU, "far": PINNED.replace("KIND_GPU", "KIND_GPU gpus: [ 1 ]")}
        server = self.serve(f"--gpus={SLICE}", "--exit-on-error=false", models=models)
        with urllib.request.urlopen(urllib.request.Request(f"http://{server.http}/v2/repository/index", b""), timeout=10) as answer:
            reasons = {model["name"]: model.get("reason", "") for model in json.load(answer)}
        self.assertIn("unsupported gpu id 1. GPUs that the server may use are: 0", reasons["far"])

    # As a result is as large as its request, each takes a block of its own.
    def pinned(self, module, address):
        server = self.serve(models={"pinned": PINNED})
        self.assertEqual(self.bytes(server, "tepal_pinned_memory_pool_held_bytes"), 0)
        values = numpy.arange(100_000, dtype="float32")
        with module.InferenceServerClient(address(server)) as client:
            source = module.InferInput("INPUT0", [len(values)], "FP32")
            source.set_data_from_numpy(values)
            answer = client.infer("pinned", [source]).as_numpy("OUTPUT0")
        self.assertTrue((answer == values).all())
        held = self.bytes(server, "tepal_pinned_memory_pool_held_bytes")
        self.assertGreaterEqual(held, 2 * values.nbytes)
        self.assertLess(held, 3 * values.nbytes)
        server.wait_until(lambda: self.bytes(server, "nv_pinned_memory_pool_used_bytes") == 0, "the blocks come back")

    def test_bodies_and_results_of_a_model_on_a_gpu_are_pinned_over_http(self):
        self.pinned(httpclient, lambda server: server.http)

    def test_messages_and_results_of_a_model_on_a_gpu_are_pinned_over_grpc(self):
        self.pinned(grpcclient, lambda server: server.grpc)

    @staticmethod
    def bytes(server, name):
        return int(next(line for line in page(server).splitlines() if line.startswith(name + " ")).split()[1])


if __name__ == "__main__":
    unittest.main()
