"""What flags of `tepal serve` do as a user sees it: the name tritonserver, restricted groups, chosen metrics, refusals."""
import pathlib
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from server import Server
from stack import TEPAL
from test_http_extensions import BODY, ask


def page(server):
    return urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10).read().decode()


class AsTritonserver(unittest.TestCase):
    def test_a_link_named_tritonserver_serves(self):
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder) / "tritonserver"
            link.symlink_to(TEPAL)
            server = Server("--log-verbose=1", "--strict-model-config=false", "--grpc-infer-allocation-pool-size=16", "--http-thread-count=2",
                            command=[str(link)])
            try:
                self.assertIn(b'"data":[1.0,2.0]', ask(server.http, "/v2/models/echo/infer", BODY)[1])
            finally:
                self.assertEqual(server.stop(), 0)

    def test_what_is_not_there_is_refused_by_name(self):
        for flag, reason in (("--cache-config=local,size=1048576", "the response cache is not built yet"),
                             ("--trace-config=triton,file=/tmp/t", "tracing is not built yet"),
                             ("--allow-sagemaker=true", "SageMaker's endpoints are not served")):
            run = subprocess.run([TEPAL, "serve", "--model-repository=/nowhere", flag], capture_output=True, text=True, timeout=20)
            self.assertEqual(run.returncode, 2)
            self.assertIn(f"flag {flag.split('=')[0]} is refused: {reason}", run.stderr)


class Restricted(unittest.TestCase):
    def test_a_group_needs_its_header(self):
        server = Server("--http-restricted-api=model-repository,logging:key=secret", "--grpc-restricted-protocol=model-repository:key=secret")
        try:
            for headers in ({}, {"key": "wrong"}):
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    ask(server.http, "/v2/repository/index", b"", headers)
                self.assertEqual(refused.exception.code, 403)
            self.assertIn(b'"echo"', ask(server.http, "/v2/repository/index", b"", {"key": "secret"})[1])
            ask(server.http, "/v2/models/echo/infer", BODY)  # Of another group.
            client = grpc.InferenceServerClient(server.grpc)
            with self.assertRaisesRegex(InferenceServerException, "This protocol is restricted, expecting header 'triton-grpc-protocol-key'"):
                client.get_model_repository_index()
            index = client.get_model_repository_index(headers={"triton-grpc-protocol-key": "secret"})
            self.assertEqual(index.models[0].name, "echo")
            self.assertTrue(client.is_model_ready("echo"))
            client.close()
        finally:
            self.assertEqual(server.stop(), 0)


class Metrics(unittest.TestCase):
    def test_summaries_and_counters_are_chosen(self):
        server = Server("--metrics-config", "summary_latencies=true", "--metrics-config=summary_quantiles=0.5:0.05,0.99:0.001",
                        "--metrics-config", "counter_latencies=false", "--allow-cpu-metrics=false")
        try:
            self.assertIn('nv_inference_request_summary_us{model="echo",version="1",quantile="0.5"} NaN\n', page(server))
            for _ in range(10):
                ask(server.http, "/v2/models/echo/infer", BODY)
            text = page(server)
            for family in ("request", "queue", "compute_input", "compute_infer", "compute_output"):
                name = f"nv_inference_{family}_summary_us"
                self.assertIn(f"# TYPE {name} summary\n", text)
                self.assertIn(f'{name}_count{{model="echo",version="1"}} 10\n', text)
                self.assertRegex(text, rf'(?m)^{name}\{{model="echo",version="1",quantile="0.99"\}} \d+$')
            self.assertNotIn("nv_inference_request_duration_us", text)
            self.assertNotIn("nv_cpu_", text)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_the_host_is_reported(self):
        server = Server()
        try:
            text = page(server)
            self.assertRegex(text, r"(?m)^nv_cpu_utilization [01]")
            self.assertGreater(int(text.split("\nnv_cpu_memory_total_bytes ")[1].split()[0]), 1 << 28)
            self.assertIn("\nnv_pinned_memory_pool_total_bytes 268435456\n", text)
            self.assertIn("\nnv_inference_request_duration_us{", text)
            self.assertNotIn("summary", text)
        finally:
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
