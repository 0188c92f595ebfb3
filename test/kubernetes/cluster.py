"""A real Kubernetes on this machine for one test run: etcd, API server, controller manager, scheduler, and nodes with
real pods (node.py), all in network namespaces of their own. Needs root and control groups.

    with Cluster(nodes=2) as cluster:
        cluster.kubectl("get", "nodes")

The process that makes the cluster moves into the control plane's network namespace and stays there. Leaving the
`with` takes everything down: processes by their ids, namespaces, control groups, the folder.
"""
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import certificates  # noqa: E402
from name_server import NameServer  # noqa: E402
from node import CGROUPS, Node  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
REPOSITORY = HERE.parent.parent


class Cluster:
    address = "10.99.0.1"

    def __init__(self, nodes=2, images=(), apiserver=(), controller_manager=(), controllers=True):
        """`controllers=False`: etcd and the API server alone, where objects stay as they are written."""
        self.node_count, self.controllers = nodes, controllers
        self.name = f"tepal-kube-{os.getpid()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tk-"))
        (self.folder / "log").mkdir()
        self.pki = self.folder / "pki"
        self.tools = REPOSITORY / ".cache/kubernetes/unpacked"
        self.images = [*images]
        self.extra = {"apiserver": apiserver, "controller_manager": controller_manager}
        self.nodes = [Node(self, number + 1) for number in range(nodes)]
        self.processes = {}
        self.name_server = None
        self.mount_points = []
        self._connections = threading.local()

    def __enter__(self):
        started = time.monotonic()
        try:
            self.binaries = pathlib.Path(subprocess.run([HERE / "build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
            self._enter_network()
            self._make_certificates()
            self._start_control_plane()
            self.name_server = NameServer(self.address, self.server, self.authority.certificate, self.pki / "admin.crt", self.pki / "admin.key")
            for node in self.nodes:
                node.start()
            self.wait(lambda: sum(self.ready(node) for node in self.items("nodes")) == self.node_count, "the nodes are ready", 120)
        except BaseException:
            self.show_logs()
            self.__exit__()
            raise
        print(f"kubernetes: {self.node_count} nodes ready after {time.monotonic() - started:.1f} s", flush=True)
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.stop()
        if self.name_server:
            self.name_server.stop()
        for name in reversed(list(self.processes)):  # etcd last: the API server says goodbye to it.
            process = self.processes.pop(name)
            process.terminate()
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for path in reversed(self.mount_points):
            try:
                os.rmdir(path)
            except OSError:
                pass  # Somebody else has use for it now.
        shutil.rmtree(self.folder)

    def left_over(self):
        """What is still there of it after its end: nothing, or this fails its test run."""
        found = [path for path in (self.folder, *self.mount_points) if os.path.exists(path)]
        found += CGROUPS.glob(f"*/{self.name}*")
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            if str(self.folder) in line:
                found.append(line)
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in command:
                found.append(f"process {process.name}: {command[:200]}")
        return [str(what) for what in found]

    # For tests.
    def kubectl(self, *arguments, check=True, input=None, timeout=60):
        done = subprocess.run([self.binaries / "kubectl", f"--kubeconfig={self.admin}", *map(str, arguments)], input=input,
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout if check else done

    def apply(self, manifest):
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kubectl("apply", "-f", "-", input=text)

    def get(self, *what):
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def items(self, *what):
        return self.get(*what)["items"]

    def read(self, path):
        """GET of the API server, over a kept connection: for what is asked again and again, which kubectl is slow for."""
        for attempt in (1, 2):
            connection = getattr(self._connections, "kept", None)
            if connection is None:
                context = ssl.create_default_context(cafile=self.authority.certificate)
                context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
                connection = self._connections.kept = http.client.HTTPSConnection(self.address, 6443, context=context, timeout=20)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                text = answer.read().decode()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._connections.kept = None
                if attempt == 2:
                    raise RuntimeError(f"GET {path}: {error}") from error
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status}: {text[:300]}")
        return json.loads(text)

    @staticmethod
    def ready(thing):
        return any(c["type"] == "Ready" and c["status"] == "True" for c in thing.get("status", {}).get("conditions", []))

    def wait(self, condition, what, seconds=300, state=None):
        """Until `condition()` is true. Its last exception, and what `state()` says, are part of the complaint; each half minute
        it says what it still waits for."""
        started, trouble = time.monotonic(), None
        deadline, said = started + seconds, started

        def described():
            try:
                now = f"; now {state()}" if state else ""
            except (RuntimeError, KeyError, OSError) as error:
                now = f"; and {error}"
            return what + now + (f" ({trouble})" if trouble else "")

        while True:
            try:
                result = condition()
                if result:
                    return result
            except (RuntimeError, KeyError, OSError, subprocess.TimeoutExpired) as error:
                trouble = error
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} has ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {described()}")
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"kubernetes: waiting for {said - started:.0f} s: {described()}", flush=True)
            time.sleep(0.1)

    def user(self, name, subject):
        """A kubeconfig for a client certificate of that subject ("/O=group/CN=user")."""
        certificate, key = self.authority.issue(name, subject)
        return certificates.kubeconfig(self.pki / f"{name}.kubeconfig", self.server, self.authority, certificate, key)

    def show_logs(self, lines=5):
        for log in sorted((self.folder / "log").iterdir()):
            text = log.read_text(errors="replace").splitlines()[-lines:]
            print(f"--- {log.name}", *(line[:300] for line in text), sep="\n", file=sys.stderr)

    # For nodes.
    def make_mount_point(self, path):
        if not os.path.isdir(path):
            os.makedirs(path)
            self.mount_points.append(path)

    # Its parts.
    def _enter_network(self):
        """A network namespace of this process's own, with a bridge for the nodes."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise PermissionError(f"a network namespace needs root: {os.strerror(ctypes.get_errno())}")
        for command in ("link set lo up", "link add cluster type bridge", f"address add {self.address}/24 dev cluster", "link set cluster up"):
            subprocess.run(["ip", *command.split()], check=True)
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def _make_certificates(self):
        self.authority = certificates.Authority(self.pki, "test-ca")
        self.front_authority = certificates.Authority(self.pki, "front-proxy-ca")
        self.server = f"https://{self.address}:6443"
        names = ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
                 "IP:127.0.0.1", "IP:10.96.0.1", f"IP:{self.address}"]
        self.authority.issue("apiserver", "/CN=kube-apiserver", names, server=True)
        self.authority.issue("kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client")
        self.front_authority.issue("front-proxy", "/CN=front-proxy-client")
        certificates.signing_key(self.pki)
        self.admin = self.user("admin", "/O=system:masters/CN=admin")
        self.user("controller-manager", "/CN=system:kube-controller-manager")
        self.user("scheduler", "/CN=system:kube-scheduler")
        for node in self.nodes:
            self.user(node.name, f"/O=system:nodes/CN=system:node:{node.name}")

    def _start(self, name, *arguments):
        log = open(self.folder / "log" / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", self.binaries / name, *arguments],
                                                stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def restart_apiserver(self):
        process = self.processes.pop("kube-apiserver")
        process.kill()  # In order it would wait a minute for its watches to end.
        process.wait()
        # Either may end when it is asked for something now; on a real node the kubelet starts it again.
        others = {name: self.processes.pop(name) for name in ("kube-controller-manager", "kube-scheduler")}
        self._start_apiserver()
        self.processes.update(others)
        for name, start in (("kube-controller-manager", self._start_controller_manager), ("kube-scheduler", self._start_scheduler)):
            if self.processes[name].poll() is not None:
                start()

    def restart_controller_manager(self, flags):
        """With other flags of its own."""
        self.extra["controller_manager"] = flags
        process = self.processes.pop("kube-controller-manager")
        process.kill()
        process.wait()
        self._start_controller_manager()

    def _start_control_plane(self):
        self._start("etcd", f"--data-dir={self.folder}/etcd", "--listen-client-urls=http://127.0.0.1:2379",
                    "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync",
                    "--log-level=warn")
        self._start_apiserver()
        if not self.controllers:
            return
        self._start_controller_manager()
        self._start_scheduler()
        self.wait(lambda: self.items("serviceaccounts", "-n", "default"), "the controller manager works")

    def _start_controller_manager(self):
        pki, user = self.pki, f"{self.pki}/controller-manager.kubeconfig"
        self._start(
            "kube-controller-manager", f"--kubeconfig={user}", f"--authentication-kubeconfig={user}", f"--authorization-kubeconfig={user}",
            f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={self.authority.certificate}",
            "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
            *self.extra["controller_manager"])

    def _start_scheduler(self):
        user = f"{self.pki}/scheduler.kubeconfig"
        self._start("kube-scheduler", f"--kubeconfig={user}", f"--authentication-kubeconfig={user}",
                    f"--authorization-kubeconfig={user}", "--leader-elect=false", "--bind-address=127.0.0.1")

    def _start_apiserver(self):
        pki = self.pki
        self._start(
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--secure-port=6443",
            f"--advertise-address={self.address}", "--service-cluster-ip-range=10.96.0.0/16", f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key", f"--client-ca-file={self.authority.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key", f"--requestheader-client-ca-file={self.front_authority.certificate}",
            "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-proxy.crt", f"--proxy-client-key-file={pki}/front-proxy.key",
            "--enable-aggregator-routing=true", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true", f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key", "--kubelet-preferred-address-types=InternalIP", *self.extra["apiserver"])
        self.wait(lambda: self.kubectl("get", "--raw", "/readyz", timeout=30).startswith("ok"), "the API server is ready")
