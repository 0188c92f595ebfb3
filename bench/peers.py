"""Starting servers side by side and reading what they cost. Standard library only."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
TEPAL = BUILD / "bin/tepal"
BACKENDS = BUILD / "lib/tepal/backends"


def free_ports(count):
    """Ports nobody listens on now; several at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def is_ready(port, path="/v2/health/ready"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_ready(process, port, path="/v2/health/ready", limit=30.0):
    """Seconds until the server says it is ready."""
    started = time.monotonic()
    while not is_ready(port, path):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} exited with {process.returncode} before it was ready")
        if time.monotonic() - started > limit:
            raise RuntimeError(f"{process.args[0]} was not ready within {limit} s")
        time.sleep(0.002)
    return time.monotonic() - started


@contextlib.contextmanager
def running(command, log, env=None):
    """A process that is stopped, and killed if it does not stop, at the end."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def triton_home():
    """The real Triton 2.51, unpacked from its wheel (tools/setup peers)."""
    home = ROOT / ".cache/triton/unpacked"
    if not (home / "ready").exists():
        wheel = next((ROOT / ".cache/triton").glob("nvidia_pytriton-*.whl"), None)
        if wheel is None:
            raise SystemExit("bench: the real Triton is missing; run tools/setup peers")
        shutil.rmtree(home, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
        server = home / "pytriton/tritonserver/bin/tritonserver"
        server.chmod(0o755)
        (home / "ready").touch()
    return home


def triton_command(repository, backends, http, grpc, metrics):
    home = triton_home()
    base = home / "pytriton/tritonserver"
    command = [base / "bin/tritonserver", f"--model-repository={repository}", f"--backend-directory={backends}",
               "--allow-gpu-metrics=false", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
               f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    if (base / "caches").exists():
        command.append(f"--cache-directory={base / 'caches'}")
    libraries = [base / "lib", base / "external_libs", home / "nvidia_pytriton.libs"]
    return command, {"LD_LIBRARY_PATH": ":".join(str(p) for p in libraries if p.exists())}


def tepal_command(repository, backends, http, grpc, metrics):
    return [TEPAL, "serve", f"--model-repository={repository}", f"--backend-directory={backends}",
            "--http-address=127.0.0.1", "--grpc-address=127.0.0.1", f"--http-port={http}", f"--grpc-port={grpc}",
            f"--metrics-port={metrics}"]


def table(rows, header):
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
