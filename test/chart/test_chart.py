"""The chart rendered with many values: what holds for each of them, and what each value changes."""
import functools
import json
import pathlib
import re
import subprocess
import unittest

import yaml

from rendering import CHART, HELM, NFS, REPOSITORY, Refused, Rendering, merge

OPERATOR = "--api-versions=monitoring.coreos.com/v1"
ALL = {"autoscaling": {"enabled": True}, "metricsAPI": {"enabled": True, "external": True, "prometheus": {"url": "http://prometheus:9090/"}},
       "monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}},
       "migAgent": {"enabled": True, "podDeletionCosts": True},
       "balancer": {"admin": {"tokensSecret": "tokens", "metricsToken": "prometheus"}, "tls": {"secretName": "door", "clientCA": True}},
       "imagePullSecrets": [{"name": "regcred"}]}
MATRIX = {
    "servers found by EndpointSlices": {"balancer": {"discovery": "endpointSlices"}},
    "scaled by what is required": {"autoscaling": {"enabled": True, "signal": "requiredReplicas"}, "metricsAPI": {"enabled": True}},
    "as it is": {},
    "everything": ALL,
    "on CPU": {"server": {"slot": {"resource": ""}}},
    "on whole GPUs, packed": {"server": {"slot": {"resource": "nvidia.com/gpu"}, "placement": "pack", "runtimeClassName": "nvidia"}},
    "without placement": {"server": {"placement": "none"}},
    "as the recipe's NGINX pod": {"balancer": {"hostPorts": {"enabled": True}, "nodeSelector": {"role": "nginxplus"}, "replicas": 1,
                                               "service": {"type": "ClusterIP"}}, "imagePullSecrets": [{"name": "regcred"}]},
    "NodePort": {"balancer": {"service": {"type": "NodePort", "nodePorts": {"http": 32309, "grpc": 32310}}}},
    "servers only": {"balancer": {"enabled": False}},
    "balancer only": {"server": {"enabled": False}, "balancer": {"endpoints": [{"address": "triton.default.svc:8000", "grpc_port": 8001, "resolve": True}]}},
    "another image for the servers": {"server": {"image": {"repository": "nvidia/tritonserver", "tag": "24.10-py3"}}},
    "certificates by cert-manager": {"metricsAPI": {"enabled": True, "tls": {"mode": "certManager"}}},
    "a certificate that is there": {"metricsAPI": {"enabled": True, "tls": {"mode": "secret", "secretName": "mine", "caBundle": "QQ=="}}},
    "another name": {"fullnameOverride": "vision", "server": {"fullnameOverride": "flower"}},
    "some models, no shared memory": {"server": {"models": {"load": ["resnet50"], "subPath": "flower"}, "sharedMemory": ""}},
}
OLD_KUBERNETES = "--kube-version=1.27.3"


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def agent(labels):
    return labels["app.kubernetes.io/component"] == "mig-agent"


def follows_services(program):
    return "--kubernetes-service" in subprocess.run([program, "balance", "--help"], capture_output=True, text=True).stdout


def for_each(test):
    @functools.wraps(test)
    def run(self):
        for name, rendering in self.renderings.items():
            with self.subTest(name):
                test(self, rendering)
    return run


class EveryRendering(unittest.TestCase):
    """What holds whatever the values are."""

    @classmethod
    def setUpClass(cls):
        cls.renderings = {}
        for name, values in MATRIX.items():
            cls.renderings[name] = Rendering(values, OPERATOR)
            if not values.get("migAgent"):
                cls.renderings[name + ", Kubernetes 1.27"] = Rendering(values, OLD_KUBERNETES)

    @for_each
    def test_pods_are_as_restricted_as_pods_can_be(self, rendering):
        for name, labels, spec in rendering.pods():
            if agent(labels):
                continue  # Its rights are compared with those of deploy/kubernetes.
            self.assertTrue(spec["securityContext"]["runAsNonRoot"], name)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for one in containers(spec):
                self.assertEqual(one["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                          "capabilities": {"drop": ["ALL"]}}, name)
            for volume in spec.get("volumes", []):
                self.assertNotIn("hostPath", volume, name)

    @for_each
    def test_only_who_asks_the_api_server_has_a_token_for_it(self, rendering):
        for name, labels, spec in rendering.pods():
            asks = labels["app.kubernetes.io/component"] in ("metrics-api", "mig-agent") or bool(rendering.all("Role")) and name.endswith("-balancer")
            self.assertEqual(spec.get("automountServiceAccountToken", True), asks, name)

    @for_each
    def test_every_container_says_what_it_takes(self, rendering):
        for name, _, spec in rendering.pods():
            for one in containers(spec):
                self.assertIn("memory", one["resources"]["limits"], name)
                self.assertTrue({"cpu", "memory"} <= set(one["resources"]["requests"]), name)
                self.assertNotRegex(one["image"], ":latest$|:$")

    @for_each
    def test_every_selector_finds_its_pods_and_only_those(self, rendering):
        pods = list(rendering.pods())

        def found(selector):
            return [name for name, labels, _ in pods if selector.items() <= labels.items()]

        for one in rendering.objects:
            kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
            if kind in ("Deployment", "DaemonSet"):
                self.assertEqual(found(spec["selector"]["matchLabels"]), [name])
                self.assertEqual(set(spec["selector"]["matchLabels"]), {f"app.kubernetes.io/{x}" for x in ("name", "instance", "component")})
            elif kind == "Service":
                self.assertEqual(len(found(spec["selector"])), 1, name)
            elif kind in ("PodDisruptionBudget", "PodMonitor"):
                self.assertEqual(len(found(spec["selector"]["matchLabels"])), 1, name)
            elif kind == "NetworkPolicy":
                self.assertEqual(len(found(spec["podSelector"]["matchLabels"])), 1, name)

    @for_each
    def test_every_port_that_is_named_exists(self, rendering):
        pods = list(rendering.pods())

        def ports(selector):
            return {port["name"] for _, labels, spec in pods if selector.items() <= labels.items()
                    for one in spec["containers"] for port in one.get("ports", [])}

        for one in rendering.all("Service"):
            self.assertLessEqual({port["targetPort"] for port in one["spec"]["ports"]}, ports(one["spec"]["selector"]))
        for one in rendering.all("PodMonitor"):
            self.assertLessEqual({end["port"] for end in one["spec"]["podMetricsEndpoints"]}, ports(one["spec"]["selector"]["matchLabels"]))
        for name, labels, spec in pods:
            for container in spec["containers"]:
                named = {port["name"] for port in container.get("ports", [])}
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    for action in ("httpGet", "tcpSocket"):
                        port = container.get(probe, {}).get(action, {}).get("port")
                        self.assertTrue(port is None or port in named, f"{name}: {probe} asks port {port}")

    @for_each
    def test_what_is_mounted_and_run_as_exists(self, rendering):
        names = rendering.names()
        for name, labels, spec in rendering.pods():
            volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
            self.assertEqual(len(volumes), len(spec.get("volumes", [])))
            for one in containers(spec):
                self.assertEqual({mount["name"] for mount in one.get("volumeMounts", [])}, set(volumes), name)
            for volume in volumes.values():
                if "configMap" in volume:
                    self.assertIn(("ConfigMap", volume["configMap"]["name"]), names)
            if "serviceAccountName" in spec:
                self.assertIn(("ServiceAccount", spec["serviceAccountName"]), names)

    @for_each
    def test_objects_carry_the_standard_labels_and_names_are_used_once(self, rendering):
        seen = [(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in rendering.objects]
        self.assertEqual(len(seen), len(set(seen)), seen)
        for one in rendering.objects:
            self.assertLessEqual({f"app.kubernetes.io/{x}" for x in ("name", "instance", "version", "component", "part-of", "managed-by")} |
                                 {"helm.sh/chart"}, set(one["metadata"]["labels"]), one["metadata"]["name"])

    @for_each
    def test_the_balancer_is_told_apart_by_its_configuration(self, rendering):
        program = REPOSITORY / "build/release/bin/tepal"
        for one in rendering.all("ConfigMap"):
            if "balance.yaml" not in one["data"]:
                continue
            text = one["data"]["balance.yaml"]
            for pool in yaml.safe_load(text)["pools"].values():
                self.assertTrue(pool.get("endpoints") or pool.get("kubernetes"))
            if program.exists() and ("kubernetes:" not in text or follows_services(program)):
                # The names of services mean nothing here, and the files of Secrets are not there.
                text = re.sub(r"\n +client_tls:\n(?: {6}.*\n)+", "\n", text).replace("tls: true", "tls: false")
                text = re.sub(r"\n +tokens_file: .*", "", text)
                done = subprocess.run([program, "balance", "--config=/dev/stdin", "--check"], input=text, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr + text)

    @for_each
    def test_rights_are_named(self, rendering):
        for one in rendering.all("ClusterRole") + rendering.all("Role"):
            reads_metrics = one["metadata"]["name"].endswith("-reader")
            for rule in one["rules"]:
                self.assertNotIn("*", rule["verbs"])
                self.assertNotIn("*", rule["apiGroups"])
                self.assertTrue(reads_metrics or "*" not in rule["resources"])
                self.assertNotIn("secrets", rule["resources"])
                if reads_metrics:
                    self.assertLessEqual(set(rule["verbs"]), {"get", "list"})
        for one in rendering.all("ClusterRoleBinding"):
            self.assertNotEqual(one["roleRef"]["name"], "cluster-admin")

    @for_each
    def test_api_services_know_whom_to_trust(self, rendering):
        for one in rendering.all("APIService"):
            self.assertNotIn("insecureSkipTLSVerify", one["spec"])
            annotations = one["metadata"].get("annotations", {})
            self.assertTrue(one["spec"].get("caBundle") or "cert-manager.io/inject-ca-from" in annotations)


class Values(unittest.TestCase):
    """What single values do."""

    def test_a_part_that_is_off_leaves_nothing_behind(self):
        part = {"server": {"server": {"enabled": False}, "balancer": {"endpoints": [{"address": "10.0.0.1:8000"}]}},
                "balancer": {"balancer": {"enabled": False}}, "metrics-api": {"metricsAPI": {"enabled": False}},
                "mig-agent": {"migAgent": {"enabled": False}}}
        on = merge(ALL, {"balancer": {"tls": {"clientCA": False}}})
        for component, off in part.items():
            with self.subTest(component):
                rendering = Rendering(merge(on, off), OPERATOR)
                self.assertEqual([one["metadata"]["name"] for one in rendering.objects
                                  if one["metadata"]["labels"]["app.kubernetes.io/component"] == component], [])
        everything_off = merge(part["server"], {"balancer": {"enabled": False}, "monitoring": {"rules": {"enabled": False}}})
        self.assertEqual(Rendering(everything_off, OPERATOR).objects, [])
        off = Rendering({"networkPolicy": {"enabled": False}, "test": {"enabled": False}, "server": {"podDisruptionBudget": {"enabled": False}},
                         "balancer": {"podDisruptionBudget": {"enabled": False}, "admin": {"service": False}}})
        for kind in ("NetworkPolicy", "Pod", "PodDisruptionBudget"):
            self.assertEqual(off.all(kind), [])
        self.assertEqual({one["metadata"]["name"] for one in off.all("Service")}, {"flower-tepal", "flower-tepal-server"})

    def test_monitors_come_where_their_kind_exists(self):
        self.assertEqual(Rendering().all("PodMonitor") + Rendering().all("PrometheusRule"), [])
        self.assertEqual(len(Rendering({}, OPERATOR).all("PodMonitor")), 2)
        self.assertEqual(len(Rendering({}, OPERATOR).all("PrometheusRule")), 1)
        self.assertEqual(Rendering({"monitoring": {"podMonitor": {"enabled": False}}}, OPERATOR).all("PodMonitor"), [])

    def test_a_slot_is_a_limit_of_the_servers(self):
        def limits(values):
            return Rendering(values).get("Deployment", "flower-tepal-server")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]

        self.assertEqual(limits({}), {"memory": "4Gi", "nvidia.com/mig-1g.5gb": 1})
        self.assertEqual(limits({"server": {"slot": {"resource": "nvidia.com/gpu", "count": 2}}}), {"memory": "4Gi", "nvidia.com/gpu": 2})
        self.assertEqual(limits({"server": {"slot": {"resource": ""}, "resources": {"limits": {"cpu": "200m"}}}}), {"memory": "4Gi", "cpu": "200m"})

    def test_models_come_from_one_place_and_are_read_only(self):
        sources = {"nfs": {"server": "s", "path": "/m"}, "persistentVolumeClaim": {"claimName": "c"}, "image": {"reference": "r:1"},
                   "hostPath": {"path": "/srv"}}
        for name, source in sources.items():
            spec = Rendering({"server": {"models": {name: source}}}, models={}).get("Deployment", "flower-tepal-server")["spec"]["template"]["spec"]
            volume = next(volume for volume in spec["volumes"] if volume["name"] == "models")
            self.assertLessEqual(source.items(), volume[name].items())
            mount = next(mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "models")
            self.assertTrue(mount["readOnly"])
            if name in ("nfs", "persistentVolumeClaim"):
                self.assertTrue(volume[name]["readOnly"])

    def test_the_default_rollout_needs_no_free_slot(self):
        spec = Rendering().get("Deployment", "flower-tepal-server")["spec"]
        self.assertEqual(spec["strategy"], {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
        host = Rendering({"balancer": {"hostPorts": {"enabled": True}}}).get("Deployment", "flower-tepal-balancer")
        self.assertEqual(host["spec"]["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        self.assertEqual({port.get("hostPort") for port in host["spec"]["template"]["spec"]["containers"][0]["ports"]}, {8085, 8087, 8086})

    def test_who_scales_alone_sets_the_replicas(self):
        self.assertEqual(Rendering().get("Deployment", "flower-tepal-server")["spec"]["replicas"], 1)
        scaled = Rendering({"autoscaling": {"enabled": True}})
        self.assertNotIn("replicas", scaled.get("Deployment", "flower-tepal-server")["spec"])
        hpa = scaled.get("HorizontalPodAutoscaler", "flower-tepal-server")
        self.assertEqual(hpa["apiVersion"], "autoscaling/v2")
        self.assertEqual((hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]), (1, 7))
        self.assertEqual(hpa["spec"]["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "Deployment", "name": "flower-tepal-server"})

    def test_what_the_autoscaler_goes_by(self):
        def metric(**values):
            hpa = Rendering({"autoscaling": {"enabled": True, **values}}).get("HorizontalPodAutoscaler", "flower-tepal-server")
            return hpa["spec"]["metrics"]

        pods = lambda name, value: [{"type": "Pods", "pods": {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": value}}}]
        self.assertEqual(metric(), pods("avg_time_queue_us", "50"))
        self.assertEqual(metric(signal="inFlight", targets={"inFlight": "1500m"}), pods("inference_in_flight", "1500m"))
        self.assertEqual(metric(signal="requiredReplicas")[0]["object"]["describedObject"]["name"], "flower-tepal-server")
        own = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]
        self.assertEqual(metric(metrics=own), own)

    def test_a_changed_configuration_starts_the_balancers_anew_and_a_new_chart_does_not(self):
        def annotation(values):
            return Rendering(values).get("Deployment", "flower-tepal-balancer")["spec"]["template"]["metadata"]["annotations"]["tepal.io/config-checksum"]

        self.assertNotEqual(annotation({}), annotation({"balancer": {"pool": {"policy": "power_of_two"}}}))
        for _, labels, _ in Rendering().pods():
            if labels["app.kubernetes.io/component"] != "test":
                self.assertNotIn("helm.sh/chart", labels)

    def test_mistakes_are_refused_by_name(self):
        for values, words in (
                ({"server": {"replica": 2}}, "replica"),
                ({"server": {"placement": "spred"}}, "server.placement|/server/placement"),
                ({"server": {"models": {"hostPath": {"path": "/srv"}}}}, "hostPath, nfs are given, expected one of"),
                ({"server": {"models": {"nfs": None}}}, "nothing is given, expected one of"),
                ({"server": {"enabled": False}}, "balancer.endpoints: empty"),
                ({"balancer": {"admin": {"write": True}}}, "whoever reaches the admin address"),
                ({"metricsAPI": {"enabled": True, "tls": {"mode": "secret"}}}, "metricsAPI.tls.secretName: expected"),
                ({"monitoring": {"podMonitor": {"enabled": "yes"}}}, "podMonitor")):
            with self.subTest(words), self.assertRaisesRegex(Refused, words):
                Rendering(values)
        with self.assertRaisesRegex(Refused, "1.30 or later"):
            Rendering({"migAgent": {"enabled": True, "podDeletionCosts": True}}, OLD_KUBERNETES)

    def test_the_policies_let_through_what_the_parts_need(self):
        rendering = Rendering(ALL, OPERATOR)
        server = rendering.get("NetworkPolicy", "flower-tepal-server")["spec"]
        component = lambda peer: peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
        allowed = {(component(peer), port["port"]) for rule in server["ingress"] for peer in rule["from"] for port in rule["ports"]}
        self.assertEqual(allowed, {("balancer", 8000), ("balancer", 8001), ("metrics-api", 8002), (None, 8002)})
        self.assertEqual(server["egress"], [])

    def test_the_agent_is_that_of_deploy_kubernetes(self):
        """Two ways to install one thing: they must not drift apart."""
        folder = REPOSITORY / "deploy/kubernetes"
        plain = [one for name in ("mig-agent.yaml", "mig-agent-pod-costs.yaml") for one in yaml.safe_load_all((folder / name).read_text())]
        rendering = Rendering({"migAgent": {"enabled": True, "podDeletionCosts": True}})
        names = {"flower-tepal-mig-agent-models-pod-costs": "tepal-mig-agent-pod-costs", "flower-tepal-mig-agent-models": "tepal-mig-agent",
                 "flower-tepal-mig-agent": "tepal-mig-agent", ":models:": ":tepal-system:"}

        def comparable(one):
            text = json.dumps(one)
            for ours, theirs in names.items():
                text = text.replace(ours, theirs)
            one = json.loads(text)
            if one["kind"] == "DaemonSet":
                spec = one["spec"]["template"]["spec"]
                container = spec["containers"][0]
                for key in ("image", "imagePullPolicy"):
                    container.pop(key, None)
                container["args"] = sorted(set(container["args"]) - {"--pod-deletion-costs"})
                return {"spec": json.loads(json.dumps(spec).replace("tepal-mig-config", "tepal-mig-agent"))}
            return {key: value for key, value in one.items() if key in ("rules", "spec", "roleRef")}

        for one in plain:
            if one["kind"] in ("Namespace", "ServiceAccount"):
                continue
            if one["kind"] == "ConfigMap":
                ours = rendering.get("ConfigMap", "flower-tepal-mig-agent")["data"]["config.yaml"]
                self.assertEqual(yaml.safe_load(ours), yaml.safe_load(one["data"]["config.yaml"]))
                continue
            same = [other for other in rendering.all(one["kind"]) if comparable(other) == comparable(one)]
            mine = [comparable(other) for other in rendering.all(one["kind"]) if other["metadata"]["labels"]["app.kubernetes.io/component"] == "mig-agent"]
            self.assertEqual(len(same), 1, f"{one['kind']} {one['metadata']['name']}:\n{comparable(one)}\nis none of\n{mine}")


class Files(unittest.TestCase):
    def test_helm_has_nothing_to_say(self):
        for values in MATRIX.values():
            done = subprocess.run([HELM, "lint", CHART, "--strict", "--quiet", "--values=-"], input=json.dumps(merge(NFS, values)), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_version_is_the_program_s(self):
        version = re.search(r"^project\(tepal VERSION ([0-9.]+)", (REPOSITORY / "CMakeLists.txt").read_text(), re.M).group(1)
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], version)

    def test_every_value_is_in_the_schema(self):
        def missing(values, schema, path):
            for key, value in values.items():
                inside = schema.get("properties", {}).get(key)
                if inside is None:
                    yield f"{path}{key}"
                elif isinstance(value, dict) and "properties" in inside:
                    yield from missing(value, inside, f"{path}{key}.")

        schema = json.loads((CHART / "values.schema.json").read_text())
        self.assertEqual(list(missing(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")), [])

    def test_alerts_and_dashboard_use_metrics_that_exist(self):
        source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.cc"))
        for name in ("alerts.yaml", "dashboard.json"):
            used = set(re.findall(r"\b(?:tepal|nv)_[a-z_]+", (CHART / "files" / name).read_text()))
            self.assertTrue(used)
            for metric in used:
                self.assertIn(f'"{metric}"', source, name)

    def test_every_alert_has_a_page_and_a_test(self):
        tests = (pathlib.Path(__file__).parent / "alerts_test.yaml").read_text()
        alerts = [rule for group in yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"] for rule in group["rules"]]
        for rule in alerts:
            page = REPOSITORY / rule["annotations"]["runbook_url"]
            self.assertTrue(page.is_file(), page)
            self.assertEqual(page.stem, rule["alert"])
            self.assertRegex(tests, rf"alertname: {rule['alert']}\n +exp_alerts:\n +- exp_labels")
        self.assertEqual({page.stem for page in (REPOSITORY / "docs/runbooks").glob("*.md")}, {rule["alert"] for rule in alerts})

    def test_links_to_runbooks_can_lead_elsewhere(self):
        rule = Rendering({"monitoring": {"rules": {"runbooks": "https://wiki.example/tepal/"}}, "server": {"fullnameOverride": "flower"}}, OPERATOR)
        text = json.dumps(rule.all("PrometheusRule"))
        self.assertIn("https://wiki.example/tepal/TepalNoServerUp.md", text)
        self.assertNotIn(".*-server", text)


if __name__ == "__main__":
    unittest.main()
