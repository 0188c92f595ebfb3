"""gRPC clients of other languages: grpcurl, which knows the services by reflection alone, and a Go program of the same .proto files."""
import base64
import json
import subprocess
import unittest

import numpy as np

from grpc_models import ADD_SUB
from server import Server
from stack import ROOT

PROGRAMS = ROOT / ".cache/clients"


def setUpModule():
    subprocess.run([ROOT / "test/clients/go/build.sh"], check=True)


def request(a, b):
    def tensor(name):
        return {"name": name, "datatype": "FP32", "shape": [1, 4]}
    raw = [base64.b64encode(np.array(values, np.float32).tobytes()).decode() for values in (a, b)]
    return {"model_name": "add_sub", "inputs": [tensor("INPUT0"), tensor("INPUT1")], "raw_input_contents": raw}


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(models={"add_sub": ADD_SUB})

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, code

    def grpcurl(self, *words, given=None, flags=()):
        return subprocess.run([PROGRAMS / "grpcurl", "-plaintext", "-max-time", "20", *flags, self.server.grpc, *words],
                              input=given, capture_output=True, text=True, timeout=30)

    def call(self, method, *messages, flags=()):
        run = self.grpcurl(method, given="".join(map(json.dumps, messages)), flags=["-d", "@", *flags])
        self.assertEqual(run.returncode, 0, run.stderr)
        decoder, answers, rest = json.JSONDecoder(), [], run.stdout.strip()
        while rest:
            answer, end = decoder.raw_decode(rest)
            answers.append(answer)
            rest = rest[end:].lstrip()
        return answers

    def test_grpcurl_lists_and_describes(self):
        listed = self.grpcurl("list").stdout.split()
        self.assertEqual([name for name in listed if not name.startswith("grpc.reflection.")],
                         ["grpc.health.v1.Health", "inference.GRPCInferenceService"])
        methods = self.grpcurl("list", "inference.GRPCInferenceService").stdout.split()
        self.assertEqual(len(methods), 20)
        self.assertIn("inference.GRPCInferenceService.ModelStreamInfer", methods)
        described = self.grpcurl("describe", "inference.ModelInferRequest").stdout
        self.assertIn("repeated bytes raw_input_contents = 7;", described)
        self.assertIn("Symbol not found", self.grpcurl("describe", "inference.Nope").stderr)

    def test_grpcurl_calls(self):
        self.assertEqual(self.call("inference.GRPCInferenceService/ServerReady"), [{"ready": True}])
        [config] = self.call("inference.GRPCInferenceService/ModelConfig", {"name": "add_sub"})
        self.assertEqual(config["config"]["maxBatchSize"], 8)
        [answer] = self.call("inference.GRPCInferenceService/ModelInfer", request([1, 2, 3, 4], [1, 1, 1, 1]))
        got = np.frombuffer(base64.b64decode(answer["rawOutputContents"][0]), np.float32)
        np.testing.assert_array_equal(got, [2, 3, 4, 5])
        answers = self.call("inference.GRPCInferenceService/ModelStreamInfer", *[request([i] * 4, [1] * 4) for i in range(5)])
        sums = [np.frombuffer(base64.b64decode(a["inferResponse"]["rawOutputContents"][0]), np.float32)[0] for a in answers]
        self.assertEqual(sums, [1, 2, 3, 4, 5])
        refused = self.grpcurl("inference.GRPCInferenceService/ModelMetadata", flags=["-d", '{"name": "nope"}'])
        self.assertIn("Code: NotFound", refused.stderr)

    def test_load_reports_are_trailers(self):
        method, given = "inference.GRPCInferenceService/ModelInfer", json.dumps(request([1] * 4, [1] * 4))
        for form, trailer in (("bin", r"endpoint-load-metrics-bin: \S+"), ("text", r"endpoint-load-metrics: TEXT cpu_utilization="),
                              ("json", r"endpoint-load-metrics: JSON \{"), (None, None)):
            flags = ["-v", "-d", "@", *(["-rpc-header", f"endpoint-load-metrics-format: {form}"] if form else [])]
            run = self.grpcurl(method, given=given, flags=flags)
            self.assertEqual(run.returncode, 0, run.stderr)
            trailers = run.stdout.split("Response trailers received:")[1]
            if trailer:
                self.assertRegex(trailers, trailer)
            else:
                self.assertNotIn("load-metrics", trailers)

    def test_grpcurl_watches_health(self):
        run = self.grpcurl("grpc.health.v1.Health/Watch", flags=["-max-time", "0.5"])
        self.assertEqual(json.loads(run.stdout), {"status": "SERVING"})
        self.assertIn("Code: DeadlineExceeded", run.stderr)  # It would go on telling.

    def test_a_go_client(self):
        run = subprocess.run([PROGRAMS / "go_client", "-address", self.server.grpc], capture_output=True, text=True, timeout=30)
        self.assertEqual((run.returncode, run.stdout.split("\n")), (0, ["unary ok", "stream ok", "health SERVING", ""]), run.stderr)


if __name__ == "__main__":
    unittest.main()
