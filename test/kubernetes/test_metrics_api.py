"""tepal metrics-api behind the real API server: what it answers, to whom, and what becomes of it under load."""
import base64
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
import unittest

import certificates
import harness

NAMESPACE, SERVICE, PORT = "metrics", "metrics-api", 7443
GROUP = "custom.metrics.k8s.io"
PODS = f"/apis/{GROUP}/v1beta2/namespaces/default/pods/%2A/avg_time_queue_us?labelSelector=app%3Dflower"
FIRST, SECOND = "10.99.0.1", "10.99.0.201"

RIGHTS = """
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: metrics-api-auth},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:auth-delegator"},
 subjects: [{kind: User, name: metrics-api}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: metrics-api, namespace: kube-system},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader},
 subjects: [{kind: User, name: metrics-api}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: metrics-api}, rules: [
 {apiGroups: [""], resources: [pods], verbs: [get, list, watch]},
 {apiGroups: [apiregistration.k8s.io], resources: [apiservices], verbs: [get, patch, create]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: metrics-api},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-api}, subjects: [{kind: User, name: metrics-api}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reads-metrics}, rules: [
 {apiGroups: [custom.metrics.k8s.io], resources: ["*"], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: reads-metrics},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-metrics},
 subjects: [{kind: ServiceAccount, name: horizontal-pod-autoscaler, namespace: kube-system}, {kind: User, name: reader}]}
"""


def slice_of(addresses):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": SERVICE}},
            "ports": [{"name": "https", "port": PORT}], "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]}


class MetricsApiTest(harness.KubernetesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cluster = cls.cluster
        cls.values = cluster.folder / "values"
        cls.values.write_text("1500.5\n")
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.apply(RIGHTS)
        cls.before = cluster.kubectl("get", "--raw", f"/apis/{GROUP}/v1beta1", check=False)
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE},
                       "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]}})
        cluster.apply(slice_of([FIRST]))
        cls.user = cluster.user("metrics-api", "/CN=metrics-api")
        cls.server = cls.start(FIRST, "--register-apiservices")
        cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "flower"}, "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "flower"}}, "template": {"metadata": {"labels": {"app": "flower"}}, "spec": {
                "terminationGracePeriodSeconds": 0, "containers": [
                    {"name": "c", "image": "local.test/busybox:1", "command": ["sleep", "3600"]}]}}}})
        cluster.wait(lambda: all(cls.available(v) for v in ("v1beta1", "v1beta2")), "the APIServices are available")
        cluster.wait(lambda: sum(cluster.ready(pod) for pod in cluster.items("pods", "-l", "app=flower")) == 2, "two pods are ready")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.cluster.kubectl("delete", "apiservice", f"v1beta1.{GROUP}", f"v1beta2.{GROUP}")
        cls.cluster.kubectl("delete", "deployment", "flower")
        cls.cluster.kubectl("delete", "-f", "-", input=RIGHTS)  # Of the autoscaler, too: others ask whether it has them.

    @classmethod
    def start(cls, address, *more, service=SERVICE):
        os.environ["METRICS_API_VALUES"] = str(cls.values)
        server = harness.Lines([harness.BUILD / "bin/kubernetes_metrics_api_probe", f"--kubeconfig={cls.user}", f"--bind-address={address}",
                                f"--secure-port={PORT}", f"--apiservice-namespace={NAMESPACE}", f"--apiservice-name={service}", "--v=4", *more])
        server.expect("Metrics API at https://")
        return server

    @classmethod
    def available(cls, version):
        status = cls.cluster.get("apiservice", f"{version}.{GROUP}").get("status", {})
        return any(c["type"] == "Available" and c["status"] == "True" for c in status.get("conditions", []))

    def raw(self, path, **options):
        return self.cluster.kubectl("get", "--raw", path, **options)

    def ask(self, path, certificate=None, headers=None, port=PORT):
        """Straight to the server, past the API server; the HTTP status and the message."""
        context = ssl._create_unverified_context()
        if certificate:
            context.load_cert_chain(*map(str, certificate))
        connection = http.client.HTTPSConnection(FIRST, port, context=context, timeout=20)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text).get("message", "") if text.startswith("{") else text
        finally:
            connection.close()

    def test_the_recipes_words(self):
        self.assertIn("Error from server (NotFound): the server could not find the requested resource", self.before.stderr)
        for version in ("v1beta1", "v1beta2"):
            names = [r["name"] for r in json.loads(self.raw(f"/apis/{GROUP}/{version}"))["resources"]]
            self.assertEqual(names, ["namespaces/avg_time_queue_us", "pods/avg_time_queue_us"])
        answer = json.loads(self.raw(PODS))
        self.assertEqual(answer["kind"], "MetricValueList")
        self.assertEqual(len(answer["items"]), 2)
        item = answer["items"][0]
        self.assertEqual(item["value"], "1500500m")
        self.assertEqual(item["windowSeconds"], 30)
        self.assertEqual(item["metric"], {"name": "avg_time_queue_us", "selector": None})
        self.assertEqual(item["describedObject"]["apiVersion"], "/v1")
        first = json.loads(self.raw(PODS.replace("v1beta2", "v1beta1")))["items"][0]
        self.assertEqual(first["metricName"], "avg_time_queue_us")
        missing = self.raw(f"/apis/{GROUP}/v1beta1/namespaces/default/pods/*/other", check=False)
        self.assertIn("the server could not find the metric other for pods", missing.stderr)

    def test_the_cluster_reads_its_documents(self):
        cluster = self.cluster
        self.assertIn(GROUP, cluster.kubectl("api-versions"))
        resources = cluster.kubectl("api-resources", f"--api-group={GROUP}", "--cached=false", check=False)
        self.assertEqual(resources.returncode, 0, resources.stderr)
        cluster.wait(lambda: f"apis/{GROUP}/v1beta2" in json.loads(self.raw("/openapi/v3"))["paths"], "OpenAPI v3 has it")
        self.assertIn("MetricValueList", self.raw(f"/openapi/v3/apis/{GROUP}/v1beta2"))
        cluster.wait(lambda: f"/apis/{GROUP}/v1beta2/namespaces/" in self.raw("/openapi/v2"), "OpenAPI v2 has it")
        cluster.wait(lambda: GROUP in cluster.kubectl("get", "--raw", "/apis"), "the groups have it")

    def test_who_is_let_in(self):
        front, clients = self.cluster.front_authority, self.cluster.authority
        other = certificates.Authority(self.cluster.folder / "other", "front-proxy-ca")
        as_reader = {"X-Remote-User": "reader", "X-Remote-Group": "people"}
        proxy = (self.cluster.pki / "front-proxy.crt", self.cluster.pki / "front-proxy.key")
        self.assertEqual(self.ask(PODS, proxy, as_reader)[0], 200)
        self.assertEqual(self.ask(PODS, proxy, {"X-Remote-User": "eve"}), (
            403, 'pods.custom.metrics.k8s.io "*" is forbidden: User "eve" cannot get resource "pods/avg_time_queue_us" in API group '
            '"custom.metrics.k8s.io" in the namespace "default"'))
        self.assertEqual(self.ask(PODS, None, as_reader)[0], 403)
        self.assertIn('User "system:anonymous" cannot get', self.ask(PODS)[1])
        self.assertEqual(self.ask(PODS, other.issue("front-proxy", "/CN=front-proxy-client"), as_reader), (401, "Unauthorized"))
        self.assertEqual(self.ask(PODS, front.issue("wrong-name", "/CN=somebody"), as_reader), (401, "Unauthorized"))
        self.assertEqual(self.ask(PODS, clients.issue("reader", "/CN=reader")), self.ask(PODS, proxy, as_reader))
        expired = front.issue("expired", "/CN=front-proxy-client", days=-1)
        self.assertEqual(self.ask(PODS, expired, as_reader), (401, "Unauthorized"))
        token = self.cluster.kubectl("create", "token", "horizontal-pod-autoscaler", "-n", "kube-system").strip()
        self.assertEqual(self.ask(PODS, None, {"Authorization": f"Bearer {token}"})[0], 200)
        self.assertEqual(self.ask(PODS, None, {"Authorization": "Bearer x"}), (401, "Unauthorized"))
        self.assertEqual(self.ask("/readyz"), (200, "ok"))

        # The same of the API server itself, in the same words.
        real = lambda path, certificate=None, headers=None: self.ask(path, certificate, headers, 6443)
        self.assertEqual(self.ask("/metrics"), real("/metrics"))
        self.assertEqual(self.ask("/apis", None, {"Authorization": "Bearer x"}), real("/apis", None, {"Authorization": "Bearer x"}))
        eve = clients.issue("eve", "/CN=eve")
        self.assertEqual(self.ask("/metrics", eve), real("/metrics", eve))
        stranger = other.issue("stranger", "/CN=admin/O=system:masters")
        self.assertEqual(self.ask("/api/v1/nodes", stranger), real("/api/v1/nodes", stranger))
        ours, theirs = (ask("/api/v1/namespaces/default/pods/a/log", eve) for ask in (self.ask, real))
        self.assertEqual(ours, theirs)

    def test_the_real_hpa_reads_it(self):
        self.values.write_text("100\n")
        self.cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "flower"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "flower"}, "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": "avg_time_queue_us"}, "target": {"type": "AverageValue", "averageValue": "50"}}}]}})
        self.addCleanup(self.back_to_two)
        self.cluster.wait(lambda: self.cluster.get("deployment", "flower")["spec"]["replicas"] == 4, "2 pods of twice the target are 4")
        self.values.unlink()  # The source is blind: the size is held.
        condition = lambda: next(c for c in self.cluster.get("hpa", "flower")["status"]["conditions"] if c["type"] == "ScalingActive")
        self.cluster.wait(lambda: condition()["reason"] == "FailedGetPodsMetric", "the HPA is told")
        self.assertEqual(self.cluster.get("deployment", "flower")["spec"]["replicas"], 4)
        self.values.write_text("50\n")
        self.cluster.wait(lambda: condition()["status"] == "True", "it recovers")
        self.assertEqual(self.cluster.get("deployment", "flower")["spec"]["replicas"], 4)

    def back_to_two(self):
        cluster = self.cluster
        cluster.kubectl("delete", "hpa", "flower")
        cluster.kubectl("scale", "deployment", "flower", "--replicas=2")
        self.values.write_text("1500.5\n")
        cluster.wait(lambda: len(cluster.items("pods", "-l", "app=flower")) == 2, "two pods are left")

    def load(self, stop, failures, counts):
        """Requests through the API server, one after the other, until `stop`."""
        context = ssl.create_default_context(cafile=self.cluster.authority.certificate)
        context.load_cert_chain(self.cluster.pki / "admin.crt", self.cluster.pki / "admin.key")
        connection = http.client.HTTPSConnection(FIRST, 6443, context=context, timeout=20)
        while not stop.is_set():
            connection.request("GET", PODS)
            answer = connection.getresponse()
            text = answer.read().decode()
            counts.append(answer.status)
            if answer.status != 200:
                failures.append((answer.status, text[:300]))
        connection.close()

    def under_load(self, act):
        stop, failures, counts = threading.Event(), [], []
        threads = [threading.Thread(target=self.load, args=(stop, failures, counts)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            act(counts)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        print(f"metrics API: {len(counts)} requests, {len(failures)} failed", flush=True)
        self.assertEqual(failures[:3], [])

    def test_the_front_proxys_authority_is_rotated(self):
        cluster = self.cluster
        more = lambda counts, n=50: cluster.wait(lambda until=len(counts) + n: len(counts) >= until, "requests go on")
        published = lambda text: text.strip() in cluster.get("configmap", "extension-apiserver-authentication", "-n", "kube-system")[
            "data"]["requestheader-client-ca-file"]

        def rotate(counts):
            more(counts)
            fresh = certificates.Authority(cluster.folder / "next", "next-front-proxy-ca")
            ca = cluster.front_authority.certificate
            old = ca.read_text()
            ca.write_text(old + fresh.certificate.read_text())
            cluster.wait(lambda: published(fresh.certificate.read_text()), "both authorities are published")
            self.server.expect("authorities that clients are checked by changed")
            more(counts)
            certificate, key = fresh.issue("front-proxy", "/CN=front-proxy-client")
            target = cluster.pki / "front-proxy"
            os.replace(key, f"{target}.key")
            os.replace(certificate, f"{target}.crt")
            time.sleep(2)  # The API server notices by itself and shows it on its next connection.
            more(counts, 100)

        self.under_load(rotate)

    def test_two_replicas_and_one_stops(self):
        cluster = self.cluster
        self.add_address(SECOND)
        with self.start(SECOND) as second:
            cluster.wait(lambda: self.bundle().count(b"BEGIN CERTIFICATE") == 2, "both certificates are in the bundle")
            cluster.apply(slice_of([FIRST, SECOND]))

            def stop_one(counts):
                cluster.wait(lambda: len(counts) > 200, "requests go on")
                second.terminate()
                second.expect("Stopping")
                cluster.apply(slice_of([FIRST]))  # As the endpoints controller does when /readyz fails.
                second.process.wait(timeout=30)
                self.assertEqual(second.process.returncode, 0)
                cluster.wait(lambda until=len(counts) + 100: len(counts) > until, "requests go on")

            self.under_load(stop_one)

    @staticmethod
    def add_address(address):
        """One more for a second replica; there already when another test was first."""
        subprocess.run(["ip", "address", "replace", f"{address}/24", "dev", "cluster"], check=True)

    def bundle(self):
        return base64.b64decode(self.cluster.get("apiservice", f"v1beta2.{GROUP}")["spec"]["caBundle"])

    def test_somebody_elses_apiservice_is_left_alone(self):
        before = self.cluster.get("apiservice", f"v1beta2.{GROUP}")["spec"]
        self.add_address(SECOND)
        with self.start(SECOND, "--register-apiservices", service="another") as another:
            another.expect(f"belongs to Service {NAMESPACE}/{SERVICE}")
            self.assertEqual(another.process.wait(timeout=20), 1)
        self.assertEqual(self.cluster.get("apiservice", f"v1beta2.{GROUP}")["spec"], before)


if __name__ == "__main__":
    unittest.main()
