"""Other people's programs on the test cluster: made by stock/build, in images of their own, with their makers' manifests."""
import json
import pathlib
import re
import subprocess

import chart
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
    operator, adapter = made("prometheus-operator"), made("prometheus-adapter")
    _load(cluster, "prometheus-operator", operator / "operator", "/bin/operator")
    _load(cluster, "prometheus-config-reloader", operator / "prometheus-config-reloader", "/bin/prometheus-config-reloader")
    _load(cluster, "prometheus-adapter", adapter / "adapter", "/adapter")
    _load(cluster, "nginx", made("nginx") / "nginx", "/nginx")
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


def adapter_manifests(image, command=None):
    """prometheus-adapter's own Deployment, Service and rights: its flags are as published but for Prometheus' address. One
    replica with short waits; the rules are the chart's."""
    text = _published("prometheus-adapter", "service-account.yaml", "cluster-role.yaml", "cluster-role-binding.yaml",
                      "cluster-role-binding-delegator.yaml", "role-binding-auth-reader.yaml", "service.yaml", "deployment.yaml")
    text = re.sub(r"(image: )\S+", rf"\g<1>{image}", text)
    if command:
        text = re.sub(r"( +)(image: )", rf"\g<1>command: {json.dumps(command)}\n\g<1>\g<2>", text, count=1)
    text = re.sub(r"--prometheus-url=\S+", f"--prometheus-url={PROMETHEUS_URL}", text)
    text = re.sub(r"initialDelaySeconds: \d+", "initialDelaySeconds: 1", text)
    return text.replace("replicas: 2", "replicas: 1")


def apply_adapter(cluster, release, image, command=None):
    """Behind v1beta1.custom.metrics.k8s.io, as the recipe has it."""
    rules = release.helm("template", release.name, chart.CHART, "--show-only", "templates/metrics-api/deployment.yaml", values={
        "metricsAPI": {"enabled": True, "prometheus": {"url": PROMETHEUS_URL}}, "server": {"models": {"hostPath": {"path": "/"}}}})
    config = re.search(r"config\.yaml: \|\n((?:    .*\n|\n)+)", rules).group(1)
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "adapter-config", "namespace": MONITORING},
                   "data": {"config.yaml": re.sub(r"^    ", "", config, flags=re.M)}})
    cluster.apply(adapter_manifests(image, command))
    cluster.apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.custom.metrics.k8s.io"}, "spec": {
        "group": "custom.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": True, "service": {"name": "prometheus-adapter", "namespace": MONITORING}}})
    cluster.kubectl("rollout", "status", "deployment/prometheus-adapter", "-n", MONITORING, "--timeout=120s", timeout=130)


def remove_adapter(cluster):
    cluster.kubectl("delete", "apiservice", "v1beta1.custom.metrics.k8s.io", "--ignore-not-found")
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", input=adapter_manifests("none"))


# The recipe's file in words that nginx without Plus has: the blanks filled in, and without health_check, status_zone and api.
NGINX_CONF = """
worker_processes 1;
pid /tmp/nginx.pid;
events {}
http {
  access_log off;
  error_log /dev/stderr warn;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  resolver RESOLVER valid=5s;
  upstream backend {
    zone upstream-backend 64k;
    server SERVICE:8000 resolve;
  }
  upstream backendgrpc {
    zone upstream-backend-grpc 64k;
    server SERVICE:8001 resolve;
  }
  server {
    listen 8085;
    location / { proxy_pass http://backend; }
  }
  server {
    listen 8087;
    http2 on;
    location / { grpc_pass grpc://backendgrpc; }
  }
}
"""


def apply_nginx(cluster, namespace, service):
    text = NGINX_CONF.replace("RESOLVER", cluster.address).replace("SERVICE", f"{service}.{namespace}.svc.cluster.local")
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nginx", "namespace": namespace}, "data": {"nginx.conf": text}})
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nginx", "namespace": namespace}, "spec": {
        "terminationGracePeriodSeconds": 0, "volumes": [{"name": "conf", "configMap": {"name": "nginx"}}], "containers": [{
            "name": "nginx", "image": "local.test/nginx:1", "args": ["-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
            "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx"}],
            "readinessProbe": {"tcpSocket": {"port": 8085}, "periodSeconds": 1}}]}})
    pod = lambda: cluster.get("pod", "nginx", "-n", namespace)
    cluster.wait(lambda: cluster.ready(pod()), "nginx is ready", 60)
    return pod()["status"]["podIP"]
