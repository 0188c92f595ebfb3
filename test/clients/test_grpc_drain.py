"""A server that is told to stop does not wait for gRPC calls that nobody uses, and answers those that somebody does."""
import queue
import signal
import time
import unittest

import grpc
import numpy as np
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from server import IDENTITY, Server, delay

EXIT_S = 10  # Far below --exit-timeout-secs, 30.


class Stream:
    """A ModelStreamInfer call of tritonclient; what comes goes into a queue."""

    def __init__(self, server):
        self.answers = queue.Queue()
        self.client = tritonclient.grpc.InferenceServerClient(server.grpc, channel_args=[("grpc.use_local_subchannel_pool", 1)])
        self.client.start_stream(lambda result, error: self.answers.put(error or result.get_response().id))

    def ask(self, model, request_id):
        tensor = tritonclient.grpc.InferInput("INPUT0", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2]], dtype=np.float32))
        self.client.async_stream_infer(model, [tensor], request_id=request_id)

    def next(self):
        return self.answers.get(timeout=20)


class GrpcDrain(unittest.TestCase):
    def setUp(self):
        self.server = Server(models={"echo": IDENTITY, "slow": delay(600)})
        self.addCleanup(self.server.stop)

    def stream(self):
        stream = Stream(self.server)
        self.addCleanup(stream.client.close)
        return stream

    def drain(self):
        self.began = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)

    def assert_stopped(self):
        self.assertEqual(self.server.process.wait(20), 0)
        self.assertLess(time.monotonic() - self.began, EXIT_S)

    def assert_ended(self, stream):
        error = stream.next()
        self.assertIsInstance(error, InferenceServerException)
        self.assertEqual(error.status(), "StatusCode.UNAVAILABLE", error)

    def test_idle_streams_hold_nobody_up(self):
        used, unused = self.stream(), self.stream()
        used.ask("echo", "1")
        self.assertEqual(used.next(), "1")
        channel = grpc.insecure_channel(self.server.grpc)
        self.addCleanup(channel.close)
        ask = queue.Queue()
        self.addCleanup(ask.put, None)
        reflection = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(iter(ask.get, None))
        ask.put(b"\x3a\x00")  # list_services.
        self.assertIn(b"inference.GRPCInferenceService", next(reflection))
        self.drain()
        for stream in (used, unused):
            self.assert_ended(stream)
        with self.assertRaises(grpc.RpcError) as ended:
            next(reflection)
        self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assert_stopped()

    def test_what_came_before_is_answered(self):
        stream = self.stream()
        for request_id in "123":
            stream.ask("slow", request_id)
        self.assertEqual(stream.next(), "1")  # The others came long before it.
        self.drain()
        self.assertEqual([stream.next() for _ in range(2)], ["2", "3"])
        self.assert_ended(stream)
        self.assert_stopped()


if __name__ == "__main__":
    unittest.main()
