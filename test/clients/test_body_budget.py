"""--body-budget-bytes with real processes: bodies that do not fit wait, then are refused; nothing is lost or leaked."""
import http.client
import json
import threading
import unittest

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from server import Server

BUDGET = 4 << 20
BODY = 1 << 20


class BodyBudget(unittest.TestCase):
    def setUp(self):
        self.server = Server(f"--body-budget-bytes={BUDGET}")
        self.addCleanup(self.server.stop)

    def metric(self, name):
        connection = http.client.HTTPConnection(self.server.metrics, timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(int(float(line.split()[-1])) for line in lines if line.startswith(name + " "))

    def post(self, size=BODY):
        connection = http.client.HTTPConnection(self.server.http, timeout=20)
        head = json.dumps({"inputs": [{"name": "INPUT0", "shape": [1, size // 4], "datatype": "FP32", "parameters": {"binary_data_size": size}}],
                           "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]}).encode()
        try:
            connection.request("POST", "/v2/models/echo/infer", head + bytes(size), {"Inference-Header-Content-Length": str(len(head))})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def infer(self):
        request = service_pb2.ModelInferRequest(model_name="echo", raw_input_contents=[bytes(BODY)])
        request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, BODY // 4])
        with grpc.insecure_channel(self.server.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            return service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=20)

    def half_sent(self):
        """A connection whose request has its memory and not all of its body."""
        connection = self.server.connect()
        self.addCleanup(connection.close)
        connection.sendall(f"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n".encode() + b"{" * 1000)
        return connection

    def test_what_does_not_fit_is_refused_and_the_rest_goes_on(self):
        self.assertEqual(self.metric("tepal_body_bytes_limit"), BUDGET)
        held = [self.half_sent() for _ in range(BUDGET // BODY)]
        self.server.wait_until(lambda: self.metric("tepal_body_bytes") == BUDGET, "the budget is used up")
        status, text = self.post()
        self.assertEqual(status, 503, text)
        with self.assertRaises(grpc.RpcError) as refused:
            self.infer()
        self.assertEqual(refused.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, refused.exception)
        self.assertEqual(self.metric("tepal_body_refusals_total"), 2)
        for connection in held:  # Clients that go away give theirs back.
            connection.close()
        self.server.wait_until(lambda: self.metric("tepal_body_bytes") == 0, "the budget is free again")
        self.assertEqual(self.post()[0], 200)
        self.assertEqual(len(self.infer().raw_output_contents[0]), BODY)
        self.assertEqual(self.metric("tepal_body_refusals_total"), 2)

    def test_many_large_uploads_are_answered_one_way_or_the_other(self):
        outcomes, lock = {}, threading.Lock()

        def upload(send):
            for _ in range(10):
                outcome = send()
                with lock:
                    outcomes[outcome] = outcomes.get(outcome, 0) + 1

        def over_grpc():
            try:
                self.infer()
            except grpc.RpcError as error:
                return error.code().name
            return 200

        threads = [threading.Thread(target=upload, args=(send,)) for send in 12 * [lambda: self.post()[0]] + 4 * [over_grpc]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(outcomes), {200, 503, "RESOURCE_EXHAUSTED"}, outcomes)
        self.assertGreater(outcomes[200], 0)
        self.assertEqual(sum(outcomes.values()), 160)
        refused = sum(count for outcome, count in outcomes.items() if outcome != 200)
        self.assertEqual(self.metric("tepal_body_refusals_total"), refused)
        self.server.wait_until(lambda: self.metric("tepal_body_bytes") == 0, "every body is given back")
        self.assertEqual(self.server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
