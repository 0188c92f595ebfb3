"""Other people's programs on the test cluster: made by stock/build, in images of their own, with their makers' manifests."""
import pathlib
import re
import subprocess

import images  # noqa: F401: finds the next one
from oci_image import Image

HERE = pathlib.Path(__file__).resolve().parent
NOBODY = 65534
MONITORING = "monitoring"
SELECTED = {"release": "kube-prometheus-stack"}  # As the recipe's Prometheus chooses its monitors.
PROMETHEUS_URL = f"http://prometheus-operated.{MONITORING}.svc:9090/"


def made(name):
    return pathlib.Path(subprocess.run([HERE / "stock/build", name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def load_images(cluster):
    """Under local.test/, on every node."""
    operator = made("prometheus-operator")
    _load(cluster, "prometheus-operator", operator / "operator", "/bin/operator")
    _load(cluster, "prometheus-config-reloader", operator / "prometheus-config-reloader", "/bin/prometheus-config-reloader")
    _load(cluster, "prometheus", made("prometheus") / "prometheus", "/bin/prometheus")


def _load(cluster, name, program, path):
    image = Image(f"local.test/{name}:1", entrypoint=[path], user=str(NOBODY))
    image.add_from(program, path, 0o755)  # Each is linked statically.
    archive = cluster.folder / f"images/{name}.tar"
    image.write(archive)
    for node in cluster.nodes:
        node.run(["ctr", "-n", "k8s.io", "images", "import", archive])
    archive.unlink()


def _published(name, *files):
    return "\n---\n".join((made(name) / "published" / file).read_text() for file in files)


def install_operator(cluster):
    """Its bundle as it is published, but for the names of the images; a Prometheus that chooses by the recipe's label."""
    bundle = re.sub(r"[\w.]+/prometheus-operator/([a-z-]+):v[\d.]+", r"local.test/\1:1", _published("prometheus-operator", "bundle.yaml"))
    cluster.kubectl("apply", "--server-side", "-f", "-", input=bundle, timeout=120)
    cluster.kubectl("create", "namespace", MONITORING)
    rights = _published("prometheus-operator", "prometheus-service-account.yaml", "prometheus-cluster-role.yaml", "prometheus-cluster-role-binding.yaml")
    cluster.kubectl("apply", "-n", MONITORING, "-f", "-", input=rights.replace("namespace: default", f"namespace: {MONITORING}"))
    said = subprocess.run([made("prometheus") / "prometheus", "--version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"version (\d+\.\d+\.\d+)", said).group(1)
    cluster.apply({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "k8s", "namespace": MONITORING}, "spec": {
        "image": "local.test/prometheus:1", "version": f"v{version}", "replicas": 1, "serviceAccountName": "prometheus",
        "podMonitorSelector": {"matchLabels": SELECTED}, "podMonitorNamespaceSelector": {}, "resources": {"requests": {"memory": "64Mi"}},
        "securityContext": {"runAsNonRoot": True, "runAsUser": NOBODY, "fsGroup": NOBODY}}})
    cluster.wait(lambda: cluster.ready(cluster.get("pod", "prometheus-k8s-0", "-n", MONITORING)), "the operator's Prometheus is ready", 180)


def remove_operator(cluster):
    cluster.kubectl("delete", "prometheus", "k8s", "-n", MONITORING, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", MONITORING, "--ignore-not-found", timeout=120)
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", input=_published("prometheus-operator", "bundle.yaml"), timeout=120)
    for kind in ("clusterrole", "clusterrolebinding"):
        cluster.kubectl("delete", kind, "prometheus", "--ignore-not-found")
