"""The MIG agent as the pod of deploy/kubernetes/mig-agent.yaml, on simulated GPUs: what it offers, what it gives, what it
leaves alone, and that it comes through restarts."""
import json
import re
import signal
import ssl
import subprocess
import unittest
import urllib.error
import urllib.request

import harness
import images
from oci_image import Image

NAMESPACE = "tepal-system"
SMALL, WHOLE = "nvidia.com/mig-1g.5gb", "nvidia.com/gpu"


class MigAgentTest(harness.KubernetesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.cluster.nodes[0]
        # What the simulated driver knows, shared by the agent's pod and nvml-sim.
        cls.state = cls.node.folder / "nvml/machine"
        cls.state.parent.mkdir()
        image = Image("local.test/tepal:1")
        images.add_busybox(image, cls.cluster.tools)
        images.add_program(image, harness.BUILD / "bin/tepal", "/usr/local/bin/tepal")
        images.add_program(image, harness.BUILD / "lib/nvml_sim/libnvidia-ml.so.1", "/usr/local/nvidia/libnvidia-ml.so.1")
        archive = cls.cluster.folder / "images/tepal.tar"
        image.write(archive)
        cls.node.run(["ctr", "-n", "k8s.io", "images", "import", archive])
        cls.cluster.kubectl("label", "node", cls.node.name, "tepal.io/gpu=true")
        cls.nvml_sim("show")
        cls.cluster.apply(cls.manifest())

    @classmethod
    def nvml_sim(cls, *words):
        return subprocess.run([harness.BUILD / "bin/nvml-sim", *words], check=True, capture_output=True, text=True,
                              env={"NVML_SIM_STATE": str(cls.state), "NVML_SIM_GPUS": "2xA100-40", "NVML_SIM_ROOT": "1"}).stdout

    @classmethod
    def manifest(cls):
        """The shipped ones, with pod costs on: but for the image, where the simulated driver is, and one more configuration."""
        folder = harness.REPOSITORY / "deploy/kubernetes"
        text = (folder / "mig-agent.yaml").read_text() + "---\n" + (folder / "mig-agent-pod-costs.yaml").read_text()
        text = text.replace("--device-plugin, ", "--device-plugin, --pod-deletion-costs, ")
        text = text.replace("      all-1g.5gb:\n", """      four-and-3g:
      - devices: [0]
        mig-enabled: true
        mig-devices: {"1g.5gb": 4, "3g.20gb": 1}
      all-1g.5gb:
""")
        text = text.replace("image: tepal:latest", "image: local.test/tepal:1")
        text = text.replace("        - {name: NVIDIA_VISIBLE_DEVICES, value: all}\n",
                            "        - {name: LD_LIBRARY_PATH, value: /usr/local/nvidia}\n"
                            "        - {name: NVML_SIM_STATE, value: /nvml/machine}\n"
                            "        - {name: NVML_SIM_ROOT, value: \"1\"}\n")
        text = text.replace("        volumeMounts:\n", "        volumeMounts:\n        - {name: nvml, mountPath: /nvml}\n")
        return text.replace("      volumes:\n", f"      volumes:\n      - {{name: nvml, hostPath: {{path: {cls.state.parent}}}}}\n")

    # What is seen from outside.
    def offered(self):
        status = self.cluster.get("node", self.node.name)["status"]
        return {name: int(count) for name, count in status["allocatable"].items() if name.startswith("nvidia.com/")}

    def label(self, name):
        return self.cluster.get("node", self.node.name)["metadata"]["labels"].get(name)

    def ask_for(self, config):
        self.cluster.kubectl("label", "node", self.node.name, f"nvidia.com/mig.config={config}", "--overwrite")

    def wait_offered(self, expected, seconds=300):
        try:
            self.cluster.wait(lambda: {k: v for k, v in self.offered().items() if v} == expected, f"{expected} offered", seconds)
        except TimeoutError as error:
            logs = self.cluster.kubectl("logs", "-n", NAMESPACE, "ds/tepal-mig-agent", "--tail=40", check=False)
            raise AssertionError(f"{error}: {self.offered()}\n{logs.stdout}{logs.stderr}") from None

    def wait_state(self, state, seconds=300):
        self.cluster.wait(lambda: self.label("nvidia.com/mig.config.state") == state, f"state {state}", seconds)

    @staticmethod
    def pod_spec(resource):
        return {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "c", "image": "local.test/busybox:1", "resources": {"limits": {resource: 1}},
            "command": ["sh", "-c", "echo holds $NVIDIA_VISIBLE_DEVICES; exec sleep 3600"]}]}

    def start_pods(self, prefix, count, resource=SMALL):
        for number in range(count):
            self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "spec": self.pod_spec(resource),
                                "metadata": {"name": f"{prefix}-{number}", "labels": {"slot": prefix}}})

    def deploy(self, name, replicas, resource):
        labels = {"slot": name}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": self.pod_spec(resource)}}})

    def running(self, prefix):
        return [pod for pod in self.cluster.items("pods", "-l", f"slot={prefix}")
                if pod["status"]["phase"] == "Running" and self.cluster.ready(pod)]

    def holds(self, prefix):
        """Pod name -> the UUID it was given."""
        found = {}
        for pod in self.running(prefix):
            name = pod["metadata"]["name"]
            found[name] = re.search(r"holds (\S*)", self.cluster.kubectl("logs", name)).group(1)
        return found

    def instances(self):
        return re.findall(r"MIG-[0-9a-f-]{36}", self.nvml_sim("show"))

    def add_config(self, name, mig_devices):
        config = self.cluster.get("configmap", "tepal-mig-config", "-n", NAMESPACE)["data"]["config.yaml"]
        config += f"""  {name}:
  - devices: [0]
    mig-enabled: true
    mig-devices: {mig_devices}
"""
        self.cluster.kubectl("patch", "configmap", "tepal-mig-config", "-n", NAMESPACE, "--type=merge", "-p",
                             json.dumps({"data": {"config.yaml": config}}))

    def remove(self, *names):
        self.cluster.kubectl("delete", "pod", *names, "--force", "--grace-period=0", "--wait=true")

    def agent_pod(self):
        pods = [pod for pod in self.cluster.items("pods", "-n", NAMESPACE) if "deletionTimestamp" not in pod["metadata"]]
        return pods[0]["metadata"]["name"]

    def kill_agent(self):
        self.cluster.kubectl("delete", "pod", "-n", NAMESPACE, self.agent_pod(), "--force", "--grace-period=0")

    def costs(self, prefix):
        """Pod name -> its deletion cost, of those that have one."""
        cost = "controller.kubernetes.io/pod-deletion-cost"
        found = {pod["metadata"]["name"]: pod["metadata"].get("annotations", {}).get(cost)
                 for pod in self.cluster.items("pods", "-l", f"slot={prefix}") if "deletionTimestamp" not in pod["metadata"]}
        return {name: int(value) for name, value in found.items() if value is not None}

    def test_a_deployment_that_is_scaled_down_leaves_room_for_a_large_instance(self):
        cluster = self.cluster
        self.wait_offered({WHOLE: 2})
        self.ask_for("first-1g.5gb")
        self.wait_offered({SMALL: 7, WHOLE: 1})
        self.addCleanup(cluster.kubectl, "delete", "deployment", "scaled", "--ignore-not-found")
        self.deploy("scaled", 7, SMALL)
        cluster.wait(lambda: len(self.running("scaled")) == 7, "seven pods run")
        cluster.wait(lambda: sorted(self.costs("scaled").values()) == list(range(7)), "each has its cost")
        seven, costs = self.holds("scaled"), self.costs("scaled")

        cluster.kubectl("scale", "deployment", "scaled", "--replicas=4")
        cluster.wait(lambda: len(cluster.items("pods", "-l", "slot=scaled")) == 4, "four are left")
        four = self.holds("scaled")
        self.assertEqual(four, {name: uuid for name, uuid in seven.items() if costs[name] >= 3})
        cluster.wait(lambda: sorted(self.costs("scaled").values()) == list(range(4)), "the four are counted anew")

        # The proof: a 3g is made beside the four that stay.
        self.ask_for("four-and-3g")
        self.wait_offered({SMALL: 4, "nvidia.com/mig-3g.20gb": 1, WHOLE: 1})
        self.assertEqual(self.holds("scaled"), four)
        self.assertTrue(set(four.values()) <= set(self.instances()))

        # A cost that somebody set is left alone, whatever changes.
        first = min(four, key=self.costs("scaled").get)
        cluster.kubectl("annotate", "pod", first, "controller.kubernetes.io/pod-deletion-cost=100", "--overwrite")
        cluster.kubectl("scale", "deployment", "scaled", "--replicas=3")
        cluster.wait(lambda: sorted(self.costs("scaled").values()) == [0, 1, 100], "the others are counted without it")
        self.assertEqual(self.costs("scaled")[first], 100)
        cluster.kubectl("delete", "deployment", "scaled")
        cluster.wait(lambda: not cluster.items("pods", "-l", "slot=scaled"), "the pods are gone")
        self.ask_for("all-disabled")
        self.wait_offered({WHOLE: 2}, 90)

    def test_a_node_follows_its_label_and_its_pods_are_left_alone(self):
        cluster = self.cluster
        self.wait_offered({WHOLE: 2})

        # The recipe's layout: one GPU in seven, one whole. The agent is killed in the middle of the change; the one
        # that comes after it ends it, and restores the GPU client that was paused.
        client = "nvidia.com/gpu.deploy.dcgm"
        cluster.kubectl("label", "node", self.node.name, f"{client}=true")
        self.nvml_sim("delay", "nvmlDeviceCreateGpuInstanceWithPlacement", "500", "40")
        self.ask_for("first-1g.5gb")
        cluster.wait(lambda: 1 <= len(self.instances()) < 7, "some instances are made")
        self.assertEqual(self.label("nvidia.com/mig.config.state"), "pending")
        self.assertEqual(self.label(client), "paused-for-mig-change")
        self.kill_agent()
        self.wait_state("success")
        self.assertEqual(self.label(client), "true")
        self.assertNotIn("tepal.io/mig-paused-clients", cluster.get("node", self.node.name)["metadata"]["annotations"])

        # Both kinds are used.
        self.wait_offered({SMALL: 7, WHOLE: 1})
        self.assertEqual(self.label("nvidia.com/mig-1g.5gb.count"), "7")
        self.start_pods("seven", 7)
        self.start_pods("whole", 1, WHOLE)
        cluster.wait(lambda: len(self.running("seven")) == 7 and len(self.running("whole")) == 1, "eight pods run")
        seven = self.holds("seven")
        self.assertEqual(len(set(seven.values())), 7, seven)
        self.assertEqual(set(seven.values()), set(self.instances()))
        self.assertTrue(self.holds("whole")["whole-0"].startswith("GPU-"))

        # An eighth waits, and disturbs nobody.
        self.start_pods("eighth", 1)
        cluster.wait(lambda: "Unschedulable" in json.dumps(cluster.get("pod", "eighth-0")["status"]), "the eighth is unschedulable")
        self.remove("eighth-0", "whole-0")

        # The four on the lower half go; the layout changes under the three that stay.
        start_of = {uuid: int(start) for start, uuid in re.findall(r"at (\d)[^\n]*\n +CI .*(MIG-[0-9a-f-]{36})", self.nvml_sim("show"))}
        leaving = sorted(name for name, uuid in seven.items() if start_of[uuid] < 4)
        self.remove(*leaving)
        staying = {name: uuid for name, uuid in seven.items() if name not in leaving}
        started = {pod["metadata"]["name"]: pod["status"]["startTime"] for pod in self.running("seven")}
        self.ask_for("three-and-large")
        self.wait_state("failed")  # There is none of that name yet.
        self.add_config("three-and-large", '{"1g.5gb": 3, "2g.10gb": 2}')
        self.wait_state("success", 120)
        self.wait_offered({SMALL: 3, "nvidia.com/mig-2g.10gb": 2, WHOLE: 1})
        self.assertEqual(self.holds("seven"), staying)
        self.assertEqual({pod["metadata"]["name"]: pod["status"]["startTime"] for pod in self.running("seven")}, started)
        self.assertEqual([pod["status"]["containerStatuses"][0]["restartCount"] for pod in self.running("seven")], [0, 0, 0])
        self.assertTrue(set(staying.values()) <= set(self.instances()))

        # What would take a slot from a pod is refused, said, and leaves everything as it was.
        before = self.instances()
        self.ask_for("all-disabled")
        self.wait_state("failed")
        self.assertEqual(self.instances(), before)
        self.wait_offered({SMALL: 3, "nvidia.com/mig-2g.10gb": 2, WHOLE: 1})
        self.assertEqual(self.holds("seven"), staying)

        # The kubelet forgets its plugins when it restarts; they come back, and the pods stay.
        self.node.stop_process("kubelet", signal.SIGKILL)
        self.node.start_kubelet()
        self.wait_offered({SMALL: 3, "nvidia.com/mig-2g.10gb": 2, WHOLE: 1}, 90)
        # A pod that comes before the plugin has is refused by the kubelet for good; a Deployment makes another.
        self.deploy("after", 2, "nvidia.com/mig-2g.10gb")
        cluster.wait(lambda: len(self.running("after")) == 2, "pods get slots after the kubelet's restart")
        self.assertEqual(self.holds("seven"), staying)

        # An error of a GPU instance takes its slot from the offer.
        cluster.kubectl("delete", "deployment", "after")
        self.ask_for("three-and-large")
        self.wait_state("success", 120)
        self.nvml_sim("xid", "0", "-1", "-1", "79")
        self.wait_offered({WHOLE: 1})
        self.assertEqual(self.label(client), "true")

    def test_it_may_change_its_own_node_only(self):
        cluster = self.cluster
        cluster.wait(lambda: self.running_agents() == 1, "the agent runs")
        token = cluster.kubectl("create", "token", "tepal-mig-agent", "-n", NAMESPACE, "--bound-object-kind=Pod",
                                f"--bound-object-name={self.agent_pod()}").strip()

        def attempt(method, path, body=None):
            """The HTTP status, and what the server said."""
            request = urllib.request.Request(cluster.server + path, method=method, data=body and body.encode(), headers={
                "Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"})
            try:
                context = ssl.create_default_context(cafile=cluster.authority.certificate)
                with urllib.request.urlopen(request, context=context) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        label = lambda name, value: json.dumps({"metadata": {"labels": {name: value}}})
        self.assertEqual(attempt("PATCH", "/api/v1/nodes/n1", label("nvidia.com/probe", "1"))[0], 200)
        for node, body, why in (("n2", label("nvidia.com/probe", "1"), "its own node only"),
                                ("n1", label("probe", "1"), "labels of nvidia.com/ only"),
                                ("n1", label("kubernetes.io/hostname", None), "labels of nvidia.com/ only"),
                                ("n1", '{"spec":{"unschedulable":true}}', "may not change a node's spec")):
            status, said = attempt("PATCH", f"/api/v1/nodes/{node}", body)
            self.assertEqual(status, 422, said)
            self.assertIn(why, json.loads(said)["message"])

        # Of pods: its own node's, their cost alone.
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "elsewhere"}, "spec": {
            "nodeName": "n2", "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "local.test/busybox:1", "command": ["sleep", "600"]}]}})
        self.addCleanup(self.remove, "elsewhere")
        note = lambda name, value: json.dumps({"metadata": {"annotations": {name: value}}})
        cost, mine = "controller.kubernetes.io/pod-deletion-cost", f"/api/v1/namespaces/{NAMESPACE}/pods/{self.agent_pod()}"
        for value in ("1", None):
            status, said = attempt("PATCH", mine, note(cost, value))
            self.assertEqual(status, 200, said)
        for path, body, why in (("/api/v1/namespaces/default/pods/elsewhere", note(cost, "1"), "pods of its own node only"),
                                (mine, note("probe", "1"), "a pod's deletion cost only"),
                                (mine, label("probe", "1"), "nothing else of a pod"),
                                (mine, '{"metadata":{"finalizers":["a.b/c"]}}', "nothing else of a pod"),
                                (mine, '{"spec":{"activeDeadlineSeconds":1}}', "nothing else of a pod")):
            status, said = attempt("PATCH", path, body)
            self.assertEqual(status, 422, said)
            self.assertIn(why, json.loads(said)["message"])
        for method, path in (("DELETE", "/api/v1/nodes/n2"), ("GET", "/api/v1/secrets"), ("PATCH", "/api/v1/nodes/n1/status"),
                             ("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{self.agent_pod()}")):
            self.assertEqual(attempt(method, path, "{}" if method == "PATCH" else None)[0], 403, path)

    def test_it_stays_off_beside_another_device_plugin(self):
        cluster = self.cluster
        cluster.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "nvidia-device-plugin-daemonset", "namespace": "kube-system"},
                       "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                           "nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.0"}]}}}})
        self.kill_agent()
        cluster.wait(lambda: "the device plugin stays off: DaemonSet kube-system/nvidia-device-plugin-daemonset" in
                     cluster.kubectl("logs", "-n", NAMESPACE, self.agent_pod()), "it says that it stays off")
        cluster.wait(lambda: not any(self.offered().values()), "nothing is offered")
        cluster.kubectl("delete", "daemonset", "-n", "kube-system", "nvidia-device-plugin-daemonset")
        self.kill_agent()
        cluster.wait(lambda: any(self.offered().values()), "offered again")

    def running_agents(self):
        return sum(self.cluster.ready(pod) for pod in self.cluster.items("pods", "-n", NAMESPACE) if pod["status"]["phase"] == "Running")


if __name__ == "__main__":
    unittest.main()
