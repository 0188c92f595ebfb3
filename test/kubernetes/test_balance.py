"""tepal balance follows the EndpointSlices of a Service on the real API server, as a user who may do nothing else."""
import http.server
import json
import subprocess
import threading
import time
import unittest
import urllib.request

import harness

ROLE = """apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: balancer, namespace: default}
rules:
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: balancer, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: balancer}
subjects: [{kind: User, name: balancer, apiGroup: rbac.authorization.k8s.io}]
"""
PORT = 8123


def mirror(address):
    """A server at an address of this network that answers with it."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(address)))
            self.end_headers()
            self.wfile.write(address.encode())

        def log_message(self, *_):
            pass

    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    server = http.server.ThreadingHTTPServer((address, PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def slice_of(name, endpoints):
    """`endpoints`: address -> "ready", "ending" or "out"."""
    conditions = {"ready": {"ready": True, "serving": True, "terminating": False},
                  "ending": {"ready": False, "serving": True, "terminating": True},
                  "out": {"ready": False, "serving": False, "terminating": False}}
    return json.dumps({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                       "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "followed"}},
                       "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
                       "endpoints": [{"addresses": [address], "conditions": conditions[state]} for address, state in endpoints.items()]})


class BalanceTest(harness.KubernetesTest):
    addresses = [f"10.199.0.{number}" for number in (1, 2, 3)]

    def ask(self):
        with urllib.request.urlopen("http://127.0.0.1:18123/v2", timeout=20) as answer:
            return answer.read().decode()

    def until(self, expected, seconds=120):
        """The endpoints that answer, once they are the expected ones; no request fails meanwhile."""
        end = time.monotonic() + seconds
        while True:
            seen = {self.ask() for _ in range(12)}
            if seen == set(expected):
                return
            self.assertLess(time.monotonic(), end, f"answered by {seen}, expected {expected}")

    def test_a_service_is_followed(self):
        one, two, three = self.addresses
        servers = [mirror(address) for address in self.addresses]
        self.addCleanup(lambda: [server.shutdown() for server in servers])
        self.cluster.apply(ROLE)
        user = self.cluster.user("balancer", "/CN=balancer")
        self.cluster.apply(slice_of("followed-a", {one: "ready", two: "out"}))
        with harness.Lines([harness.BUILD / "bin/tepal", "balance", "--listen=127.0.0.1:18123", "--admin=none", f"--kubeconfig={user}",
                            "--kubernetes-service=default/followed:http", "--health-path=/v2", "--policy=round_robin"]) as balancer:
            balancer.expect("Service 'followed': 1 endpoints, 1 not ready")
            self.until([one])
            self.cluster.apply(slice_of("followed-b", {three: "ready"}))
            self.until([one, three])
            self.cluster.apply(slice_of("followed-a", {one: "ending", two: "ready"}))
            self.until([two, three])
            self.cluster.restart_apiserver()
            self.until([two, three])
            self.cluster.kubectl("delete", "endpointslice", "followed-b")
            self.until([two])
            self.cluster.apply(slice_of("followed-a", {one: "ending", two: "out"}))
            self.until([one])


if __name__ == "__main__":
    unittest.main()
