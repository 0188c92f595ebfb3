"""gRPC through the one address of `tepal up`: tritonclient.grpc against several replicas, one of them killed on the way."""
import os
import queue
import re
import signal
import unittest
import urllib.request

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from test_up import DELAY, FILE, Up

SHORT = DELAY.replace('"40"', '"5"')
THREE = FILE.replace("autoscaler:\n", "autoscaler:\n  minReplicas: 3\n")
CALLS, AT_A_TIME = 300, 6


def tensor(value):
    made = grpc.InferInput("INPUT0", [1, 4], "FP32")
    made.set_data_from_numpy(np.full((1, 4), value, np.float32))
    return [made]


def answered(slot):
    """Inferences that the replica itself has counted."""
    page = urllib.request.urlopen(f"http://{slot['metrics_address']}/metrics", timeout=10).read().decode()
    return sum(int(count) for count in re.findall(r'^nv_inference_request_success\{model="delay".*\} (\d+)$', page, re.M))


class Grpc(unittest.TestCase):
    def start(self, file):
        up = Up(quota="off", config=SHORT, file=file)
        self.addCleanup(up.close)
        up.wait_ready(3)
        client = grpc.InferenceServerClient(f"127.0.0.1:{up.port}")
        self.addCleanup(client.close)
        return up, client

    def call(self, client, count, on_answer=lambda number: None):
        """Calls of one channel, some at a time; wrong answers and errors."""
        answers, wrong, begun, ended = queue.Queue(), [], 0, 0
        while ended < count:
            while begun < count and begun - ended < AT_A_TIME:
                client.async_infer("delay", tensor(begun), lambda result, error, number=begun: answers.put((number, result, error)))
                begun += 1
            number, result, error = answers.get(timeout=60)
            if error is not None or result.as_numpy("OUTPUT0").tolist() != [[number] * 4]:
                wrong.append((number, error))
            ended += 1
            on_answer(ended)
        return wrong

    def test_one_channel_reaches_every_replica(self):
        up, client = self.start(THREE)
        self.assertTrue(client.is_server_ready() and client.is_model_ready("delay"))
        self.assertEqual(self.call(client, CALLS), [])
        counts = [answered(slot) for slot in up.latest["slots"] if slot["state"] == "ready"]
        self.assertEqual(sum(counts), CALLS, counts)
        self.assertGreater(min(counts), CALLS / 3 / 2, counts)  # Evenly, but by what is in flight.

        streamed = queue.Queue()
        client.start_stream(lambda result, error: streamed.put((result, error)))
        client.async_stream_infer("delay", tensor(7))
        result, error = streamed.get(timeout=20)
        client.stop_stream()
        self.assertIsNone(error)
        self.assertEqual(result.as_numpy("OUTPUT0").tolist(), [[7] * 4])
        self.assertEqual(up.stop(), 0, up.said())

    def test_a_killed_replica_costs_nothing(self):
        up, client = self.start(THREE)
        victim = next(slot["pid"] for slot in up.latest["slots"] if slot["state"] == "ready")

        def kill(ended):
            if ended == CALLS // 3:
                os.kill(victim, signal.SIGKILL)

        self.assertEqual(self.call(client, CALLS, kill), [])
        up.wait(lambda s: any(slot["starts"] == 2 for slot in s["slots"]), "a new start")
        self.assertEqual(up.latest["traffic"]["failed"], 0)

    def test_flags_switch_it_off(self):
        up, client = self.start(THREE + 'serve: {{flags: ["--allow-grpc=false"]}}\n')
        self.assertFalse(any("grpc_address" in slot for slot in up.latest["slots"]))
        with self.assertRaises(InferenceServerException):
            client.infer("delay", tensor(1), client_timeout=10)
        body = '{"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'
        for _ in range(6):  # Nobody has been left out for it.
            request = urllib.request.Request(f"http://127.0.0.1:{up.port}/v2/models/delay/infer", body.encode(), {"content-type": "application/json"})
            self.assertEqual(urllib.request.urlopen(request, timeout=20).status, 200)


if __name__ == "__main__":
    unittest.main()
