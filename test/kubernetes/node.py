"""One node of the test cluster: a real containerd, kubelet and kube-proxy in namespaces of their own.

Its processes, mounts and sockets live in a PID, a mount and a network namespace that end with one process, the
holder: /run, /var/log, /var/lib/kubelet and /var/lib/containerd of the node are not the machine's. What is outside
are its control groups, under one folder of its own, which stop() removes.
"""
import os
import pathlib
import signal
import subprocess
import time

CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Where a node's own folder or an empty memory file system is mounted, in its mount namespace alone.
OWN = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni")
EMPTY = ("/run", "/var/log")


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Node:
    def __init__(self, cluster, number):
        self.cluster = cluster
        self.number = number
        self.name = f"n{number}"
        self.address = f"10.99.0.{10 + number}"
        self.pod_network = f"10.244.{number}"
        self.folder = cluster.folder / self.name
        self.cgroup = f"{cluster.name}-{self.name}"
        self.processes = {}

    # What it is made of, in order.
    def start(self):
        self._make_cgroups()
        self._start_holder()
        self._connect()
        self._write_configuration()
        self.start_process("containerd", ["containerd", "--config", self.folder / "containerd.toml"])
        self._wait_for(lambda: self.run(["ctr", "version"], check=False).returncode == 0, "containerd")
        for image in self.cluster.images:
            self.run(["ctr", "-n", "k8s.io", "images", "import", image])
        self.start_kubelet()
        self.start_process("kube-proxy", [
            self.cluster.binaries / "kube-proxy", f"--kubeconfig={self.cluster.admin}", f"--hostname-override={self.name}",
            "--proxy-mode=iptables", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
            "--cluster-cidr=10.244.0.0/16", "--iptables-min-sync-period=100ms"])

    def start_kubelet(self):
        self.start_process("kubelet", [
            self.cluster.binaries / "kubelet", f"--config={self.folder}/kubelet.yaml",
            f"--kubeconfig={self.cluster.pki}/{self.name}.kubeconfig", f"--hostname-override={self.name}",
            f"--node-ip={self.address}", f"--cert-dir={self.folder}/kubelet-pki", "--v=2"])

    def stop(self):
        for name in list(self.processes):
            self.stop_process(name, wait=False)
        if getattr(self, "holder", None):
            self.holder.kill()  # The first process of the PID namespace: the kernel ends the others.
            self.holder.wait()
        self._remove_cgroups()

    # Processes inside.
    def inside(self, command):
        path = f"{self.cluster.tools}/usr/bin:{self.cluster.tools}/usr/sbin:" + os.environ["PATH"]
        return ["nsenter", f"--target={self.inner_pid}", "--mount", "--net", "--pid", "env", f"PATH={path}", *map(str, command)]

    def run(self, command, check=True, **options):
        return subprocess.run(self.inside(command), check=check, capture_output=True, text=True, **options)

    def start_process(self, name, command, environment=()):
        log = open(self.cluster.folder / "log" / f"{self.name}-{name}.log", "ab")
        process = subprocess.Popen(self.inside(["env", *environment, *command]), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes[name] = process
        return process

    def stop_process(self, name, how=signal.SIGTERM, wait=True):
        """nsenter passes no signal on: its child, the process itself, is signalled."""
        process = self.processes.pop(name)
        for child in self._children(process.pid):
            os.kill(child, how)
        if not wait:
            return
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            for child in self._children(process.pid):
                os.kill(child, signal.SIGKILL)
            process.wait()

    @staticmethod
    def _children(pid):
        try:
            return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    # Its world.
    def _start_holder(self):
        for mounted in OWN:
            (self.folder / mounted.strip("/")).mkdir(parents=True)
            self.cluster.make_mount_point(mounted)
        script = "".join(f"mount --bind {self.folder}{path} {path}\n" for path in OWN)
        script += "".join(f"mount -t tmpfs tmpfs {path}\n" for path in EMPTY)
        script += "mkdir -p /run/netns /run/containerd /run/lock\nip link set lo up\necho ready\nexec sleep infinity\n"
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-ec", script], stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{self.name}: no namespaces: mount and unshare need root")
        self.inner_pid = self._children(self.holder.pid)[0]

    def _connect(self):
        """A cable to the bridge of the control plane, and a way to the pods of every other node."""
        near, far = f"{self.name}", "eth0"
        ip = lambda *words: subprocess.run(["ip", *map(str, words)], check=True)
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.inner_pid)
        ip("link", "set", near, "master", "cluster", "up")
        ip("route", "add", f"{self.pod_network}.0/24", "via", self.address)
        self.run(["ip", "address", "add", f"{self.address}/24", "dev", far])
        self.run(["ip", "link", "set", far, "up"])
        self.run(["ip", "route", "add", "default", "via", self.cluster.address])
        for other in range(1, self.cluster.node_count + 1):
            if other != self.number:
                self.run(["ip", "route", "add", f"10.244.{other}.0/24", "via", f"10.99.0.{10 + other}"])
        self.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])

    def _make_cgroups(self):
        for hierarchy in self._hierarchies():
            folder = hierarchy / self.cgroup
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists():
                    (folder / name).write_text((hierarchy / name).read_text())

    @staticmethod
    def _hierarchies():
        return [folder for folder in CGROUPS.iterdir() if folder.is_dir() and (folder / "cgroup.procs").exists()]

    def _remove_cgroups(self):
        deadline = time.monotonic() + 10
        for hierarchy in self._hierarchies():
            top = hierarchy / self.cgroup
            folders = sorted((path for path, _, _ in os.walk(top)), key=len, reverse=True) if top.exists() else []
            for folder in folders:
                while True:
                    try:
                        os.rmdir(folder)
                        break
                    except OSError:  # The kernel is still taking its last process away.
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.05)

    def _write_configuration(self):
        cluster = self.cluster
        _write(self.folder / "cni/10-bridge.conflist", """{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge",
  "bridge":"pods","isGateway":true,"ipMasq":false,"hairpinMode":true,"ipam":{"type":"host-local",
  "ranges":[[{"subnet":"%s.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"%s/ipam"}}]}
""" % (self.pod_network, self.folder))
        _write(self.folder / "containerd.toml", f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "local.test/pause:1"
  restrict_oom_score_adj = true
  enable_cdi = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cluster.tools}/usr/lib/cni"
    conf_dir = "{self.folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{cluster.tools}/usr/sbin/runc"
        SystemdCgroup = false
""")
        _write(self.folder / "kubelet.yaml", f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {self.address}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: false}}, x509: {{clientCAFile: {cluster.authority.certificate}}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: /{self.cgroup}
failSwapOn: false
failCgroupV1: false
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
imageServiceEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: {self.folder}/volume-plugins
resolvConf: ""
clusterDNS: [{cluster.address}]
clusterDomain: cluster.local
healthzBindAddress: 127.0.0.1
nodeStatusUpdateFrequency: 2s
syncFrequency: 5s
evictionHard: {{memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
""")

    @staticmethod
    def _wait_for(condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} within {seconds} s")
            time.sleep(0.1)
